"""Entries U(-sqrt(3/d), sqrt(3/d)), as in Black-Box Tuning (Sun et al., ICML 2022) but for their size.

Its U(-1/sqrt(d), 1/sqrt(d)) is `uniform:scale=1,alpha=0.577`, alpha = 1/sqrt(3).
"""

from dfo_bench.core import Array, Embedding, Projection, RandomEmbedding, Space


class Uniform(Projection):
    """Uniform random projection."""

    def draw(self, space: Space, dim: int, seed: int, number: int) -> Embedding:
        """Draw A with independent entries of variance 1/dim."""

        def entries(uniforms: Array) -> Array:
            return (2.0 * uniforms - 1.0) * (3.0 / dim) ** 0.5

        return RandomEmbedding(space, dim, number, self.factor(space), seed, entries)
