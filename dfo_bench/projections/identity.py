"""No projection: the optimizer searches the task's own space."""

from dfo_bench.core import Embedding, IdentityEmbedding, Projection, Space


class Identity(Projection):
    """The identity; its dimension is always the task's."""

    whole = True

    def draw(self, space: Space, dim: int, seed: int, index: int) -> Embedding:
        """Return the identity, whatever the seed."""
        return IdentityEmbedding(space, index)
