"""A Gaussian process with an ARD Matern-5/2 kernel, for the optimizers that need more of one than optuna's offers.

Equations are those of Rasmussen & Williams, Gaussian Processes for Machine Learning, 2006.
In NumPy: with the gradient of the likelihood written out as products of matrices a fit costs O(n^3 + n^2 d), without
the array of shape (n, n, d) that libraries build for their lengthscales.
"""

import numpy as np
from scipy.linalg import cho_factor, cho_solve, cholesky, solve_triangular
from scipy.optimize import Bounds, minimize

from dfo_bench.core import Array

_LENGTHS, _SIGNAL, _NOISE = (0.005, 2.0), (0.05, 20.0), (5e-4, 0.1)
"""Bounds of lengthscales, signal and noise variance: Eriksson et al. (2019), on the unit cube, losses standardized."""

_STEPS = 50
"""The most that L-BFGS-B does for a fit."""


class GaussianProcess:
    """The posterior of standardized losses y at the rows of x, by the hyperparameters of maximal likelihood."""

    def __init__(self, x: Array, y: Array) -> None:
        self._x, self._y = x, y
        bounds = Bounds(*np.log([_LENGTHS] * x.shape[1] + [_SIGNAL, _NOISE]).T)
        first = np.log([0.5] * x.shape[1] + [1.0, 0.005])
        found = minimize(
            self._likelihood, first, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": _STEPS}
        )
        *lengths, self._signal, self._noise = np.exp(found.x)
        self.lengths: Array = np.array(lengths)
        covariance = self._covariance(x, x)
        self._factor = cholesky(covariance + self._noise * np.eye(len(x)), lower=True)
        self._weights: Array = cho_solve((self._factor, True), y)

    def _likelihood(self, logs: Array) -> tuple[float, Array]:
        """Return the negative log marginal likelihood, less its constant, and the gradient (equations 2.30 and 5.9)."""
        lengths, signal, noise = np.exp(logs[:-2]), np.exp(logs[-2]), np.exp(logs[-1])
        scaled = self._x / lengths
        squares = _squares(scaled, scaled)
        correlation = _matern(squares)
        factor = cho_factor(signal * correlation + noise * np.eye(len(scaled)), lower=True)
        weights = cho_solve(factor, self._y)
        value = 0.5 * self._y @ weights + np.log(np.diag(factor[0])).sum()
        inner = cho_solve(factor, np.eye(len(scaled))) - np.outer(weights, weights)  # K^-1 - alpha alpha^T
        # By log l_k: -sum_ij inner_ij signal k'(r2_ij) (a_ik - a_jk)^2, a = x / l, the square multiplied out
        by_square = signal * inner * _slope(squares)
        by_lengths = -2 * (by_square.sum(axis=1) @ scaled**2 - (scaled * (by_square @ scaled)).sum(axis=0))
        by_signal, by_noise = 0.5 * signal * (inner * correlation).sum(), 0.5 * noise * np.trace(inner)
        return float(value), np.array([*by_lengths, by_signal, by_noise])

    def _covariance(self, a: Array, b: Array) -> Array:
        """Return the prior covariance of the values at a and at b."""
        return self._signal * _matern(_squares(a / self.lengths, b / self.lengths))

    def sample(self, x: Array, count: int, rng: np.random.Generator) -> Array:
        """Return `count` joint draws of the values at the rows of x, shape (count, n) (equations 2.23 and 2.24)."""
        across = self._covariance(x, self._x)
        explained = solve_triangular(self._factor, across.T, lower=True)
        covariance = self._covariance(x, x) - explained.T @ explained
        # The jitter is far below the noise; without it rounding may make the covariance indefinite.
        root = cholesky(covariance + 1e-6 * self._signal * np.eye(len(x)), lower=True)
        return across @ self._weights + rng.standard_normal((count, len(x))) @ root.T


def _squares(a: Array, b: Array) -> Array:
    """Return the squared distances between the rows of a and those of b."""
    return np.maximum((a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T, 0.0)


def _matern(squares: Array) -> Array:
    """Return the Matern-5/2 correlation at squared distances (equation 4.17)."""
    root = np.sqrt(5 * squares)
    return (1 + root + root**2 / 3) * np.exp(-root)


def _slope(squares: Array) -> Array:
    """Return the derivative of the correlation by the squared distances."""
    root = np.sqrt(5 * squares)
    return -5 / 6 * (1 + root) * np.exp(-root)
