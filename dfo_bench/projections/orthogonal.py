"""Orthogonal directions of one length: a frame drawn from Haar's measure (Stewart, SIAM J. Numer. Anal. 17, 1980)."""

from functools import cached_property

import numpy as np
from scipy.linalg import cholesky, solve_triangular
from scipy.special import ndtri

from dfo_bench.core import Array, Embedding, Index, InputError, Projection, RandomEmbedding, Space
from dfo_bench.points import DENSE_LIMIT

_BLOCK = 256
"""Rows that are made at a time. Always so many: BLAS rounds by the shape, and a row must be the same in any block."""


class Orthogonal(Projection):
    """A = sqrt(D / d) Q with Q^T Q = I: no direction is longer than another, and none is near another."""

    def draw(self, space: Space, dim: int, seed: int, number: int) -> Embedding:
        """Draw Q; refused where all of its D x d numbers, which it takes to begin, are too many."""
        if space.dim * dim > DENSE_LIMIT:
            raise InputError(
                f"projection orthogonal reads all {space.dim} x {dim} numbers of its matrix, above {DENSE_LIMIT}; "
                "use -p normal, whose directions are nearly orthogonal in so many dimensions"
            )
        return OrthogonalEmbedding(space, dim, number, self.factor(space), seed)


class OrthogonalEmbedding(Embedding):
    """Rows of A = sqrt(D / d) G R^-1, where G is Gaussian and G^T G = R^T R: the QR decomposition of G, row by row."""

    def __init__(self, space: Space, dim: int, number: int, factor: float, seed: int) -> None:
        super().__init__(space, dim, number, factor)
        self._gaussian = RandomEmbedding(space, dim, number, factor, seed, ndtri)

    @cached_property
    def _correction(self) -> Array:
        """sqrt(D / d) R^-1, of one pass over the rows of G."""
        gram = np.zeros((self.dim, self.dim))
        for first in range(0, self.space.dim, _BLOCK):
            rows = self._gaussian.rows(np.arange(first, min(first + _BLOCK, self.space.dim)))
            gram += rows.T @ rows
        return solve_triangular(cholesky(gram), np.eye(self.dim)) * (self.space.dim / self.dim) ** 0.5

    def rows(self, index: Index) -> Array:
        """Return the rows `index` of A, shape (len(index), dim)."""
        out = np.empty((len(index), self.dim))
        blocks = index // _BLOCK
        for block in np.unique(blocks):
            mine = blocks == block
            # The stream of G goes on behind row D, so the last block is as large as any.
            whole = self._gaussian.rows(np.arange(block * _BLOCK, (block + 1) * _BLOCK)) @ self._correction
            out[mine] = whole[index[mine] - block * _BLOCK]
        return out
