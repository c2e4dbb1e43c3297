"""A Gaussian process on the unit cube with an ARD Matern-5/2 kernel and a prior that is scaled with the dimension.

Two random points of the cube are sqrt(d / 6) apart, so a length-scale of 1 makes all of them independent at d = 100.
The prior of the length-scales therefore grows with sqrt(d) (Hvarfner, Hellsten & Nardi, ICML 2024), and the fit starts
from its mode, where the likelihood has a slope at all (Papenmeier, Poloczek & Nardi, arXiv 2502.09198).
Equations are those of Rasmussen & Williams, Gaussian Processes for Machine Learning, 2006.
In NumPy: with the gradient of the likelihood written out as products of matrices a fit costs O(n^3 + n^2 d), without
the array of shape (n, n, d) that libraries build for their length-scales. BoTorch has the same prior; it would bring
gpytorch, linear_operator and pyro for what is on this page.
"""

import numpy as np
from scipy.linalg import cho_factor, cho_solve, cholesky, solve_triangular
from scipy.optimize import Bounds, minimize
from scipy.special import erfcx, log_ndtr

from dfo_bench.core import Array

_SCALE = 3**0.5
"""Of the log-normal prior of a length-scale; its location is sqrt(2) + log(d) / 2."""

_LENGTHS, _NOISE = (0.005, 1e4), (1e-6, 0.1)
"""Bounds of length-scales and noise variance, for the factorization; the signal's variance is 1, as the losses'."""

_STEPS = 50
"""The most that L-BFGS-B does for a fit."""


class GaussianProcess:
    """The posterior of standardized losses y, shape (n,), at the rows of x, shape (n, d), by the likeliest parameters.

    Likeliest a posteriori, where the noise's variance has a flat prior.
    """

    def __init__(self, x: Array, y: Array) -> None:
        self._x, self._y = x, y
        dim = x.shape[1]
        self._location = 2**0.5 + np.log(dim) / 2
        bounds = Bounds(*np.log([_LENGTHS] * dim + [_NOISE]).T)
        first = np.array([self._location - _SCALE**2] * dim + [np.log(1e-3)])
        found = minimize(
            self._posterior, first, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": _STEPS}
        )
        *lengths, self._noise = np.exp(found.x)
        self.lengths: Array = np.array(lengths)
        self._factor = cholesky(self._covariance(x, x) + self._noise * np.eye(len(x)), lower=True)
        self._weights: Array = cho_solve((self._factor, True), y)

    def _posterior(self, logs: Array) -> tuple[float, Array]:
        """Return the negative log posterior, less its constant, and its gradient by the logarithms of the parameters.

        The likelihood is that of equations 2.30 and 5.9.
        """
        lengths, noise = np.exp(logs[:-1]), np.exp(logs[-1])
        scaled = self._x / lengths
        squares = _squares(scaled, scaled)
        factor = cho_factor(_matern(squares) + noise * np.eye(len(scaled)), lower=True)
        weights = cho_solve(factor, self._y)
        value = 0.5 * self._y @ weights + np.log(np.diag(factor[0])).sum()
        inner = cho_solve(factor, np.eye(len(scaled))) - np.outer(weights, weights)  # K^-1 - alpha alpha^T
        # By log l_k: -sum_ij inner_ij k'(r2_ij) (a_ik - a_jk)^2, a = x / l, the square multiplied out
        by_square = inner * _slope(squares)
        by_lengths = -2 * (by_square.sum(axis=1) @ scaled**2 - (scaled * (by_square @ scaled)).sum(axis=0))
        # -log p(l) = log l + (log l - location)^2 / (2 scale^2), less its constant
        away = logs[:-1] - self._location
        value += (logs[:-1] + away**2 / (2 * _SCALE**2)).sum()
        by_lengths += 1 + away / _SCALE**2
        return float(value), np.append(by_lengths, 0.5 * noise * np.trace(inner))

    def _covariance(self, a: Array, b: Array) -> Array:
        """Return the prior covariance of the values at a and at b."""
        return _matern(_squares(a / self.lengths, b / self.lengths))

    def sample(self, x: Array, count: int, rng: np.random.Generator) -> Array:
        """Return `count` joint draws of the values at the rows of x, shape (count, n) (equations 2.23 and 2.24)."""
        across = self._covariance(x, self._x)
        explained = solve_triangular(self._factor, across.T, lower=True)
        covariance = self._covariance(x, x) - explained.T @ explained
        # The jitter is below what a loss tells; without it rounding may make the covariance indefinite.
        root = cholesky(covariance + 1e-6 * np.eye(len(x)), lower=True)
        return across @ self._weights + rng.standard_normal((count, len(x))) @ root.T

    def log_improvement(self, x: Array) -> tuple[Array, Array]:
        """Return log E max(min y - f, 0) at the rows of x, shape (n,), and its gradients, shape (n, d).

        The logarithm has a slope where the expectation rounds to 0 (Ament et al., NeurIPS 2023, section 4.1).
        """
        scaled, seen = x / self.lengths, self._x / self.lengths
        squares = _squares(scaled, seen)
        across = _matern(squares)
        solved = cho_solve((self._factor, True), across.T).T
        deviation = np.sqrt(np.maximum(1 - (across * solved).sum(axis=1), 1e-12))
        z = (self._y.min() - across @ self._weights) / deviation
        # h(z) = phi(z) + z Phi(z), with d log h / dz = Phi / h and log EI = log deviation + log h(z)
        logs = log_h(z)
        ratio = np.exp(log_ndtr(z) - logs)
        # d(mean) and d(variance) / dx as sums over the seen: slope' weights (a - b) 2 / l
        by_mean, by_variance = -ratio / deviation, (1 - ratio * z) / (2 * deviation**2)
        pulls = 2 * _slope(squares) * (by_mean[:, None] * self._weights - 2 * by_variance[:, None] * solved)
        gradients = (pulls.sum(axis=1)[:, None] * scaled - pulls @ seen) / self.lengths
        return np.log(deviation) + logs, gradients


def standardized(losses: Array) -> Array:
    """Return the losses with mean 0 and variance 1, a failure as the worst of the others."""
    finite = losses[np.isfinite(losses)]
    if not len(finite):
        return np.zeros(len(losses))
    filled = np.where(np.isfinite(losses), losses, finite.max())
    return (filled - filled.mean()) / (filled.std() or 1.0)


def log_h(z: Array) -> Array:
    """Return log(phi(z) + z Phi(z)) without loss of digits for z far below 0."""
    far = np.minimum(z, -1.0)
    # phi(z) (1 + z Phi(z) / phi(z)); that parenthesis is 1 / z^2 where its two terms cancel
    tail = np.where(far > -1e3, 1 + far * (np.pi / 2) ** 0.5 * erfcx(-far / 2**0.5), 1 / far**2)
    near = np.maximum(z, -1.0)
    density = -0.5 * np.log(2 * np.pi)
    close = np.log(np.exp(density - near**2 / 2) + near * np.exp(log_ndtr(near)))
    return np.where(z > -1.0, close, density - far**2 / 2 + np.log(tail))


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
