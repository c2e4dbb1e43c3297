"""Bayesian optimization with a linear kernel on a sphere (Doumont, Fan, Maus, Gardner, Moss & Pleiss, 2512.00170)."""

from typing import Unpack

import numpy as np
from pydantic import PositiveFloat, PositiveInt
from scipy.linalg import cho_factor, cho_solve, eigh
from scipy.linalg.lapack import dpotri
from scipy.optimize import minimize
from scipy.special import log_ndtr

from dfo_bench.core import Array, Given, Optimizer, Space

from ._embedded import BOX
from ._gp import log_h, standardized
from ._losses import tamed

_FRACTIONS = 0.25, 0.5, 0.75
"""Where the evidence looks for f: the sphere's equator is at sqrt(f) of the way from the centre to a corner."""

_RIDGES = 10.0 ** np.arange(-4, 3.1)
"""And for the variance of the noise over that of a weight."""

_REFIT = 1.1
"""How many times as many points there must be before the evidence is asked again."""

_AHEAD, _CLIMB = 4, 15
"""The most steps of a climb of the acquisition from every start, and of one from where the best of these ends."""


class Lbo(Optimizer):
    """Bayesian linear regression on the inverse stereographic projection of the box, whose improvement is maximised.

    From the paper: the kernel (b_0 + b_1 P(z) . P(z')), centred on the box and scaled by its half diagonal and f; the
    claim that it matches other kernels from 60 dimensions on; log expected improvement. Its point is that the model is
    d + 2 weights: a batch costs O(n d + d^3) between two fits, O(n d^2) with one, and 8,000 points at d = 500 are
    feasible.
    Ours: one length-scale for all coordinates, where the paper has one for each (a common one drops out against f);
    b_0 = b_1; f and the noise from a grid by the evidence, each time there are a tenth more points; a batch in which
    every point is told its own prediction before the next is chosen. A failure counts as the worst finite loss.
    The search is in the space's box, or `box` scales to each side of its start.

    batch: how many points are asked at a time.
    box: half the width of the search box where the space has no bounds, in units of its scale; null is 5.
    """

    def __init__(
        self, space: Space, *, batch: PositiveInt = 5, box: PositiveFloat | None = None, **given: Unpack[Given]
    ) -> None:
        super().__init__(space, **given)
        start = space.start.dense()[0]
        if space.lower is not None and space.upper is not None:
            self._centre: float | Array = (space.lower + space.upper) / 2
            self._half = (space.upper - space.lower) / 2
        else:
            self._centre, self._half = start, (box or BOX) * space.scale
        self._batch, self._fitted = batch, 0
        # u in [-1, 1]^d; the start, and uniform points
        first = (space.clip(start) - self._centre) / self._half
        self._asked = np.vstack([first, self.rng.uniform(-1, 1, (max(2 * batch, 10) - 1, space.dim))])
        self._u, self._losses = np.empty((0, space.dim)), np.empty(0)

    def ask(self) -> Array:
        """Return the start and uniform points, then batches of the largest improvement."""
        if len(self._losses):
            self._asked = self._improving()
        return self.space.clip(self._centre + self._half * self._asked)

    def tell(self, x: Array, losses: Array) -> None:
        """Keep the points."""
        self._u = np.concatenate([self._u, self._asked])
        self._losses = np.concatenate([self._losses, tamed(losses)])

    def _features(self, u: Array, fraction: float) -> Array:
        """Return P(z) and a constant, shape (n, d + 2), of z = u / sqrt(f d)."""
        z = u / np.sqrt(fraction * u.shape[1])
        squares = (z**2).sum(axis=1, keepdims=True)
        return np.hstack([2 * z / (1 + squares), (squares - 1) / (1 + squares), np.ones((len(u), 1))])

    def _fit(self, y: Array) -> None:
        """Choose f and the ridge of the largest evidence, whose variance of the noise is the likeliest."""
        best = np.inf
        for fraction in _FRACTIONS:
            features = self._features(self._u, fraction)
            gram = features.T @ features
            # The smaller of the two Gram matrices has all eigenvalues that are not 0
            values, vectors = eigh(min(gram, features @ features.T, key=len))
            along = (vectors.T @ (features.T @ y)) ** 2 if len(vectors) == len(gram) else values * (vectors.T @ y) ** 2
            values = np.maximum(values, 0)
            for ridge in _RIDGES:
                left = y @ y - (along / (values + ridge)).sum()
                cost = len(y) * np.log(max(left, 1e-12)) + np.log1p(values / ridge).sum()
                if cost < best:
                    best, self._fraction, self._ridge, self._gram = cost, fraction, ridge, gram
        self._fitted = len(y)

    def _improving(self) -> Array:
        """Return a batch, shape (batch, d)."""
        y = standardized(self._losses)
        if len(y) >= _REFIT * self._fitted:
            self._fit(y)
        features = self._features(self._u, self._fraction)
        moments = features.T @ y
        since = features[self._fitted :]
        factor = cho_factor(self._gram + since.T @ since + self._ridge * np.eye(len(moments)))
        weights = cho_solve(factor, moments)
        noise = max(float(y @ y - moments @ weights), 1e-12) / len(y)
        # A third of the arithmetic of solving for every column
        half = np.triu(dpotri(factor[0])[0])
        covariance = noise * (half + np.triu(half, 1).T)
        scale, best = np.sqrt(self._fraction * self.space.dim), y.min()
        incumbent = self._u[np.argmin(y)]
        # The mean is least where P(z) points against the weights; from there, as near as the box allows
        lowest = np.clip(scale * -weights[:-2] / (np.linalg.norm(weights[:-1]) + weights[-2] + 1e-12), -1, 1)

        def fall(u: Array) -> tuple[float, Array]:
            """Return -log EI at u and its gradient."""
            (phi,) = self._features(u[None], self._fraction)
            spread = covariance @ phi
            deviation = np.sqrt(max(phi @ spread, 1e-12))
            z = (best - phi @ weights) / deviation
            value = float(log_h(np.array([z]))[0])
            ratio = np.exp(log_ndtr(z) - value)
            # By phi; then back through P: (2 g + 2 z (g_last - P . g)) / (1 + |z|^2)
            by_phi = (ratio * weights + (ratio * z - 1) * spread / deviation) / deviation
            v = u / scale
            by_v = 2 * (by_phi[:-2] + v * (by_phi[-2] - phi[:-1] @ by_phi[:-1])) / (1 + v @ v)
            return -float(np.log(deviation) + value), by_v / scale

        def within(v: Array) -> tuple[float, Array]:
            """Return the same at the nearest point of the box: bounds cost SciPy more than all falls of a climb."""
            value, slope = fall(np.clip(v, -1, 1))
            return value, np.where(abs(v) <= 1, slope, 0.0)

        def climb(u: Array, steps: int) -> tuple[Array, float]:
            found = minimize(within, u, jac=True, method="L-BFGS-B", options={"maxiter": steps})
            return np.clip(found.x, -1, 1), float(found.fun)

        chosen: list[Array] = []
        for _ in range(self._batch):
            starts = (incumbent, lowest, self.rng.uniform(-1, 1, self.space.dim))
            ahead = min((climb(u, _AHEAD) for u in starts), key=lambda climbed: climbed[1])
            chosen.append(climb(ahead[0], _CLIMB)[0])
            # What is predicted there would leave the mean as it is, and take from the variance
            (phi,) = self._features(chosen[-1][None], self._fraction)
            spread = covariance @ phi
            covariance -= np.outer(spread, spread) / (noise + phi @ spread)
        return np.array(chosen)
