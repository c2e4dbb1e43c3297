"""Bayesian optimization: expected improvement on a Gaussian process (Jones, Schonlau & Welch, 1998).

What is maximised is the logarithm of the improvement (Ament et al., NeurIPS 2023); the process has the
dimension-scaled prior of Hvarfner, Hellsten & Nardi (ICML 2024).
"""

from typing import Unpack

import numpy as np
from pydantic import PositiveFloat, PositiveInt
from scipy.optimize import Bounds, minimize

from dfo_bench.core import Array, Dense, Given, Optimizer, Space

from ._embedded import BOX
from ._gp import GaussianProcess, standardized
from ._losses import tamed
from ._pycma import Pycma

_STARTUP = 8
"""Random points before the first process: ten or more are too large a part of a small share in REMBO."""

_CANDIDATES, _CLIMBS = 512, 4
"""Points of either kind at which the improvement is looked up, and how many of the best climb on from there."""


class Bo(Optimizer):
    """A Gaussian process for the first points, then CMA-ES in the same box from their incumbent.

    A process on n points costs O(n^3), so it must end early for 8,000 evaluations to be feasible. Both search
    u in [0, 1]^d, which is the space's box, or `box` scales to each side of its start; the start itself is not asked.

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
            self._corner: float | Array = space.lower
            self._width = space.upper - space.lower
        else:
            half = (box or BOX) * space.scale
            self._corner, self._width = start - half, 2 * half
        self._best, self._incumbent = np.inf, (start - self._corner) / self._width
        self._points, self._told = points, np.empty((0, space.dim))
        self._losses = np.empty(0)
        self._cma: Pycma | None = None

    def ask(self) -> Array:
        """Return the start-up at once, then points of the process one by one, then populations of CMA-ES."""
        if self._cma:
            self._u = self._cma.ask()
        elif len(self._losses):
            self._u = self._improving()
        else:
            self._u = self.rng.random((min(_STARTUP, self._points), self.space.dim))
        return self.space.clip(self._corner + self._width * self._u)

    def _improving(self) -> Array:
        """Return the point that improves most, shape (1, d): the best of some climbs of the logarithm."""
        process = GaussianProcess(self._told, standardized(self._losses))
        dim = self.space.dim
        around = self.rng.random((_CANDIDATES, dim))
        # In many dimensions a uniform point is far from all that is known; one that differs from the incumbent in
        # about 20 coordinates is not (Papenmeier, Poloczek & Nardi, section 5).
        moved = self.rng.random((_CANDIDATES, dim)) < min(1.0, 20 / dim)
        nearby = np.clip(self._incumbent + moved * 0.1 * self.rng.standard_normal((_CANDIDATES, dim)), 0, 1)
        candidates = np.concatenate([around, nearby])
        values = process.log_improvement(candidates)[0]

        def fall(u: Array) -> tuple[float, Array]:
            value, gradient = process.log_improvement(u[None])
            return -float(value[0]), -gradient[0]

        tops = candidates[np.argsort(-values, kind="stable")[:_CLIMBS]]
        climbs = [minimize(fall, u, jac=True, method="L-BFGS-B", bounds=Bounds(0, 1)) for u in tops]
        return np.clip(min(climbs, key=lambda climb: climb.fun).x, 0, 1)[None]

    def tell(self, x: Array, losses: Array) -> None:
        """Add the points to the process, or update CMA-ES."""
        if self._cma:
            self._cma.tell(self._u, losses)
            return
        self._told = np.concatenate([self._told, self._u])
        self._losses = np.concatenate([self._losses, tamed(losses)])
        best = int(np.argmin(losses))
        if losses[best] < self._best:
            self._best, self._incumbent = losses[best], self._u[best : best + 1]
        if len(self._losses) == self._points:
            box = Space(self.space.dim, 0.0, 1.0, Dense(self._incumbent), self.space.scale / self._width)
            self._cma = Pycma(box, budget=self.budget, rng=self.rng, sigma=1.0, popsize=20)
            self._cma.events = self.events
