"""Synthetic gradients (Jaderberg et al., Decoupled neural interfaces, ICML 2017), learned from differences."""

from typing import Unpack

import numpy as np
from pydantic import PositiveFloat, PositiveInt

from dfo_bench.core import Array, Given, Optimizer, Space

from ._adam import Adam
from ._losses import tamed

_FEATURES = 32
"""Hidden units of the model of the gradient."""


class SyntheticGradient(Optimizer):
    """A model foretells the gradient at any point, and Adam goes down it without waiting for an evaluation.

    In the paper the model learns from gradients that come later. A black box has none, so here it learns from
    differences along random directions: what the model says along a direction is corrected to what was measured there,
    and no more (Kaczmarz's projection). Its features are a constant and random hidden units of the point, so that the
    foretold gradient changes from point to point. Between two batches it makes several steps on its own.

    eps: the perturbation, in units of the space's scale.
    lr: the learning rate of Adam, in units of the space's scale.
    pairs: how many differences are asked for at a time.
    steps: how many steps are made on foretold gradients with each batch.
    """

    def __init__(
        self,
        space: Space,
        *,
        eps: PositiveFloat = 0.01,
        lr: PositiveFloat = 0.02,
        pairs: PositiveInt = 5,
        steps: PositiveInt = 4,
        **given: Unpack[Given],
    ) -> None:
        super().__init__(space, **given)
        self._eps, self._lr, self._pairs, self._steps = eps * space.scale, lr * space.scale, pairs, steps
        self._theta = self._start = space.clip(space.start.dense()[0])
        self._adam = Adam(space.dim)
        self._hidden = self.rng.standard_normal((_FEATURES, space.dim)) / space.dim**0.5
        self._model = np.zeros((space.dim, 1 + _FEATURES))

    def _features(self, theta: Array) -> Array:
        """Return a constant and the hidden units at a point, of which half of the length is the constant's."""
        hidden = np.tanh(self._hidden @ (theta - self._start) / self.space.scale)
        return np.concatenate([[1.0], hidden / _FEATURES**0.5])

    def ask(self) -> Array:
        """Return pairs around theta, along the foretold gradient and random directions orthogonal to it."""
        drawn = self.rng.standard_normal((self.space.dim, min(self._pairs, self.space.dim)))
        foretold = self._model @ self._features(self._theta)
        if foretold.any():
            drawn[:, 0] = foretold
        self._directions = np.linalg.qr(drawn)[0].T
        way = self._eps * self.space.dim**0.5 * self._directions
        return self.space.clip(np.concatenate([self._theta + way, self._theta - way]))

    def tell(self, x: Array, losses: Array) -> None:
        """Correct the model along the directions that were measured, and go down it; a failed pair says nothing."""
        plus, minus = np.split(tamed(losses), 2)
        features = self._features(self._theta)
        for direction, high, low in zip(self._directions, plus, minus, strict=True):
            if np.isfinite(high) and np.isfinite(low):
                slope = (high - low) / (2 * self._eps * self.space.dim**0.5)
                error = slope - direction @ self._model @ features
                self._model += error / (features @ features) * np.outer(direction, features)
        for _ in range(self._steps):
            gradient = self._model @ self._features(self._theta)
            self._theta = self.space.clip(self._theta - self._lr * self._adam.step(gradient))
