"""Entries U(-sqrt(3/d), sqrt(3/d)), as in Black-Box Tuning (Sun et al., ICML 2022) but for their size.

Its U(-1/sqrt(d), 1/sqrt(d)) is `uniform:scale=1,alpha=0.577`, alpha = 1/sqrt(3).
"""

from dfo_bench.core import Array, Embedding, Projection, RandomEmbedding, Space


class Uniform(Projection):
    """Uniform random projection."""

    def __init__(self, *, alpha: float = 1.0, scale: float | None = None) -> None:
        """`alpha` multiplies the step; `scale` takes the place of the task's own."""
        self.alpha, self.scale = alpha, scale

    def draw(self, space: Space, dim: int, seed: int, index: int) -> Embedding:
        """Draw A with independent entries of variance 1/dim."""

        def entries(uniforms: Array) -> Array:
            uniform: Array = (2.0 * uniforms - 1.0) * (3.0 / dim) ** 0.5
            return uniform

        factor = self.alpha * (space.scale if self.scale is None else self.scale)
        return RandomEmbedding(space, dim, index, factor, seed, entries)
