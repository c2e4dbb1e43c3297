"""Points made of other points: on the way between two, in blocks, or remembered."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from typing_extensions import override

from dfo_bench.errors import InputError
from dfo_bench.points import Array, Index, Points, expand


class Blend(Points):
    """The candidates origin + weight * (target - origin), one for every weight.

    With the start as origin this is the withdraw step of sequential random embedding (Qian, Hu & Yu, 2016).
    """

    def __init__(self, origin: Points, target: Points, weights: Array) -> None:
        """`origin` and `target` are single candidates of one dimension; weights has shape (n,)."""
        self.origin, self.target, self.dim = origin, target, target.dim
        self.weights = np.array(weights, dtype=float)

    def __len__(self) -> int:
        return len(self.weights)

    def __getitem__(self, rows: slice) -> Points:
        return Blend(self.origin, self.target, self.weights[rows])

    @override
    def at(self, index: Index) -> Array:
        origin = self.origin.at(index)
        return origin + self.weights[:, None] * (self.target.at(index) - origin)

    def recipe(self) -> tuple[Array, dict[str, Any]]:
        """Return the weights, and the recipes of both ends."""
        return self.weights[:, None], {"origin": expand(self.origin), "target": expand(self.target)}


class Kept(Points):
    """One candidate that remembers the coordinates last read, but not what it takes to make them."""

    def __init__(self, dim: int, make: Callable[[], Points]) -> None:
        """`make` returns the candidate."""
        self.dim, self._make = dim, make
        self._index: Index = np.empty(0, dtype=np.int64)
        self._x = np.empty((1, 0))

    def __len__(self) -> int:
        return 1

    def __getitem__(self, rows: slice) -> Points:
        """Return the candidate, or none."""
        return self._make()[rows]

    @override
    def at(self, index: Index) -> Array:
        if not np.array_equal(index, self._index):
            self._index, self._x = index.copy(), self._make().at(index)
        return self._x

    @override
    def recipe(self) -> tuple[Array, dict[str, Any]]:
        return self._make().recipe()


class Blocks(Points):
    """Candidates whose coordinates fall into equal consecutive blocks, each block read from Points of its own.

    The part `moving` has n candidates and every other part one: a layer is searched while the rest stands still.
    """

    def __init__(self, parts: Sequence[Points], moving: int) -> None:
        """`parts` are Points of the whole space, one for each block."""
        self.parts, self.moving, self.dim = tuple(parts), moving, parts[moving].dim
        fixed = [part for i, part in enumerate(parts) if i != moving]
        if self.dim % len(parts) or any(part.dim != self.dim or len(part) != 1 for part in fixed):
            raise InputError(f"{self.dim} coordinates cannot be {len(parts)} equal blocks of one candidate but one")

    def __len__(self) -> int:
        return len(self.parts[self.moving])

    def __getitem__(self, rows: slice) -> Points:
        moved = self.parts[self.moving][rows]
        return Blocks([moved if i == self.moving else part for i, part in enumerate(self.parts)], self.moving)

    @override
    def at(self, index: Index) -> Array:
        """Read of each part only the coordinates of its block."""
        x = np.empty((len(self), len(index)))
        block = index // (self.dim // len(self.parts))
        for i in np.unique(block):
            mine = np.flatnonzero(block == i)
            first, end = mine[0], mine[-1] + 1
            # A slice is written many times faster than a selection.
            columns = slice(first, end) if end - first == len(mine) else mine
            x[:, columns] = self.parts[i].at(index[columns])
        return x

    def recipe(self) -> tuple[Array, dict[str, Any]]:
        """Return the numbers of the moving part, and the recipes of all, of which only the moving has no numbers."""
        z, plain = self.parts[self.moving].recipe()
        return z, {"blocks": [plain if i == self.moving else expand(part) for i, part in enumerate(self.parts)]}
