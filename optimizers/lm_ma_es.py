"""Limited-memory matrix adaptation evolution strategy (Loshchilov, Glasmachers & Beyer, IEEE TEVC 23, 2019)."""

import numpy as np

from dfo_bench.core import Array

from ._large_scale import LargeScale


class LmMaEs(LargeScale):
    """A matrix that is a product of m rank-one updates, m = 4 + floor(3 ln d): O(m d) of memory and of time a point.

    Algorithm 1 of arXiv 1705.06693, all constants included; rates above 1, which it has below ten dimensions or so,
    are 1. A point outside of bounds is clipped, and the update is by the point as drawn.
    """

    def _begin(self) -> None:
        dim, size = self.space.dim, self._popsize
        powers = np.arange(4 + int(3 * np.log(dim)))
        self._step_rate = min(1.0, 2 * size / dim)  # c_sigma
        self._sample_rates = 1 / (1.5**powers * dim)  # c_d
        self._path_rates = np.minimum(1.0, size / (4.0**powers * dim))  # c_c
        self._step_path, self._paths = np.zeros(dim), np.zeros((len(powers), dim))
        self._generation = 0

    def _sample(self) -> Array:
        self._z = self.rng.standard_normal((self._popsize, self.space.dim))
        directions = self._z.copy()
        # Lines 7 to 9: d = (1 - c_d,j) d + c_d,j m_j (m_j . d), for the min(t, m) paths there are
        for rate, path in zip(self._sample_rates, self._paths[: self._generation], strict=False):
            directions += rate * (np.outer(directions @ path, path) - directions)
        return directions

    def _learn(self, losses: Array) -> None:
        order = np.argsort(losses, kind="stable")[: len(self._weights)]
        # Line 11; every path is one of recombined z (lines 12 to 14), not of steps
        self._mean += self._sigma * (self._weights @ self._directions[order])
        z = self._weights @ self._z[order]
        self._step_path = self._path(self._step_path, self._step_rate, z)
        for j, rate in enumerate(self._path_rates):
            self._paths[j] = self._path(self._paths[j], rate, z)
        # Line 15
        excess = float(self._step_path @ self._step_path) / self.space.dim - 1
        self._sigma *= float(np.exp(self._step_rate / 2 * excess))
        self._generation += 1
