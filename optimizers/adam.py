"""Adam (Kingma & Ba, ICLR 2015) on the gradients of the task: no derivative-free search, but how far one might come.

With `-p identity` it is prompt tuning (Lester, Al-Rfou & Constant, EMNLP 2021, arXiv 2104.08691), with a random
projection Adam in the same subspace as everybody's.
"""

from typing import Unpack

from pydantic import PositiveFloat

from dfo_bench.core import Array, Given, GradientOptimizer, Space

from ._adam import Adam


class AdamOnGradients(GradientOptimizer):
    """Steps of Adam from the start, one point at a time; needs a task that has gradients.

    From a point that cannot be evaluated it goes back half the way to the last one that could. The learning rate is
    ours: on helpdesk (2 shots, 60 evaluations, seed 0), under the identity and under a random projection of 100
    dimensions, losses fell steadily at 0.3, 1 and 3, the faster the larger. 1 leaves room for longer runs.

    learning_rate: the first step of every coordinate, in units of the space's scale.
    """

    def __init__(self, space: Space, *, learning_rate: PositiveFloat = 1.0, **given: Unpack[Given]) -> None:
        super().__init__(space, **given)
        self._rate = learning_rate * space.scale
        self._x = self._last = space.clip(space.start.dense()[0])
        self._adam = Adam(space.dim)

    def ask(self) -> Array:
        """Return the one point."""
        return self._x[None].copy()

    def tell(self, x: Array, losses: Array, gradients: Array) -> None:  # type: ignore[override]
        """Take a step of Adam."""
        if losses[0] == float("inf"):
            self._x = (self._x + self._last) / 2
            return
        self._last = self._x
        self._x = self.space.clip(self._x - self._rate * self._adam.step(gradients[0]))
