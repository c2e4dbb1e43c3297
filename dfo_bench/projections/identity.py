"""No projection: the optimizer searches the task's own space."""

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from dfo_bench.core import Embedding, IdentityEmbedding, Projection, Space, Value


class Identity(Projection):
    """The identity; its dimension is always the task's.

    A task with bounds is searched in [-1, 1]^D, whatever the step.
    """

    whole = True
    added: ClassVar[Mapping[str, Value]] = {"alpha": 1.0, "scale": None}

    def draw(self, space: Space, dim: int, seed: int, number: int) -> Embedding:
        """Return the identity, whatever the seed."""
        return IdentityEmbedding(replace(space, scale=self.factor(space)), number)
