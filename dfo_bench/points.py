"""Candidates of a space too large to write down: how they were made, and any coordinates on demand."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from dfo_bench.errors import InputError

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]

DENSE_LIMIT = 2**27
"""The largest number of coordinates that is ever written out at once (1 GiB)."""


class Points(ABC):
    """A batch of n candidates in R^dim, known by their recipe."""

    dim: int

    @abstractmethod
    def __len__(self) -> int:
        """Return n, the number of candidates."""

    @abstractmethod
    def __getitem__(self, rows: slice) -> "Points":
        """Return some of the candidates."""

    @abstractmethod
    def at(self, index: Index) -> Array:
        """Return the coordinates `index` of every candidate, shape (n, len(index))."""

    @abstractmethod
    def recipe(self) -> tuple[Array, dict[str, Any]]:
        """Return z of shape (n, k), which differs between the candidates, and the plain JSON they share."""

    def dense(self) -> Array:
        """Return all coordinates, shape (n, dim); refused above DENSE_LIMIT numbers."""
        if len(self) * self.dim > DENSE_LIMIT:
            raise InputError(
                f"{len(self)} points of dimension {self.dim} are more than {DENSE_LIMIT} numbers; "
                "read the coordinates that matter with at(index), or use a smaller dimension"
            )
        return self.at(np.arange(self.dim))

    def digests(self) -> list[str]:
        """Return one 16-digit digest of the recipe per candidate: equal recipes, equal digests."""
        z, plain = self.recipe()
        shared = xxhash.xxh3_64_intdigest(json.dumps(plain, sort_keys=True).encode())
        digest = xxhash.xxh3_64_hexdigest
        return [digest(row.data, shared) for row in np.ascontiguousarray(z)]


@dataclass(frozen=True)
class Space:
    """Where a search takes place: R^dim, or a box in it.

    The bounds are shared by all coordinates, or None; `start` is a single candidate; `scale` is the size of
    a typical step along one coordinate; `blocks` is how many equal consecutive blocks the coordinates fall into,
    one for each layer of a deep prompt; `meaning` says what the coordinates are, where points of one task are points
    of another whose space has the same.
    """

    dim: int
    lower: float | None
    upper: float | None
    start: Points
    scale: float
    blocks: int = 1
    meaning: str = ""

    @property
    def bounded(self) -> bool:
        """Whether both bounds are there."""
        return self.lower is not None and self.upper is not None

    def clip(self, x: Array) -> Array:
        """Return x inside the bounds."""
        if self.lower is not None:
            x = np.maximum(x, self.lower)
        if self.upper is not None:
            x = np.minimum(x, self.upper)
        return x


class Anchor(Points):
    """One candidate that its owner can always make again, by name: a task's start, or the origin."""

    def __init__(self, dim: int, name: str, coordinates: Callable[[Index], Array]) -> None:
        """`coordinates` maps an index array to that many coordinates."""
        self.dim, self.name, self.coordinates = dim, name, coordinates

    @classmethod
    def origin(cls, dim: int) -> "Anchor":
        """Return the point 0."""
        return cls(dim, "origin", lambda index: np.zeros(len(index)))

    @classmethod
    def middle(cls, space: Space) -> "Anchor":
        """Return the middle of a space that has both bounds."""
        if space.lower is None or space.upper is None:
            raise InputError("a space without two bounds has no middle")
        middle = (space.lower + space.upper) / 2
        return cls(space.dim, "middle", lambda index: np.full(len(index), middle))

    def __len__(self) -> int:
        """Return 1."""
        return 1

    def __getitem__(self, rows: slice) -> Points:
        """Return itself, or no candidates."""
        return self if len(range(1)[rows]) else Dense(np.empty((0, self.dim)))

    def at(self, index: Index) -> Array:
        """Return coordinates, shape (1, len(index))."""
        return self.coordinates(index)[None, :]

    def recipe(self) -> tuple[Array, dict[str, Any]]:
        """Return no numbers and the name."""
        return np.empty((1, 0)), {"anchor": self.name}


class Dense(Points):
    """Candidates given by all their coordinates, shape (n, dim)."""

    def __init__(self, x: Array) -> None:
        self.x = np.array(x, dtype=float, order="C")
        self.dim = self.x.shape[1]

    def __len__(self) -> int:
        """Return n."""
        return len(self.x)

    def __getitem__(self, rows: slice) -> Points:
        """Return some of the candidates."""
        return Dense(self.x[rows])

    def at(self, index: Index) -> Array:
        """Return columns."""
        return self.x[:, index]

    def recipe(self) -> tuple[Array, dict[str, Any]]:
        """Return the coordinates themselves."""
        return self.x, {"dense": self.dim}


class Blend(Points):
    """The candidates origin + weight * (target - origin), one for every weight.

    With the start as origin this is the withdraw step of sequential random embedding (Qian, Hu & Yu, 2016).
    """

    def __init__(self, origin: Points, target: Points, weights: Array) -> None:
        """`origin` and `target` are single candidates of one dimension; weights has shape (n,)."""
        self.origin, self.target, self.dim = origin, target, target.dim
        self.weights = np.array(weights, dtype=float)

    def __len__(self) -> int:
        """Return n."""
        return len(self.weights)

    def __getitem__(self, rows: slice) -> Points:
        """Return some of the candidates."""
        return Blend(self.origin, self.target, self.weights[rows])

    def at(self, index: Index) -> Array:
        """Return coordinates, shape (n, len(index))."""
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
        """Return 1."""
        return 1

    def __getitem__(self, rows: slice) -> Points:
        """Return the candidate, or none."""
        return self._make()[rows]

    def at(self, index: Index) -> Array:
        """Return coordinates, shape (1, len(index))."""
        if not np.array_equal(index, self._index):
            self._index, self._x = index.copy(), self._make().at(index)
        return self._x

    def recipe(self) -> tuple[Array, dict[str, Any]]:
        """Return the candidate's own recipe."""
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
        """Return n."""
        return len(self.parts[self.moving])

    def __getitem__(self, rows: slice) -> Points:
        """Return some of the candidates."""
        moved = self.parts[self.moving][rows]
        return Blocks([moved if i == self.moving else part for i, part in enumerate(self.parts)], self.moving)

    def at(self, index: Index) -> Array:
        """Return coordinates, shape (n, len(index)); of each part only those of its block are read."""
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


def expand(point: Points) -> dict[str, Any]:
    """Return a single candidate's recipe as plain JSON, its numbers under "z"."""
    z, plain = point.recipe()
    return {**plain, "z": z[0].tolist()}
