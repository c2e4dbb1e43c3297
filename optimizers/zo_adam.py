"""Zeroth-order Adam: the two-point estimate of MeZO (Malladi et al., NeurIPS 2023, arXiv 2305.17333) with Adam."""

from typing import Unpack

import numpy as np
from pydantic import PositiveFloat

from dfo_bench.core import Array, Given, Optimizer, Space

from ._adam import Adam
from ._losses import tamed


class ZoAdam(Optimizer):
    """Adam on gradients from two evaluations along one normal direction, which is made again from its seed.

    That is the paper's way (algorithm 1) to hold no second copy of the parameters between evaluation and update. Its
    eps is 0.001 for weights; prompts need steps that rise above the rounding of float32 losses. `lr` is ours: the
    paper's are for fine-tuning weights in tens of thousands of steps.

    eps: the perturbation, in units of the space's scale.
    lr: the learning rate, in units of the space's scale.
    """

    def __init__(
        self,
        space: Space,
        *,
        eps: PositiveFloat = 0.01,
        lr: PositiveFloat = 0.05,
        **given: Unpack[Given],
    ) -> None:
        super().__init__(space, **given)
        self._eps, self._lr = eps, lr
        self._theta = space.clip(space.start.dense()[0])
        self._adam = Adam(space.dim)

    def _direction(self) -> Array:
        """Return z ~ N(0, I), the same for the same seed."""
        return np.random.default_rng(self._seed).standard_normal(self.space.dim)

    def ask(self) -> Array:
        """Return the pair theta + eps z and theta - eps z."""
        self._seed = int(self.rng.integers(2**63))
        way = self._eps * self.space.scale * self._direction()
        return self.space.clip(np.stack([self._theta + way, self._theta - way]))

    def tell(self, x: Array, losses: Array) -> None:
        """Take a step of Adam; a pair of which one failed says nothing."""
        losses = tamed(losses)
        if not np.isfinite(losses).all():
            return
        # Definition 1: g = (L(theta + eps z) - L(theta - eps z)) / (2 eps) z
        gradient = (losses[0] - losses[1]) / (2 * self._eps) * self._direction()
        self._theta = self.space.clip(self._theta - self._lr * self.space.scale * self._adam.step(gradient))
