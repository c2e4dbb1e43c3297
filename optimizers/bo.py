"""Bayesian optimization: expected improvement on a Gaussian process (Jones et al., 1998), by optuna's GPSampler."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import optuna
from optuna.distributions import FloatDistribution
from pydantic import PositiveFloat, PositiveInt
from scipy.stats import qmc

from dfo_bench.core import Array, Dense, Optimizer, Space

from ._box import BOX
from ._pycma import Pycma

_STARTUP = 8
"""Points of the Sobol' start-up, a power of 2: ten or more would be most of a small share in REMBO."""


class Bo(Optimizer):
    """A Gaussian process for the first points, then CMA-ES in the same box from their incumbent.

    A point from a Gaussian process on n points costs O(n^3): 8,000 evaluations are feasible only if it ends early
    (Wang et al., JAIR 2016, interleave and restart for the same reason). Searches u in [-1, 1]^d, the space's box or
    `box` scales around the start. Failures are the worst finite loss to the process.
    """

    def __init__(
        self,
        space: Space,
        *,
        budget: int,
        rng: np.random.Generator,
        points: PositiveInt = 150,
        box: PositiveFloat | None = None,
    ) -> None:
        """`points` come from start-up and process; `box` serves spaces without bounds, 5 where it is None."""
        super().__init__(space, budget=budget, rng=rng)
        start = space.start.dense()
        if space.lower is not None and space.upper is not None:
            self._centre: float | Array = (space.lower + space.upper) / 2
            self._half = (space.upper - space.lower) / 2
        else:
            self._centre, self._half = start, (box or BOX) * space.scale
        self._points = points
        self._best, self._incumbent = np.inf, (start - self._centre) / self._half
        self._told = 0
        self._cma: Pycma | None = None
        self._axes = {f"{i:09d}": FloatDistribution(-1.0, 1.0) for i in range(space.dim)}
        with _quiet():
            sampler = optuna.samplers.GPSampler(
                seed=int(rng.integers(2**31)), n_startup_trials=1, deterministic_objective=True
            )
            self._study = optuna.create_study(sampler=sampler)

    def ask(self) -> Array:
        """Return the start-up at once, then point by point, then one population after the other."""
        self._u = self._propose()
        return self.space.clip(self._centre + self._half * self._u)

    def _propose(self) -> Array:
        if self._cma:
            return self._cma.ask()
        if not self._told:
            points: Array = 2 * qmc.Sobol(self.space.dim, rng=self.rng).random(_STARTUP) - 1
            return points[: self._points]
        with _quiet():
            self._trial = self._study.ask(self._axes)
        return np.array([[self._trial.params[axis] for axis in self._axes]])

    def tell(self, x: Array, losses: Array) -> None:
        """Add the points to the process, or update CMA-ES."""
        if self._cma:
            self._cma.tell(self._u, losses)
            return
        for u, loss in zip(self._u, losses, strict=True):
            if loss < self._best:
                self._best, self._incumbent = loss, u[None, :]
            params = dict(zip(self._axes, u.tolist(), strict=True))
        ...
