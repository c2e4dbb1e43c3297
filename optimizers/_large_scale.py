"""The base of the evolution strategies for many dimensions: a mean, a step, and a few vectors for a covariance."""

from abc import abstractmethod
from typing import Annotated, Unpack

import numpy as np
from pydantic import Field, PositiveFloat

from dfo_bench.core import Array, Given, Optimizer, Space

_RANGE = 1e-12, 1e12
"""The step beside the first one, out of which a search is begun anew: it has converged, or runs away."""


class LargeScale(Optimizer):
    """An evolution strategy whose state is O(m d), restarted from the incumbent where its step vanishes or explodes."""

    def __init__(
        self,
        space: Space,
        *,
        sigma: PositiveFloat = 1.0,
        popsize: Annotated[int, Field(ge=2)] | None = None,
        **given: Unpack[Given],
    ) -> None:
        """Begin at the start.

        sigma: the first step in units of the space's scale; at most 0.3 of the width of a box.
        popsize: how many points are asked at a time; null is 4 + floor(3 ln d).
        """
        super().__init__(space, **given)
        self._first = sigma * space.scale
        if space.lower is not None and space.upper is not None:
            self._first = min(self._first, 0.3 * (space.upper - space.lower))
        self._popsize = popsize or 4 + int(3 * np.log(space.dim))
        # The weights of CMA-ES for the better half, and their variance-effective size
        ranks = np.arange(1, self._popsize // 2 + 1)
        weights = np.log(len(ranks) + 0.5) - np.log(ranks)
        self._weights: Array = weights / weights.sum()
        self._effective = 1 / (self._weights**2).sum()
        self._best, self._incumbent = np.inf, space.start.dense()[0]
        self._restart()

    def _restart(self) -> None:
        self._mean: Array = self._incumbent.copy()
        self._sigma = self._first
        self._begin()

    @abstractmethod
    def _begin(self) -> None:
        """Forget what was learnt of the shape of the loss."""

    @abstractmethod
    def _sample(self) -> Array:
        """Return one population of directions, shape (popsize, d)."""

    @abstractmethod
    def _learn(self, losses: Array) -> None:
        """Update mean, step and shape by the losses of the directions last drawn."""

    def _path(self, path: Array, rate: float, step: Array) -> Array:
        """Return the mean of steps that fades at this rate, of the variance of a single one."""
        return (1 - rate) * path + np.sqrt(rate * (2 - rate) * self._effective) * step

    def ask(self) -> Array:
        """Return one population."""
        self._directions = self._sample()
        return self.space.clip(self._mean + self._sigma * self._directions)

    def tell(self, x: Array, losses: Array) -> None:
        """Update by the points as drawn: those on a bound would flatten the distribution."""
        best = int(np.argmin(losses))
        if losses[best] < self._best:
            self._best, self._incumbent = losses[best], x[best].copy()
        self._learn(losses)
        if not _RANGE[0] < self._sigma / self._first < _RANGE[1]:
            self.events.append(f"the step went from {self._first:.2g} to {self._sigma:.2g}; restarted")
            self._restart()
