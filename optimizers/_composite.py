"""A Gaussian process of all outputs, with their known outer function minimised on it in a trust region.

Bayesian optimization of composite functions is Astudillo & Frazier's (ICML 2019), the trust region and the names of its
parts are those of derivative-free least squares (Cartis & Roberts, Math. Prog. Comp. 11, 2019). Lengths are in steps.
"""

import numpy as np
from scipy.linalg import eigh, qr, solve

from dfo_bench.core import Array, Index, Outer, Space

from ._trust import LEAST, Steps, least_within, moved

_FIRST = 10
"""How many points come before the first process, or one more than there are dimensions: the start, and around it."""

_LENGTHS, _NOISES = 2.0 ** np.arange(-2, 3.5, 0.5), 10.0 ** np.arange(-8, 0)
"""The lengthscales and noise variances from which likelihood chooses; the variance of what is smooth is 1."""

_LINEAR = 0.5
"""The variance of what is linear, one step from the centre."""

_EXPLORERS = 0.5
"""How far explorers are from the point that they surround. It follows no radius: one that shrinks takes them along."""

_MOST = 3.0
"""The largest radius. Where it wants to be larger, the step grows instead, and the explorers' distance with it."""

_KNOWN = 4.0
"""Within how many radii of the best point one tells of the direction in which it lies."""

_SAME = 1e-9
"""Two points this near are one."""


class Process:
    """The posterior mean of all outputs, under one kernel, whose linear part has a centre."""

    def __init__(self, x: Array, outputs: Array, centre: Array, lengths: Index) -> None:
        """Fit to outputs, shape (n, m), at x, shape (n, d); `lengths` are indices of the lengthscales to try."""
        self._x, self._centre, self._away = x, centre, x - centre
        squares, linear = _squares(x), _LINEAR * self._away @ self._away.T
        gram = outputs @ outputs.T
        gram /= np.trace(gram) / len(x) or 1.0
        fits = [_fit(np.exp(squares / (-2 * _LENGTHS[i] ** 2)) + linear, gram) for i in lengths]
        likely = int(np.argmax([likelihood for likelihood, _ in fits]))
        self.length, inverse = int(lengths[likely]), fits[likely][1]
        self._scale = _LENGTHS[self.length]
        ones = inverse.sum(axis=0)
        self._mean: Array = ones @ outputs / ones.sum()  # by generalised least squares
        self._weights: Array = inverse @ (outputs - self._mean)

    def outputs(self, z: Array) -> Array:
        """Return the means at one point, shape (m,)."""
        linear = _LINEAR * self._away @ (z - self._centre)
        return self._mean + (self._smooth(z) + linear) @ self._weights

    def pull_back(self, z: Array, slopes: Array) -> Array:
        """Return the gradient in z of what has these slopes in the outputs at z, shape (m,)."""
        pulls = self._weights @ slopes
        return (self._smooth(z) * pulls) @ (self._x - z) / self._scale**2 + _LINEAR * pulls @ self._away

    def _smooth(self, z: Array) -> Array:
        """Return the covariances with all points but for their linear part."""
        away = self._x - z
        covariances: Array = np.exp(np.einsum("ij,ij->i", away, away) / (-2 * self._scale**2))
        return covariances


def _fit(kernel: Array, gram: Array) -> tuple[float, Array]:
    """Return the likelihood of the best noise variance s and (K + s I)^-1, for outputs Y of Gram matrix Y Y'.

    One variance, profiled out, and one mean mu by generalised least squares serve all outputs:
    -n/2 log tr (Y - 1 mu)' (K + s I)^-1 (Y - 1 mu) - 1/2 log det (K + s I), for each output alike.
    """
    values, basis = eigh(kernel)
    values, ones, turned = np.maximum(values, 0.0), basis.sum(axis=0), basis.T @ gram @ basis
    best, inverse = -np.inf, values
    for noise in _NOISES:
        tried = 1 / (values + noise)
        weighed = tried * ones
        trace = tried @ np.diag(turned) - weighed @ turned @ weighed / (weighed @ ones)
        likelihood = -len(values) * np.log(max(trace, 1e-300)) + np.log(tried).sum()
        if likelihood > best:
            best, inverse = float(likelihood), tried
    return best, (basis * inverse) @ basis.T


class Search:
    """The point that is best on the process, and then explorers around the best of all, in turns.

    The two are not one batch: explorers around a point that turns out to be bad would tell of nothing that matters.
    """

    def __init__(
        self, space: Space, outer: Outer, rng: np.random.Generator, *, sigma: float, batch: int, points: int
    ) -> None:
        """`sigma` is the first step in scales, as CMA-ES has it; `points` is the most that a process is fitted to.

        `batch` is how many points there are in the first batches, and in both turns together.
        """
        self._outer, self._rng, self._batch, self._points = outer, rng, batch, points
        self._steps, self._dim = Steps(space, sigma), space.dim
        self._x, self._losses = np.empty((0, space.dim)), np.empty(0)
        self._outputs = np.empty((0, *outer.shape))
        self._radius, self._lengths = 1.0, np.arange(len(_LENGTHS))
        self._expected: float | None = None
        self._begun = self._explored = False

    def ask(self) -> Array:
        """Return the start and points a radius away, then the best on the process and explorers in turns."""
        if len(self._losses) < min(_FIRST, self._dim + 1):
            asked = self._radius * self._directions(self._batch)
            asked[0] *= self._begun
            self._begun = self._explored = True
        elif self._explored and (z := self._exploit()) is not None:
            asked, self._explored = z[None], False
        else:
            asked = self._x[self._best] + _EXPLORERS * self._directions(max(1, self._batch - 1))
            self._explored = True
        return self._steps.point(asked)

    @property
    def _best(self) -> int:
        return int(np.argmin(self._losses))

    def _exploit(self) -> Array | None:
        """Return the point of least loss on the process within the radius; None where it promises nothing."""
        best = self._best
        c, loss = self._x[best], self._losses[best]
        near = np.argsort(((self._x - c) ** 2).sum(axis=1), kind="stable")[: self._points]
        outputs = self._outer.canonical(self._outputs[near]).reshape(len(near), -1)
        process = Process(self._x[near], outputs, c, self._lengths)
        self._lengths = np.arange(max(process.length - 1, 0), min(process.length + 2, len(_LENGTHS)))
        unit = abs(loss) or 1.0

        def model(z: Array) -> tuple[float, Array]:
            means = process.outputs(z).reshape(1, *self._outer.shape)
            slope = process.pull_back(z, self._outer.gradient(means).ravel())
            return float(self._outer.loss(means)[0]) / unit, slope / unit

        z, value = least_within(model, self._steps, c, self._radius, self._rng)
        promised = loss - unit * value
        if not (np.isfinite(z).all() and 0 < promised < np.inf and np.linalg.norm(z - c) > _SAME):
            return None
        self._expected = promised
        return z

    def _directions(self, count: int) -> Array:
        """Return random unit vectors, orthogonal to each other and nearly to those towards points that are known."""
        known = np.empty((0, self._dim))
        if len(self._losses):
            away = self._x - self._x[self._best]
            far = np.linalg.norm(away, axis=1)
            near = (far > _SAME) & (far < _KNOWN * self._radius)
            known = away[near] / far[near, None]
        found = np.empty((0, self._dim))
        while len(found) < count:
            drawn = self._rng.standard_normal((min(count - len(found), self._dim), self._dim))
            if len(known):
                inner = known @ known.T + 0.05 * np.eye(len(known))
                drawn -= solve(inner, known @ drawn.T, assume_a="pos").T @ known
            found = np.vstack([found, qr(drawn.T, mode="economic")[0].T])
        return found

    def tell(self, x: Array, losses: Array, outputs: Array) -> None:
        """Move the radius by how well the process foretold its best point, and keep what could be evaluated."""
        asked = self._steps.read(x)
        if self._expected is not None:
            best = self._best
            length = float(np.linalg.norm(asked[0] - self._x[best]))
            self._radius = moved(self._radius, length, self._losses[best] - losses[0], self._expected)
            self._expected = None
            if self._radius <= LEAST:  # where the search would stand still: explorers have changed the process since
                self._radius = 1.0
        known = np.isfinite(losses) & np.isfinite(outputs).all(axis=tuple(range(1, outputs.ndim)))
        self._x = np.concatenate([self._x, asked[known]])
        self._losses = np.concatenate([self._losses, losses[known]])
        self._outputs = np.concatenate([self._outputs, outputs[known]])
        if not len(self._losses):
            self._radius /= 2
            return
        if len(self._losses) > 2 * self._points:
            away = ((self._x - self._x[self._best]) ** 2).sum(axis=1)
            kept = np.sort(np.argsort(away, kind="stable")[: 2 * self._points])
            self._x, self._losses, self._outputs = self._x[kept], self._losses[kept], self._outputs[kept]
        if self._radius > _MOST:
            grown = self._radius / _MOST
            self._steps.step, self._x, self._radius = self._steps.step * grown, self._x / grown, _MOST
            self._lengths = np.arange(len(_LENGTHS))


def _squares(x: Array) -> Array:
    """Return the squared distances between all rows."""
    norms = (x**2).sum(axis=1)
    return np.maximum(norms[:, None] + norms - 2 * x @ x.T, 0.0)
