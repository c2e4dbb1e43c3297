"""Least squares of any number of variables, by Moré, Garbow & Hillstrom (ACM TOMS 7, 1981), from their starts."""

from collections.abc import Callable
from typing import Annotated, Literal, get_args

import numpy as np
from pydantic import Field, PositiveInt

from dfo_bench.core import Array, InputError, Points, Rngs, Squares

from ._synthetic import Synthetic

Function = Literal[
    "powell", "variably_dimensioned", "trigonometric", "brown", "boundary", "integral", "tridiagonal", "banded"
]

_REACH = 4.0
"""How far the box goes from the start along every variable: every minimiser lies in it."""


class LeastSquares(Synthetic):
    """The sum of the squares of a published function's residuals, each function with its minimum 0.

    Its variables are v = start + 4 x of the effective coordinates x in [-1, 1], at the published start where x is 0.

    function: powell is their (22), variably_dimensioned (25), trigonometric (26), brown (27), boundary (28), integral
        (29), tridiagonal (30) and banded (31).
    """

    optimum = 0.0

    def __init__(
        self,
        *,
        rngs: Rngs,
        function: Function = "tridiagonal",
        dim: PositiveInt = 100,
        effective: Annotated[int, Field(ge=2)] = 10,
    ) -> None:
        if function == "powell" and effective % 4:
            raise InputError(f"powell has four variables or a multiple of it, got effective={effective}; pass 8 or 12")
        super().__init__(dim, effective, 0.0, rngs)
        self._from, self._function = _START[function](effective), _RESIDUALS[function]
        self.outer = Squares(self._function(self._from[None]).shape[1])

    def outputs(self, points: Points) -> Array:
        """Return the residuals, shape (n, *outer.shape)."""
        return self._residuals(np.ascontiguousarray(points.at(self._index)))

    def value(self, x: Array) -> Array:
        """Return the sums of squares."""
        residuals = self._residuals(x)
        return Squares(residuals.shape[1]).loss(residuals)

    def _residuals(self, x: Array) -> Array:
        return self._function(self._from + _REACH * x)


def _powell(v: Array) -> Array:
    a, b, c, d = (v[:, i::4] for i in range(4))
    return np.concatenate([a + 10 * b, 5**0.5 * (c - d), (b - 2 * c) ** 2, 10**0.5 * (a - d) ** 2], axis=1)


def _variably_dimensioned(v: Array) -> Array:
    total = ((v - 1) * np.arange(1, v.shape[1] + 1)).sum(axis=1, keepdims=True)
    return np.concatenate([v - 1, total, total**2], axis=1)


def _trigonometric(v: Array) -> Array:
    n = v.shape[1]
    return n - np.cos(v).sum(axis=1, keepdims=True) + np.arange(1, n + 1) * (1 - np.cos(v)) - np.sin(v)


def _brown(v: Array) -> Array:
    n = v.shape[1]
    return np.concatenate([v[:, :-1] + v.sum(axis=1, keepdims=True) - (n + 1), v.prod(axis=1, keepdims=True) - 1], 1)


def _times(n: int) -> Array:
    return np.arange(1, n + 1) / (n + 1)


def _boundary(v: Array) -> Array:
    n = v.shape[1]
    before, after = np.pad(v, ((0, 0), (1, 0)))[:, :-1], np.pad(v, ((0, 0), (0, 1)))[:, 1:]
    return 2 * v - before - after + (v + _times(n) + 1) ** 3 / (2 * (n + 1) ** 2)


def _integral(v: Array) -> Array:
    n = v.shape[1]
    t = _times(n)
    cubes = (v + t + 1) ** 3
    below = np.cumsum(t * cubes, axis=1)
    above = np.cumsum(((1 - t) * cubes)[:, ::-1], axis=1)[:, ::-1] - (1 - t) * cubes
    return v + ((1 - t) * below + t * above) / (2 * (n + 1))


def _tridiagonal(v: Array) -> Array:
    before, after = np.pad(v, ((0, 0), (1, 0)))[:, :-1], np.pad(v, ((0, 0), (0, 1)))[:, 1:]
    return (3 - 2 * v) * v - before - 2 * after + 1


def _banded(v: Array) -> Array:
    n = v.shape[1]
    place = np.subtract.outer(np.arange(n), np.arange(n))
    near = ((place <= 5) & (place >= -1) & (place != 0)).astype(float)
    # One row after the other, so that a point has one loss in any batch.
    band = np.einsum("ij,kj->ki", near, v * (1 + v))
    return v * (2 + 5 * v**2) + 1 - band


_RESIDUALS: dict[str, Callable[[Array], Array]] = dict(
    zip(
        get_args(Function),
        (_powell, _variably_dimensioned, _trigonometric, _brown, _boundary, _integral, _tridiagonal, _banded),
        strict=True,
    )
)

_START: dict[str, Callable[[int], Array]] = {
    "powell": lambda n: np.tile([3.0, -1.0, 0.0, 1.0], n // 4),
    "variably_dimensioned": lambda n: 1 - np.arange(1, n + 1) / n,
    "trigonometric": lambda n: np.full(n, 1 / n),
    "brown": lambda n: np.full(n, 0.5),
    "boundary": lambda n: _times(n) * (_times(n) - 1),
    "integral": lambda n: _times(n) * (_times(n) - 1),
    "tridiagonal": lambda n: np.full(n, -1.0),
    "banded": lambda n: np.full(n, -1.0),
}
