"""The points of a call, which may be computed with those of others where that saves work."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dfo_bench.core import Array
from dfo_bench.embedding import Embedding, Lifted
from dfo_bench.lm.local import Local
from dfo_bench.lm.problem import Candidates, Prompts
from dfo_bench.lm.templates import Encoded
from dfo_bench.service.line import Part

MOST_COORDINATES = 2**27
"""The most coordinates of the points of a call."""


@dataclass(frozen=True)
class Lift:
    """An embedding, and the form of the prompts that it makes."""

    embedding: Embedding
    shape: tuple[int, ...]
    steps: Prompts | None

    @property
    def dim(self) -> int:
        """The numbers of a point."""
        return self.embedding.dim


class Portion(Part):
    """The label logits of texts under the points of a call: z of an embedding, or prompts in the shape of the mode.

    They join others only where their own batches leave room. Then they may differ in the last bits from what they are
    alone, as a processor adds up batches of another size in another order; all others are as they would be alone.
    """

    def __init__(
        self,
        kind: object,
        local: Local,
        texts: Sequence[Encoded],
        numbers: npt.NDArray[np.floating],
        lift: Lift | None,
    ) -> None:
        """`kind` names the texts, and all else that is asked of the model beside the points."""
        self.kind, self._local, self._texts, self._numbers, self._lift = kind, local, texts, numbers, lift
        self._work = local.engine.batching(texts).work
        self._found: Array | None = None

    @property
    def leaves_room(self) -> bool:
        """Whether as many points again would cost less than these."""
        count = len(self._numbers)
        return self._work(2 * count) < 2 * self._work(count)

    def joins(self, group: Sequence[Part]) -> bool:
        """Return whether it costs less with these than by itself."""
        before = sum(len(one._numbers) for one in group if isinstance(one, Portion))
        both = before + len(self._numbers)
        if both * int(np.prod(self._local.shape)) > MOST_COORDINATES:
            return False
        return self._work(both) < self._work(before) + self._work(len(self._numbers))

    def compute(self, group: Sequence[Part]) -> None:
        """Compute a group, itself among it."""
        portions = [one for one in group if isinstance(one, Portion)]
        prompts = [one._prompts() for one in portions]
        found = self._local.engine.logits(np.concatenate(prompts), self._texts)
        for one, own in zip(portions, np.split(found, np.cumsum(list(map(len, prompts)))[:-1]), strict=True):
            one._found = own

    def logits(self) -> Array:
        """Return the logits, shape (points, texts, classes): as they were computed with others, or alone."""
        if self._found is None:
            self.compute([self])
        assert self._found is not None
        return self._found

    def _prompts(self) -> Prompts:
        if self._lift is None:
            return self._numbers.astype(np.float32)
        points = Lifted(self._lift.embedding, self._numbers.astype(float), None)
        return Candidates(points, self._lift.shape, self._lift.steps).prompts()
