"""Mixture-model evolution strategy (He, Zheng & Zhou, IEEE TEVC 25, 2021; arXiv 2203.12675)."""

import numpy as np
from scipy.stats import norm

from dfo_bench.core import Array

from ._large_scale import LargeScale

_MIXED = 4
"""The mixing strength l: how many evolution paths a direction is made of."""

_STEP_RATE, _SIGNIFICANCE = 0.3, 0.05
"""c_sigma and alpha_z of the paired test adaptation."""


class Mmes(LargeScale):
    """Directions mixed of white noise and four of m = 2 sqrt(d) former evolution paths, in mirrored pairs.

    O(m d) of memory and O(d) of time a point. The step grows while the sorted losses are below those of the last
    population, by a paired test. The constants are the paper's, but for the rate at which old paths are chosen less:
    3.8 / d, as in its authors' program. In the first population the paper compares with the loss of the mean, which we
    would have to ask for: here the step stays as it is.
    """

    def _begin(self) -> None:
        dim = self.space.dim
        self._kept = 2 * int(np.ceil(np.sqrt(dim)))  # m
        self._rate = 0.4 / np.sqrt(dim)  # c_c
        self._fading = min(3.8 / dim, 0.99)  # c_a
        self._share = 1 - (1 - self._fading) ** self._kept  # gamma
        self._path_now, self._success = np.zeros(dim), 0.0
        # From the oldest to the newest, with the generation of each
        self._paths, self._ages = np.empty((0, dim)), np.empty(0, dtype=int)
        self._generation = 0
        self._previous: Array | None = None

    def _sample(self) -> Array:
        pairs, dim = -(-self._popsize // 2), self.space.dim
        directions = np.sqrt(1 - self._share) * self.rng.standard_normal((pairs, dim))
        if len(self._paths):
            # Geometric in the number of newer paths; beyond the last it begins anew, which truncates the law exactly
            newer = (self.rng.geometric(self._fading, (pairs, _MIXED)) - 1) % len(self._paths)
            noise = np.sqrt(self._share / _MIXED) * self.rng.standard_normal((pairs, _MIXED))
            directions += np.einsum("pl,pld->pd", noise, self._paths[len(self._paths) - 1 - newer])
        return np.concatenate([directions, -directions])[: self._popsize]

    def _learn(self, losses: Array) -> None:
        order = np.argsort(losses, kind="stable")[: len(self._weights)]
        step = self._weights @ self._directions[order]
        self._mean += self._sigma * step
        self._path_now = self._path(self._path_now, self._rate, step)
        self._keep()
        if self._previous is not None:
            # Paired test adaptation: W is N(0, 1) where neither population is better
            better = self._weights @ (losses[order] < self._previous)
            self._success = float(self._path(np.array(self._success), _STEP_RATE, np.array(2 * better - 1)))
            self._sigma *= float(np.exp(norm.cdf(self._success) - 1 + _SIGNIFICANCE))
        self._previous = losses[order]
        self._generation += 1

    def _keep(self) -> None:
        """Add the evolution path; where there are m, drop the one that is too near its predecessor, else the oldest."""
        if len(self._paths) == self._kept:
            gaps = np.diff(self._ages)
            nearest = int(np.argmin(gaps))
            drop = 0 if gaps[nearest] > np.ceil(1 / self._rate) else nearest + 1
            self._paths, self._ages = np.delete(self._paths, drop, axis=0), np.delete(self._ages, drop)
        self._paths = np.concatenate([self._paths, self._path_now[None]])
        self._ages = np.append(self._ages, self._generation)
