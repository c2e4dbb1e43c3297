"""Exponential natural evolution strategy (Glasmachers, Schaul, Yi, Wierstra & Schmidhuber, GECCO 2010) by cmaes."""

from typing import Annotated, Unpack

import cmaes
import numpy as np
from pydantic import Field

from dfo_bench.core import Array, Given, InputError, Optimizer, Space

from ._losses import rankable


class Xnes(Optimizer):
    """Natural gradient descent on a full normal distribution; restarted from the incumbent where cmaes stops.

    The learning rates are the paper's. Its population is 4 + floor(3 ln d); 20 is that of `cma`.

    sigma: the first step in units of the space's scale; to shrink it takes long in many dimensions.
    popsize: how many points are asked at a time.
    """

    def __init__(
        self,
        space: Space,
        *,
        sigma: Annotated[float, Field(gt=0, le=1e30)] = 0.3,
        popsize: Annotated[int, Field(ge=2)] = 20,
        **given: Unpack[Given],
    ) -> None:
        super().__init__(space, **given)
        if space.dim == 1:
            raise InputError("xnes needs at least 2 dimensions; use one_plus_one")
        self._sigma, self._popsize = sigma, popsize
        self._start = space.start.dense()[0]
        self._best, self._incumbent = np.inf, np.zeros(space.dim)
        self._restart()

    def _restart(self) -> None:
        # In units of the scale: cmaes takes a step of 10^4 for divergence.
        self._strategy = cmaes.XNES(
            self._incumbent, self._sigma, seed=int(self.rng.integers(2**32)), population_size=self._popsize
        )

    def ask(self) -> Array:
        """Return one population."""
        self._u = np.array([self._strategy.ask() for _ in range(self._popsize)])
        return self.space.clip(self._start + self.space.scale * self._u)

    def tell(self, x: Array, losses: Array) -> None:
        """Update the distribution by the points as drawn: those on a bound would flatten it."""
        best = int(np.argmin(losses))
        if losses[best] < self._best:
            self._best, self._incumbent = losses[best], (x[best] - self._start) / self.space.scale
        self._strategy.tell(list(zip(self._u, rankable(losses), strict=True)))
        if self._strategy.should_stop():
            self.events.append(f"cmaes stopped after {self._strategy.generation} generations; restarted")
            self._restart()
