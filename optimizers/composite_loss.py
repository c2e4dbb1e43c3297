"""Composite search on the loss alone: the same code with one output, to tell what the other outputs bring."""

from typing import Annotated, Unpack

from pydantic import Field, PositiveFloat, PositiveInt

from dfo_bench.core import Array, Given, Optimizer, Space

from ._composite import Search
from ._losses import tamed
from ._trust import Itself


class CompositeLoss(Optimizer):
    """What composite does, told of losses only: a Gaussian process of the loss, minimised in a trust region.

    sigma: the first step in units of the space's scale, as that of cma; at most 0.3 of the width of a box.
    batch: how many points are asked in two turns: the one that promises most, and explorers, one at least.
    points: the most that the process is fitted to; a batch costs time in the cube of it.
    """

    def __init__(
        self,
        space: Space,
        *,
        sigma: PositiveFloat = 0.15,
        batch: PositiveInt = 5,
        points: Annotated[int, Field(ge=2)] = 300,
        **given: Unpack[Given],
    ) -> None:
        super().__init__(space, **given)
        self._search = Search(space, Itself(), self.rng, sigma=sigma, batch=batch, points=points)

    def ask(self) -> Array:
        """Return the first points, then the best on the process and explorers in turns."""
        return self._search.ask()

    def tell(self, x: Array, losses: Array) -> None:
        """Move the radius, and keep the points."""
        tame = tamed(losses)
        self._search.tell(x, tame, tame[:, None])
