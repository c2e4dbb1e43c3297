"""The evolution strategy of OpenAI (Salimans, Ho, Chen, Sidor & Sutskever, 2017, arXiv 1703.03864)."""

from typing import Annotated, Literal, Unpack

import numpy as np
from pydantic import Field, PositiveFloat
from scipy.stats import rankdata

from dfo_bench.core import Array, Given, Optimizer, Space

from ._adam import Adam


class OpenaiEs(Optimizer):
    """Gradient descent on the smoothed loss: antithetic normal perturbations, ranks in place of losses.

    The smoothing is constant, so the search ends about `sigma` scales from an optimum. No weight decay. The paper's
    populations are of thousands, for networks; `popsize`, `sigma` and `lr` are ours, for budgets of hundreds.

    popsize: how many points are asked at a time, half of them mirror images of the others.
    sigma: the perturbation, in units of the space's scale.
    lr: the learning rate, in units of the space's scale.
    step: what the gradient goes through: adam, or plain descent.
    """

    def __init__(
        self,
        space: Space,
        *,
        popsize: Annotated[int, Field(ge=2, multiple_of=2)] = 20,
        sigma: PositiveFloat = 0.1,
        lr: PositiveFloat = 0.1,
        step: Literal["adam", "plain"] = "adam",
        **given: Unpack[Given],
    ) -> None:
        super().__init__(space, **given)
        self._popsize, self._sigma, self._lr = popsize, sigma, lr
        self._theta = space.clip(space.start.dense()[0])
        self._adam = Adam(space.dim) if step == "adam" else None

    def ask(self) -> Array:
        """Return theta + sigma epsilon_i, then theta - sigma epsilon_i (section 2: mirrored sampling)."""
        self._epsilon = self.rng.standard_normal((self._popsize // 2, self.space.dim))
        way = self._sigma * self.space.scale * self._epsilon
        return self.space.clip(np.concatenate([self._theta + way, self._theta - way]))

    def tell(self, x: Array, losses: Array) -> None:
        """Take a step down the estimated gradient."""
        # Section 2, fitness shaping: ranks spread over [-1/2, 1/2]; equal losses share one.
        shaped = (rankdata(losses) - 1) / (self._popsize - 1) - 0.5
        plus, minus = np.split(shaped, 2)
        # Algorithm 1: g = 1 / (n sigma) sum_i F_i epsilon_i
        gradient = (plus - minus) @ self._epsilon / (self._popsize * self._sigma)
        # Algorithm 1: theta <- theta + alpha g, downhill here; its program, too, gives g to Adam
        move = self._adam.step(gradient) if self._adam else gradient
        self._theta = self.space.clip(self._theta - self._lr * self.space.scale * move)
