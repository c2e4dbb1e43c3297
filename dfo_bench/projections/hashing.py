"""Count sketch: each row one +-1 at a random column (HeSBO: Nayebi, Munteanu & Poloczek, ICML 2019)."""

from dataclasses import replace
from functools import cached_property

import numpy as np

from dfo_bench.core import Anchor, Array, Embedding, Index, Projection, RandomEmbedding, Space


class Hashing(Projection):
    """x_i = sigma(i) z_h(i): every coordinate follows one of the d variables, up to a sign.

    A task with bounds is searched as in HeSBO: z in [-1, 1]^d is mapped onto the bounds, around their middle and not
    around the start, so that nothing is clipped; half their width takes the place of the task's scale. `rembo` has a
    box of its own: HeSBO's is `rembo:box=1`.
    """

    def draw(self, space: Space, dim: int, seed: int, number: int) -> Embedding:
        """Draw h and sigma; a unit z has unit variance as it is."""
        factor = self.factor(space)
        if space.lower is not None and space.upper is not None:
            factor = self.factor(replace(space, scale=(space.upper - space.lower) / 2))
            space = replace(space, start=Anchor.middle(space))
        return HashingEmbedding(space, dim, number, factor, seed)


class HashingEmbedding(Embedding):
    """A with one entry per row, whose column and sign are made on demand of two uniform numbers."""

    def __init__(self, space: Space, dim: int, number: int, factor: float, seed: int) -> None:
        super().__init__(space, dim, number, factor)
        self._uniforms = RandomEmbedding(space, 2, number, factor, seed, lambda uniforms: uniforms)
        self._read = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0)

    def _hash(self, index: Index) -> tuple[Index, Array]:
        """Return h and sigma of rows; kept, as a task reads the same rows every time."""
        if not np.array_equal(self._read[0], index):
            column, sign = self._uniforms.rows(index).T
            self._read = index.copy(), (column * self.dim).astype(np.int64), np.where(sign < 0.5, -1.0, 1.0)
        return self._read[1:]

    def rows(self, index: Index) -> Array:
        """Return the rows `index` of A, shape (len(index), dim)."""
        out = np.zeros((len(index), self.dim))
        columns, signs = self._hash(index)
        out[np.arange(len(index)), columns] = signs
        return out

    def image(self, z: Array, index: Index) -> Array:
        """Return coordinates of factor * A z without forming the matrix."""
        columns, signs = self._hash(index)
        return z[:, columns] * (self.factor * signs)

    def pull_back(self, gradients: Array, index: Index) -> Array:
        """Return factor * A^T g without forming the matrix: each z's share of the coordinates that follow it."""
        columns, signs = self._hash(index)
        shares = gradients * (self.factor * signs)
        return np.stack([np.bincount(columns, share, self.dim) for share in shares])

    @cached_property
    def search_space(self) -> Space:
        """The task's bounds as [-1, 1]; without bounds as any embedding's."""
        if not self.space.bounded:
            return super().search_space
        return Space(self.dim, -1.0, 1.0, Anchor.origin(self.dim), self.space.scale / self.factor)
