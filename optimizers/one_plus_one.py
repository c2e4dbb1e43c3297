"""(1+1)-ES with the 1/5 success rule (Rechenberg, 1973), as in Kern et al., Natural Computing 3, 2004.

The damping is that of Hansen, Arnold & Auger, Evolution strategies, 2015, section 3.1.
"""

from typing import Unpack

import numpy as np
from pydantic import PositiveFloat

from dfo_bench.core import Array, Given, Optimizer, Space

_RANGE = 1e12
"""How far the step may go from the first, either way, before there is nothing left to adapt."""


class OnePlusOne(Optimizer):
    """One parent, one child, the better survives; the step grows with success and shrinks without.

    A child as good as its parent is a success, so that a plateau is left in ever larger steps.

    sigma: the first step in units of the space's scale.
    """

    def __init__(self, space: Space, *, sigma: PositiveFloat = 1.0, **given: Unpack[Given]) -> None:
        super().__init__(space, **given)
        self._first = self._sigma = sigma * space.scale
        self._parent, self._loss = space.clip(space.start.dense()), np.inf
        self._damping = np.sqrt(space.dim + 1)
        self._begun = False

    def ask(self) -> Array:
        """Return the start, then one child: y = x + sigma N(0, I)."""
        if not self._begun:
            return self._parent.copy()
        return self.space.clip(self._parent + self._sigma * self.rng.standard_normal(self._parent.shape))

    def tell(self, x: Array, losses: Array) -> None:
        """Keep the better of parent and child, and adapt the step."""
        success = losses[0] <= self._loss
        if success:
            self._parent, self._loss = x.copy(), losses[0]
        if self._begun:
            # Kern et al.: sigma <- sigma a after a success, sigma a^(-1/4) after a failure, at rest with one success in
            # five; a = exp(1 / d) with the damping d = sqrt(n + 1).
            self._sigma *= np.exp((success - 0.2) / 0.8 / self._damping)
        self._begun = True
        if not self._first / _RANGE < self._sigma < self._first * _RANGE:
            self.events.append(f"the step reached {self._sigma:.1e}; restarted with the first")
            self._sigma = self._first
