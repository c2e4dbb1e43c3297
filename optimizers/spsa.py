"""Simultaneous perturbation stochastic approximation (Spall, IEEE Trans. Automatic Control 37, 1992)."""

from typing import Unpack

import numpy as np
from pydantic import PositiveFloat

from dfo_bench.core import Array, Given, Optimizer, Space

from ._losses import tamed

_ALPHA, _GAMMA = 0.602, 0.101
"""How a_k and c_k fall: the practical values of Spall, IEEE Trans. Aerospace and Electronic Systems 34, 1998.

The steps named below are those of his section III.
"""

_PAIRS = 10
"""Estimates at the start, whose mean size sets a."""


class Spsa(Optimizer):
    """Gradient descent, each gradient estimated from two evaluations along random signs.

    As Spall (1998) advises, a is such that steps at the start have a wanted size, here of one pair `step` scales in
    length whatever the dimension and the unit of the losses, and A is a tenth of the iterations. No later step is
    longer: on a loss that is steeper elsewhere the search would leave for infinity. The first is the mean of ten
    pairs, in many dimensions 0.4 times as long. His c is about the standard deviation of the noise; a model has none,
    so c only has to rise above rounding.

    c: the first perturbation of each coordinate, in units of the space's scale.
    step: the length of a step at the start, in units of the space's scale.
    """

    def __init__(
        self,
        space: Space,
        *,
        c: PositiveFloat = 0.01,
        step: PositiveFloat = 0.5,
        **given: Unpack[Given],
    ) -> None:
        super().__init__(space, **given)
        self._c, self._step = c * space.scale, step * space.scale
        self._theta = space.clip(space.start.dense()[0])
        self._offset = 0.1 * self.budget / 2  # A of step 1
        self._a = 0.0
        self._k = 0

    def ask(self) -> Array:
        """Return ten pairs at the start, then one pair: theta + c_k Delta and theta - c_k Delta (steps 2 and 3)."""
        self._delta = self.rng.choice([-1.0, 1.0], (1 if self._a else _PAIRS, self.space.dim))
        self._c_k = self._c / (self._k + 1) ** _GAMMA  # step 1: c_k = c / (k + 1)^gamma
        way = self._c_k * self._delta
        return self.space.clip(np.concatenate([self._theta + way, self._theta - way]))

    def tell(self, x: Array, losses: Array) -> None:
        """Take a step; a pair of which one failed says nothing."""
        losses = tamed(losses)
        plus, minus = np.split(losses, 2)
        known = np.isfinite(losses).reshape(2, -1).all(axis=0)
        # Step 4; Delta is its own inverse: g_i = (y(+) - y(-)) / (2 c_k Delta_i)
        slopes = np.subtract(plus, minus, out=np.zeros(len(plus)), where=known) / (2 * self._c_k)
        size = float(np.abs(slopes).sum()) / max(1, known.sum()) * np.sqrt(self.space.dim)
        if not size:
            return
        if not self._a:
            self._a = self._step * (self._offset + 1) ** _ALPHA / size
        gain = self._a / (self._offset + self._k + 1) ** _ALPHA  # step 1: a_k = a / (A + k + 1)^alpha
        move = gain * (slopes[:, None] * self._delta).mean(axis=0)
        move *= min(1.0, self._step / max(float(np.linalg.norm(move)), self._step))
        self._theta = self.space.clip(self._theta - move)  # step 5: theta_{k+1} = theta_k - a_k g_k
        self._k += 1
