"""Sequences of letters, which discrete searches propose: of a task's words, or of levels of every coordinate."""

import numpy as np
from scipy.stats import norm

from dfo_bench.core import Array, Index, Letters, Space

_LEVELS = 32
"""How many values a coordinate may have where a space has no letters: quantiles of the normal distribution."""


class Alphabet:
    """The letters of a space; where it has none, each coordinate is a letter of its own: start + scale * a level."""

    def __init__(self, space: Space) -> None:
        self._space, start = space, space.start.dense()
        levels = norm.ppf((np.arange(_LEVELS) + 0.5) / _LEVELS)[:, None]
        self._letters = space.letters or Letters(levels, -start[0] / space.scale, 1 / space.scale)
        self.size = len(self._letters.rows)
        self.start: Index = self._letters.read(start)[0]
        """The sequence that the search begins at."""
        self.length = len(self.start)

    def points(self, sequences: Index) -> Array:
        """Return the points of sequences, shape (n, length)."""
        return self._space.clip(self._letters.points(sequences))
