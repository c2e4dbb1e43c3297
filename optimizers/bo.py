"""Bayesian optimization: expected improvement on a Gaussian process (Jones, Schonlau & Welch, 1998), by optuna.

Its GPSampler maximises the logarithm of the improvement, which has the same maximum (Ament et al., NeurIPS 2023).
"""

from typing import Unpack

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from pydantic import PositiveFloat, PositiveInt

from dfo_bench.core import Array, Dense, Given, Optimizer, Space

from ._embedded import BOX
from ._losses import tamed
from ._optuna import quiet
from ._pycma import Pycma

_STARTUP = 8
"""Random points before the first process: ten or more are too large a part of a small share in REMBO."""


class Bo(Optimizer):
    """A Gaussian process for the first points, then CMA-ES in the same box from their incumbent.

    A process on n points costs O(n^3), so it must end early for 8,000 evaluations to be feasible. Both search
    u in [-1, 1]^d, which is the space's box, or `box` scales to each side of its start; the start itself is not asked.

    points: how many points come from start-up and process.
    box: half the width of the search box where the space has no bounds, in units of its scale; null is 5.
    """

    def __init__(
        self,
        space: Space,
        *,
        points: PositiveInt = 150,
        box: PositiveFloat | None = None,
        **given: Unpack[Given],
    ) -> None:
        super().__init__(space, **given)
        start = space.start.dense()
        if space.lower is not None and space.upper is not None:
            self._centre: float | Array = (space.lower + space.upper) / 2
            self._half = (space.upper - space.lower) / 2
        else:
            self._centre, self._half = start, (box or BOX) * space.scale
        self._best, self._incumbent = np.inf, (start - self._centre) / self._half
        self._points, self._told = points, 0
        self._cma: Pycma | None = None
        self._axes: dict[str, BaseDistribution] = {f"u{i}": FloatDistribution(-1.0, 1.0) for i in range(space.dim)}
        with quiet():
            seed = int(self.rng.integers(2**31))
            # GPSampler fits a failure, +inf, as the worst finite loss it knows.
            sampler = optuna.samplers.GPSampler(seed=seed, n_startup_trials=_STARTUP, deterministic_objective=True)
            self._study = optuna.create_study(sampler=sampler)

    def ask(self) -> Array:
        """Return the start-up at once, then points of the process one by one, then populations of CMA-ES."""
        if self._cma:
            self._u = self._cma.ask()
        else:
            count = 1 if self._told else min(_STARTUP, self._points)
            with quiet():
                self._trials = [self._study.ask(self._axes) for _ in range(count)]
            self._u = np.array([[trial.params[axis] for axis in self._axes] for trial in self._trials])
        return self.space.clip(self._centre + self._half * self._u)

    def tell(self, x: Array, losses: Array) -> None:
        """Add the points to the process, or update CMA-ES."""
        if self._cma:
            self._cma.tell(self._u, losses)
            return
        for trial, loss in zip(self._trials, tamed(losses).tolist(), strict=True):
            self._study.tell(trial, loss)
        best = int(np.argmin(losses))
        if losses[best] < self._best:
            self._best, self._incumbent = losses[best], self._u[best : best + 1]
        self._told += len(losses)
        if self._told == self._points:
            box = Space(self.space.dim, -1.0, 1.0, Dense(self._incumbent), self.space.scale / self._half)
            self._cma = Pycma(box, budget=self.budget, rng=self.rng, sigma=1.0, popsize=20)
            self._cma.events = self.events
            del self._study, self._trials
