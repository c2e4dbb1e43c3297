"""Embeddings: linear maps from R^d into R^D, their lift x = clip(base + alpha * s * A z), and rows of A on demand."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from dfo_bench.errors import InputError
from dfo_bench.points import DENSE_LIMIT, Anchor, Array, Dense, Index, Points, Space, expand

_EXACT = 2**20
"""The largest block of A that is multiplied row by row."""

_BLOCK = 2**22
"""Numbers of A that are made at a time where A as a whole is too large to keep."""


@dataclass(frozen=True)
class Drawn:
    """How an embedding was drawn, beside its space, dimension, number and factor: whoever knows that draws it again."""

    projection: str
    """The component, without its step."""
    seed: int


class Embedding(ABC):
    """One drawn linear map R^dim -> R^space.dim, and the lift through it.

    `factor` is alpha * s of the lift; `number` tells the embeddings of one run apart.
    """

    stretch = 1.0
    """What z is multiplied by before it is lifted: the step that was found, where alpha is auto."""

    drawn: Drawn | None = None
    """How it was drawn, where a run has said so, and it rests on no file."""

    def __init__(self, space: Space, dim: int, number: int, factor: float) -> None:
        self.space, self.dim, self.number, self.factor = space, dim, number, factor
        self._kept: tuple[Index, Array] | None = None

    @abstractmethod
    def rows(self, index: Index) -> Array:
        """Return the rows `index` of A, shape (len(index), dim); pure, the same in any order of access."""

    @cached_property
    def search_space(self) -> Space:
        """The space that a plain optimizer sees: start 0, scale 1, no bounds."""
        return Space(self.dim, None, None, Anchor.origin(self.dim), 1.0)

    def lift(self, z: Array, base: Points | None = None) -> Points:
        """Return clip(base + factor * A z) for each row of z; `base` is one candidate, one per row, or the start."""
        return Lifted(self, self.stretch * z, base)

    def image(self, z: Array, index: Index) -> Array:
        """Return the coordinates `index` of factor * A z, shape (len(z), len(index))."""
        if len(index) * self.dim > DENSE_LIMIT:
            step = max(1, _BLOCK // self.dim)
            blocks = [z @ self.rows(index[i : i + step]).T for i in range(0, len(index), step)]
            return self.factor * np.concatenate(blocks, axis=1)
        kept = self._scaled(index)
        # Row by row, so that a candidate's coordinates are the same to the bit in any batch. A large product is left
        # to BLAS, which is many times faster and rounds by the shape: models have a tolerance for that.
        return np.matmul(z[:, None, :], kept)[:, 0] if kept.size <= _EXACT else z @ kept

    def pull_back(self, gradients: Array, index: Index) -> Array:
        """Return factor * A^T g, shape (n, dim), of gradients g in the coordinates `index`, shape (n, len(index)).

        It is the transpose of `image`: the gradient in z of what has the gradient g in x = factor * A z.
        """
        if len(index) * self.dim > DENSE_LIMIT:
            step = max(1, _BLOCK // self.dim)
            pulled = np.zeros((len(gradients), self.dim))
            for i in range(0, len(index), step):
                pulled += gradients[:, i : i + step] @ self.rows(index[i : i + step])
            return self.factor * pulled
        return gradients @ self._scaled(index).T

    def _scaled(self, index: Index) -> Array:
        """Return the rows `index` of factor * A, transposed; kept, as a task reads the same rows every time."""
        if self._kept is None or not np.array_equal(self._kept[0], index):
            self._kept = index.copy(), np.ascontiguousarray(self.factor * self.rows(index).T)
        return self._kept[1]


class Lifted(Points):
    """Points that came out of an embedding."""

    def __init__(self, embedding: Embedding, z: Array, base: Points | None, *, paired: bool | None = None) -> None:
        """`paired` says whether base has one candidate for every row, even where both are one."""
        # A copy: an optimizer may go on writing to its own array, and these points must not change.
        self.z = np.array(z, dtype=float, order="C")
        self.embedding, self.base, self.dim = embedding, base, embedding.space.dim
        # A single row cannot tell, and its digest must be that which it had among the others.
        self._paired = base is not None and len(base) != 1 if paired is None else paired
        if self.z.ndim != 2 or self.z.shape[1] != embedding.dim or not np.isfinite(self.z).all():
            raise InputError(f"z has shape {self.z.shape}; it must be finite numbers of shape (n, {embedding.dim})")

    def __len__(self) -> int:
        return len(self.z)

    def __getitem__(self, rows: slice) -> Points:
        base = self.base[rows] if self.base is not None and self._paired else self.base
        return Lifted(self.embedding, self.z[rows], base, paired=self._paired)

    def at(self, index: Index) -> Array:
        """Return coordinates, shape (n, len(index)), clipped into the task's bounds."""
        return self.embedding.space.clip(self._unclipped(index))

    def _unclipped(self, index: Index) -> Array:
        base = self.embedding.space.start if self.base is None else self.base
        return base.at(index) + self.embedding.image(self.z, index)

    def pull_back(self, gradients: Array) -> Array:
        """Return the gradients in the z that were lifted, shape (n, d), from those in x, (n, D): 0 where it clips."""
        index, space = np.arange(self.dim), self.embedding.space
        if space.lower is not None or space.upper is not None:
            x = self._unclipped(index)
            gradients = np.where(x == space.clip(x), gradients, 0.0)
        return self.embedding.stretch * self.embedding.pull_back(gradients, index)

    def recipe(self) -> tuple[Array, dict[str, Any]]:
        """Return z (behind the numbers of a base of n candidates) and the embedding's number."""
        plain: dict[str, Any] = {"embedding": self.embedding.number}
        if self.base is None:
            return self.z, plain
        if not self._paired:
            return self.z, {**plain, "base": expand(self.base)}
        numbers, base = self.base.recipe()
        return np.concatenate([numbers, self.z], axis=1), {**plain, "base": base}


class RandomEmbedding(Embedding):
    """A with independent entries, each row made on demand by a counter-based generator.

    Row i is the Philox stream keyed by (seed, number) from step i * ceil(dim / 4) on, so that a block of rows is
    one call and equals row-by-row access (Salmon et al., Parallel random numbers: as easy as 1, 2, 3, 2011).
    """

    def __init__(
        self, space: Space, dim: int, number: int, factor: float, seed: int, entries: Callable[[Array], Array]
    ) -> None:
        """`entries` maps uniforms of the open interval (0, 1) to entries of A, one to one."""
        super().__init__(space, dim, number, factor)
        self.entries = entries
        self._steps = -(-dim // 4)
        words = hashlib.blake2b(f"embedding/{seed}/{number}".encode(), digest_size=16).digest()
        self._key = np.frombuffer(words, dtype=np.uint64)

    def rows(self, index: Index) -> Array:
        """Return the rows `index` of A, shape (len(index), dim)."""
        out = np.empty((len(index), self.dim))
        breaks = np.flatnonzero(np.diff(index) != 1) + 1
        for begin, end in zip([0, *breaks], [*breaks, len(index)], strict=True):
            if begin < end:
                out[begin:end] = self._block(int(index[begin]), int(end - begin))
        return out

    def _block(self, first: int, count: int) -> Array:
        generator = np.random.Generator(np.random.Philox(key=self._key, counter=first * self._steps))
        uniforms = generator.random((count, 4 * self._steps))[:, : self.dim]
        # random() returns multiples of 2^-53 from 0 on; half a step up keeps quantile functions finite, and the last
        # of them would round to 1.
        return self.entries(np.minimum(uniforms + 2.0**-54, 1 - 2.0**-53))


class IdentityEmbedding(Embedding):
    """A = I: the optimizer searches the task's own space, a bounded one mapped to [-1, 1]."""

    def __init__(self, space: Space, number: int) -> None:
        if space.lower is not None and space.upper is not None:
            self._middle: float | None = (space.lower + space.upper) / 2
            factor = (space.upper - space.lower) / 2
        else:
            self._middle, factor = None, space.scale
        super().__init__(space, space.dim, number, factor)

    def rows(self, index: Index) -> Array:
        """Return rows of the identity, shape (len(index), dim)."""
        out = np.zeros((len(index), self.dim))
        out[np.arange(len(index)), index] = 1.0
        return out

    def image(self, z: Array, index: Index) -> Array:
        """Return the coordinates `index` of factor * z, shape (len(z), len(index)), without forming the matrix."""
        return self.factor * z[:, index]

    def pull_back(self, gradients: Array, index: Index) -> Array:
        """Return factor * g in the coordinates `index` and 0 in the others, shape (n, D)."""
        pulled = np.zeros((len(gradients), self.dim))
        pulled[:, index] = self.factor * gradients
        return pulled

    @cached_property
    def search_space(self) -> Space:
        """The task's box as [-1, 1] with the task's start in it; without bounds as any other, with letters."""
        if self._middle is None:
            letters = self.space.letters
            if letters is not None:
                letters = replace(letters, origin=self.space.start.dense()[0], step=self.factor * self.stretch)
            return replace(super().search_space, letters=letters)
        start = Dense((self.space.start.dense() - self._middle) / self.factor)
        return Space(self.dim, -1.0, 1.0, start, self.space.scale / self.factor)

    def lift(self, z: Array, base: Points | None = None) -> Points:
        """Return points around the middle of the task's box, or its start where it has none."""
        if base is None and self._middle is not None:
            base = Anchor.middle(self.space)
        return super().lift(z, base)
