"""Entries N(0, 1/d): REMBO (Wang et al., JAIR 55, 2016), and BBTv2 (Sun et al., EMNLP 2022).

BBTv2 takes the scale from the model, as text tasks do; REMBO's entries are N(0, 1), and its box here is wider instead.
"""

from scipy.special import ndtri

from dfo_bench.core import Array, Embedding, Projection, RandomEmbedding, Space


class Normal(Projection):
    """Gaussian random projection."""

    def draw(self, space: Space, dim: int, seed: int, number: int) -> Embedding:
        """Draw A with independent entries N(0, 1/dim)."""

        def entries(uniforms: Array) -> Array:
            return ndtri(uniforms) / dim**0.5

        return RandomEmbedding(space, dim, number, self.factor(space), seed, entries)
