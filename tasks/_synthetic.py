"""Test functions of a few effective variables in a space of any dimension."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import PositiveInt
from typing_extensions import override

from dfo_bench.core import Anchor, Array, Index, InputError, Points, Rngs, Space, Squares, Task

_ROTATED = 1_000
"""The most variables that are rotated: a matrix of a million numbers, drawn in a second."""

_TAIL = 10**6
"""The largest dimension whose coordinates are all read: 160 MB for a batch of 20."""


class Synthetic(Task):
    """f(x) = g(x[index]) on [-1, 1]^dim, where index and start are drawn per seed.

    An optimum or a start at 0 would favour optimizers that search around 0, so both are random unless given. The
    start is U(-0.5, 0.5): off the centre, yet near enough for a box around it to reach most of the domain.
    """

    def __init__(
        self, dim: int, effective: int, start: float | None, rngs: Rngs, active: Sequence[int] | None = None
    ) -> None:
        """Draw which coordinates matter, and the start.

        dim: D, the dimension of the task's space.
        effective: how many coordinates matter.
        start: the value of all coordinates at the start; null draws them.
        active: which coordinates matter, from 0 on, in the order of the function's variables; null draws them.
        """
        if dim < effective:
            raise InputError(f"dim={dim} is below the {effective} effective variables; use dim={effective} or more")
        if active is None:
            self._index: Index = np.sort(rngs("task").choice(dim, effective, replace=False))
        elif len(active) == len(set(active)) == effective and 0 <= min(active) <= max(active) < dim:
            self._index = np.array(active, dtype=np.int64)
        else:
            raise InputError(
                f"active={list(active)} must be {effective} different coordinates, each of 0 to {dim - 1}; "
                f"write active={list(range(effective))}, or leave it out to draw them"
            )
        key = int(rngs("start").integers(2**63))

        def draw(index: Index) -> Array:
            return _uniform(index, key) - 0.5 if start is None else np.full(len(index), start)

        effective_start = draw(self._index)

        def coordinates(index: Index) -> Array:
            return effective_start if index is self._index else draw(index)

        self.space = Space(dim, -1.0, 1.0, Anchor(dim, "start", coordinates), 1.0)

    def evaluate(self, points: Points) -> Array:
        """Read the effective coordinates, and nothing else."""
        # One memory layout, so that every row is summed in one order and has one loss in any batch.
        return self.value(np.ascontiguousarray(points.at(self._index)))

    @abstractmethod
    def value(self, x: Array) -> Array:
        """Return the losses (n,) for the effective coordinates (n, effective)."""


class Shifted(Synthetic):
    """A function whose optimum o is U(-0.8, 0.8) in every effective coordinate."""

    optimum = 0.0

    def __init__(
        self,
        *,
        rngs: Rngs,
        dim: PositiveInt = 100,
        effective: PositiveInt = 10,
        shift: float | None = None,
        start: float | None = None,
        tail: bool = False,
    ) -> None:
        """Draw the optimum.

        shift: the value of all coordinates of the optimum o; null draws them.
        tail: adds the mean of (x_i - o_i)^2 over all other coordinates i, as Qian, Hu & Yu (IJCAI 2016) have it.
        """
        super().__init__(dim, effective, start, rngs)
        count = dim if tail else effective
        if tail and not effective < dim <= _TAIL:
            raise InputError(
                f"tail=true reads every coordinate: dim={dim} must be above effective={effective} and at most {_TAIL}; "
                "use another dim, or tail=false"
            )
        optimum = rngs("shift").uniform(-0.8, 0.8, count) if shift is None else np.full(count, shift)
        self._shift, self._tail_shift = optimum[:effective], optimum[effective:]
        if tail:
            self._all: Index = np.concatenate([self._index, np.setdiff1d(np.arange(dim), self._index)])
            # Large products of an embedding round by the size of the batch.
            self.tolerance = 1e-9

    def evaluate(self, points: Points) -> Array:
        """Read the effective coordinates, and the others where there is a tail."""
        if not len(self._tail_shift):
            return super().evaluate(points)
        # All in one read: an embedding keeps the rows that were read last. One memory layout, as above.
        x, effective = np.ascontiguousarray(points.at(self._all)), len(self._shift)
        tail = ((x[:, effective:] - self._tail_shift) ** 2).mean(axis=1)
        return self.value(np.ascontiguousarray(x[:, :effective])) + tail

    def value(self, x: Array) -> Array:
        """Return the losses (n,) for the effective coordinates (n, effective)."""
        return self.centred(self.variables(x))

    def variables(self, x: Array) -> Array:
        """Return the variables of the function whose optimum is at 0, of the effective coordinates."""
        return x - self._shift

    @abstractmethod
    def centred(self, x: Array) -> Array:
        """Return the losses (n,) of the function whose optimum is at 0."""


class Rotated(Shifted):
    """A function of R (x - o), where the rotation R of the effective variables is drawn from Haar's measure.

    Without it optimizers that search one variable at a time would be favoured.
    """

    def __init__(self, *, rngs: Rngs, effective: PositiveInt = 10, rotated: bool = True, **common: Any) -> None:
        """Draw the rotation.

        rotated: false leaves the function as it was published.
        """
        if rotated and effective > _ROTATED:
            raise InputError(
                f"effective={effective} are too many variables to rotate; use effective={_ROTATED} or less, or "
                "rotated=false"
            )
        super().__init__(rngs=rngs, effective=effective, **common)
        self._rotation = _rotation(effective, rngs("rotation")) if rotated else None

    @override
    def variables(self, x: Array) -> Array:
        z = super().variables(x)
        if self._rotation is not None:
            # Row by row, so that a point has one loss in any batch: BLAS rounds by the shape.
            z = np.matmul(z[:, None, :], self._rotation)[:, 0]
        return z


class SumOfSquares(Shifted):
    """A function that is a sum of squares, for optimizers that see the numbers that are squared, too."""

    def __init__(self, *, rngs: Rngs, **common: Any) -> None:
        super().__init__(rngs=rngs, **common)
        if not len(self._tail_shift):
            self.outer = Squares(self.residuals(np.zeros((1, len(self._shift)))).shape[1])

    @property
    def no_outputs(self) -> str:
        """Why it has no outputs, "" where it has some."""
        return "" if self.outer else "with tail=true there would be an output for every coordinate; pass tail=false"

    def outputs(self, points: Points) -> Array:
        """Return the numbers that are squared, shape (n, *outer.shape)."""
        if self.no_outputs:
            return super().outputs(points)
        return self.residuals(self.variables(np.ascontiguousarray(points.at(self._index))))

    def centred(self, x: Array) -> Array:
        """Return the sums of squares."""
        residuals = self.residuals(x)
        return Squares(residuals.shape[1]).loss(residuals)

    @abstractmethod
    def residuals(self, x: Array) -> Array:
        """Return the numbers that are squared, shape (n, m), of the function whose optimum is at 0."""


def _rotation(dim: int, rng: np.random.Generator) -> Array:
    """Draw an orthogonal matrix: the Q of a Gaussian one, once R has a positive diagonal (Stewart, 1980)."""
    q, r = np.linalg.qr(rng.standard_normal((dim, dim)))
    return np.ascontiguousarray(q * np.sign(np.diag(r)))


def _uniform(index: Index, key: int) -> Array:
    """Return the numbers `index` of stream `key`, in [0, 1), by splitmix64 (Steele, Lea & Flood, OOPSLA 2014)."""
    x = index.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(key)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.ldexp(((x ^ (x >> np.uint64(31))) >> np.uint64(11)).astype(np.float64), -53)
