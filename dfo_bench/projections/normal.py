"""Entries N(0, 1/d): REMBO (Wang et al., JAIR 55, 2016), and BBTv2 (Sun et al., EMNLP 2022).

BBTv2 takes the scale from the model, as text tasks do; REMBO's entries are N(0, 1), and its box here is wider instead.
"""

from scipy.special import ndtri

from dfo_bench.core import Array, Embedding, Projection, RandomEmbedding, Space


class Normal(Projection):
    """Gaussian random projection."""

    def __init__(self, *, alpha: float = 1.0, scale: float | None = None) -> None:
        """`alpha` multiplies the step; `scale` takes the place of the task's own."""
        self.alpha, self.scale = alpha, scale

    def draw(self, space: Space, dim: int, seed: int, index: int) -> Embedding:
        """Draw A with independent entries N(0, 1/dim)."""

        def entries(uniforms: Array) -> Array:
            normal: Array = ndtri(uniforms) / dim**0.5
            return normal

        factor = self.alpha * (space.scale if self.scale is None else self.scale)
        return RandomEmbedding(space, dim, index, factor, seed, entries)
