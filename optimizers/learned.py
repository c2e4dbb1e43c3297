"""A learned optimizer: an evolution strategy whose rules were found on test functions (Lange et al., ICLR 2023)."""

from typing import Unpack

import numpy as np
from pydantic import PositiveFloat

from dfo_bench.core import Array, Given, Optimizer, Space

LEARNED = (-0.95, 0.17, 0.06, -0.45, 0.63, -0.13)
"""What was learned: `python benchmarks/learned.py` finds it again."""

_SIZE = 10


class Learned(Optimizer):
    """A normal search distribution, moved by rules with six learned numbers.

    Learning to learn without gradients (Chen et al., ICML 2017) trains a recurrent network on known functions and lets
    it choose the points. Here, as in the evolution strategies discovered by meta-black-box optimization (arXiv
    2211.11260), what is learned is small and does not depend on the dimension: how ranks weigh, how fast mean and
    deviations follow, and how much of the last move is made again. It was learned by CMA-ES on shifted and rotated
    spheres, ellipsoids, Rosenbrock's and Rastrigin's functions of 5 to 200 variables within 200 evaluations; no text
    task was among them.

    sigma: the first standard deviation, in units of the space's scale; at most 0.3 of the width of a box.
    """

    def __init__(self, space: Space, *, sigma: PositiveFloat = 1.0, **given: Unpack[Given]) -> None:
        super().__init__(space, **given)
        self.rules = LEARNED
        if space.lower is not None and space.upper is not None:
            sigma = min(sigma, 0.3 * (space.upper - space.lower) / space.scale)
        self._mean, self._path = space.clip(space.start.dense()[0]), np.zeros(space.dim)
        self._deviations = np.full(space.dim, sigma * space.scale)

    def ask(self) -> Array:
        """Return five points and their mirror images in the mean."""
        half = self.rng.standard_normal((_SIZE // 2, self.space.dim))
        self._drawn = np.concatenate([half, -half])
        return self.space.clip(self._mean + self._deviations * self._drawn)

    def tell(self, x: Array, losses: Array) -> None:
        """Move mean and deviations by the ranks of the losses."""
        sharp, bent, rate, spread, common, again = self.rules
        if np.isinf(losses).all():
            self._deviations /= 2
            return
        ranks = np.argsort(np.argsort(losses, kind="stable"), kind="stable") / (_SIZE - 1) - 0.5
        weights = np.exp(-8 * np.exp(sharp) * ranks + 8 * bent * ranks**2)
        weights /= weights.sum()
        # Mirrored points cancel but for their weights: what is left is an estimate of the way down.
        move = weights @ self._drawn
        self._path = _inside(again) * self._path + move
        self._mean = self.space.clip(self._mean + np.exp(rate) * self._deviations * self._path)
        # The deviations of xNES (separable): each by itself, and all together.
        change = weights @ (self._drawn**2) - 1
        longer = 0.1 * np.exp(spread) * change + 0.3 * np.exp(common) * (move @ move * _SIZE / 2 / self.space.dim - 1)
        self._deviations = self._deviations * np.exp(np.clip(longer, -1, 1))


def _inside(value: float) -> float:
    """Return a number between 0 and 1."""
    return float(1 / (1 + np.exp(1 - value)))
