"""Cost-reduction fast-moving natural evolution strategy (Nomura & Ono, CEC 2022; arXiv 2201.11422).

Written here, after the paper and its authors' package crfmnes (MIT): that calls the function itself, one point at a
time, and draws from NumPy's global generator, so it can neither be asked for a batch nor replayed.
"""

from typing import Annotated, Unpack

import numpy as np
from pydantic import Field, PositiveFloat
from scipy.optimize import brentq

from dfo_bench.core import Array, Given, Space

from ._large_scale import LargeScale


class CrFmNes(LargeScale):
    """Natural gradients on a covariance D (I + v v^T) D: a diagonal and one direction, so O(d) of memory and time.

    Mirrored pairs, weights by distance while the mean moves, and rates of the step for moving, stagnating and
    converging. All constants are the paper's; its rate of the rank-one update, negative below d = 5, is 0 there.

    sigma: the first step in units of the space's scale; at most 0.3 of the width of a box.
    popsize: how many points are asked at a time, an even number; null is 4 + floor(3 ln d), made even.
    """

    def __init__(
        self,
        space: Space,
        *,
        sigma: PositiveFloat = 1.0,
        popsize: Annotated[int, Field(ge=4, multiple_of=2)] | None = None,
        **given: Unpack[Given],
    ) -> None:
        popsize = popsize or 4 + 2 * int(-(-int(3 * np.log(space.dim)) // 2))
        super().__init__(space, sigma=sigma, popsize=popsize, **given)

    def _begin(self) -> None:
        dim, size = self.space.dim, self._popsize
        ranked = np.maximum(np.log(size / 2 + 1) - np.log(np.arange(1, size + 1)), 0)
        self._ranked, self._by_rank = ranked, ranked / ranked.sum() - 1 / size
        self._effective = 1 / ((ranked / ranked.sum()) ** 2).sum()
        effective = self._effective
        self._step_rate = (effective + 2) / (dim + effective + 5)
        self._path_rate = (4 + effective / dim) / (dim + 4 + 2 * effective / dim)
        self._rank_one = max(0.0, (dim - 5) / 6) * 2 / ((dim + 1.3) ** 2 + effective)
        self._expected = np.sqrt(dim) * (1 - 1 / (4 * dim) + 1 / (21 * dim**2))  # of |N(0, I)|
        pull = brentq(lambda a: (1 + a * a) * np.exp(a * a / 2) / 0.24 - 10 - dim, 0, 12)
        self._pull = float(pull) * min(1.0, np.sqrt(size / dim))  # alpha_dist of a population without failures
        self._v, self._d = self.rng.standard_normal(dim) / np.sqrt(dim), np.ones(dim)
        self._step_path, self._evolution = np.zeros(dim), np.zeros(dim)

    def _sample(self) -> Array:
        half = self.rng.standard_normal((self._popsize // 2, self.space.dim))
        self._z = np.concatenate([half, -half])
        length = np.linalg.norm(self._v)
        unit = self._v / length
        self._y = self._z + (np.sqrt(1 + length**2) - 1) * np.outer(self._z @ unit, unit)
        return self._y * self._d

    def _learn(self, losses: Array) -> None:
        dim, size, failed = self.space.dim, self._popsize, np.isinf(losses)
        valid = size - int(failed.sum())
        # Failures are ranked by their distance, the nearest first
        squares = (self._z**2).sum(axis=1)
        order = np.lexsort([np.where(failed, squares, 0.0), losses])
        z, y, squares = self._z[order], self._y[order], squares[order]
        self._step_path = self._path(self._step_path, self._step_rate, self._by_rank @ z)
        moved = np.linalg.norm(self._step_path)
        if moved >= self._expected:
            exponent = self._pull * np.sqrt(valid / size) * np.sqrt(squares)
            weights = self._ranked * np.exp(exponent - exponent.max())
            weights = weights / weights.sum() - 1 / size
            rate = 1.0
        else:
            weights = self._by_rank
            stagnating = np.tanh((0.024 * valid + 0.7 * dim + 20) / (dim + 12))
            converging = 2 * np.tanh((0.025 * valid + 0.75 * dim + 10) / (dim + 4))
            rate = stagnating if moved >= 0.1 * self._expected else converging
        step = weights @ (y * self._d)
        self._evolution = self._path(self._evolution, self._path_rate, step)
        self._mean += self._sigma * step
        shape_rate = np.tanh((min(0.02 * valid, 3 * np.log(dim)) + 5) / (0.23 * dim + 25))
        self._reshape(
            np.concatenate([y, (self._evolution / self._d)[None]]),
            np.append(shape_rate * weights, self._rank_one * valid / size),
        )
        self._sigma *= float(np.exp(rate / 2 * (weights @ (squares - dim)) / dim))

    def _reshape(self, y: Array, rates: Array) -> None:
        """Follow the natural gradient of v and D, each direction of y at its rate (VD-CMA, Akimoto et al. 2014)."""
        square = self._v @ self._v
        unit = self._v / np.sqrt(square)
        squares, gamma = unit**2, 1 + square
        alpha = min(1.0, np.sqrt(square**2 + (2 * gamma - np.sqrt(gamma)) / squares.max()) / (2 + square))
        along = (y @ unit)[:, None]
        t = along * y - (along**2 + gamma) / 2 * unit
        b = -(1 - alpha**2) * square**2 / gamma + 2 * alpha**2
        inverse = 1 / (2 - (b + 2 * alpha**2) * squares)
        s = y**2 - square / gamma * along * y * unit - 1
        s -= alpha / gamma * ((2 + square) * t * unit - square * np.outer(t @ unit, squares))
        weighted = inverse * squares
        s = s * inverse - b / (1 + b * squares @ weighted) * np.outer(s @ weighted, weighted)
        t -= alpha * ((2 + square) * s * unit - np.outer(s @ squares, unit))
        self._v = self._v + (rates @ t) / np.sqrt(square)
        # In few dimensions a rate of 0.3 may turn an axis over; it shrinks to a tenth at most.
        self._d = self._d * np.maximum(1 + rates @ s, 0.1)
        # The volume is the step's: det A = 1
        self._d /= np.exp(np.log(self._d).mean() + np.log(1 + self._v @ self._v) / (2 * len(self._d)))
