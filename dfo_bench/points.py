"""Points: candidates of a space too large to write down, known by how they were made; and Space, where they lie."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash
from typing_extensions import override

from dfo_bench.errors import InputError

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]

DENSE_LIMIT = 2**27
"""The largest number of coordinates that is ever written out at once (1 GiB)."""


class Points(ABC):
    """A batch of n candidates in R^dim, known by their recipe."""

    dim: int
    examples: tuple[int, ...] = ()
    """On which of the task's examples this very batch is to be evaluated, () for all; what is cut of it is whole."""

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


@dataclass(frozen=True, eq=False)
class Letters:
    """The vectors that matter of a space whose points are read as a sequence of such, each as the nearest of these."""

    rows: npt.NDArray[np.floating[Any]]
    """Shape (n, size)."""
    origin: Array | None = None
    """The point that has the coordinates 0, shape (dim,); None for 0."""
    step: float = 1.0
    """What the coordinates are multiplied by, before the origin is added."""

    def points(self, sequences: Index) -> Array:
        """Return the coordinates of sequences of letters, shape (n, length): (n, length * size)."""
        x = self.rows[sequences].reshape(len(sequences), -1).astype(float)
        return (x if self.origin is None else x - self.origin) / self.step

    def read(self, x: Array) -> Index:
        """Return the sequences that points are read as, by Euclidean distance: (n, dim) becomes (n, length)."""
        size = self.rows.shape[1]
        vectors = (self.step * x + (0.0 if self.origin is None else self.origin)).reshape(-1, size)
        nearest = (vectors @ self.rows.T - (self.rows**2).sum(axis=1) / 2).argmax(axis=1)
        return nearest.reshape(len(x), -1)


@dataclass(frozen=True)
class Space:
    """Where a search takes place: R^dim, or a box in it."""

    dim: int
    lower: float | None
    """The lower bound of every coordinate, None where there is none; as `upper`."""
    upper: float | None
    start: Points
    """The single candidate to begin at; `start.dense()[0]` are its coordinates, shape (dim,)."""
    scale: float
    """The size of a typical step along one coordinate."""
    blocks: int = 1
    """How many equal consecutive blocks the coordinates fall into, one for each layer of a deep prompt."""
    meaning: str = ""
    """What the coordinates are: points of one task are points of another whose space has the same meaning."""
    letters: Letters | None = None
    """Where only some points matter: of what they are made."""

    @property
    def bounded(self) -> bool:
        """Whether both bounds are there."""
        return self.lower is not None and self.upper is not None

    def clip(self, x: Array) -> Array:
        """Return x, of any shape, with every coordinate inside the bounds."""
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
        return len(self.x)

    def __getitem__(self, rows: slice) -> Points:
        return Dense(self.x[rows])

    @override
    def at(self, index: Index) -> Array:
        return self.x[:, index]

    def recipe(self) -> tuple[Array, dict[str, Any]]:
        """Return the coordinates themselves."""
        return self.x, {"dense": self.dim}


def expand(point: Points) -> dict[str, Any]:
    """Return a single candidate's recipe as plain JSON, its numbers under "z"."""
    z, plain = point.recipe()
    return {**plain, "z": z[0].tolist()}
