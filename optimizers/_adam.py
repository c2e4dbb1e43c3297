"""Adam (Kingma & Ba, ICLR 2015), for those who estimate gradients."""

import numpy as np

from dfo_bench.core import Array

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8  # the paper's defaults


class Adam:
    """Both moments of the gradient, and the step they call for."""

    def __init__(self, shape: int | tuple[int, ...]) -> None:
        """`shape` is that of the gradient."""
        self._m, self._v, self._t = np.zeros(shape), np.zeros(shape), 0

    def step(self, gradient: Array) -> Array:
        """Return the step, to be subtracted, for a learning rate of 1."""
        self._t += 1
        # Algorithm 1, line by line: both moments, their correction for the start at 0, and the step.
        self._m = _BETA1 * self._m + (1 - _BETA1) * gradient
        self._v = _BETA2 * self._v + (1 - _BETA2) * gradient**2
        m, v = self._m / (1 - _BETA1**self._t), self._v / (1 - _BETA2**self._t)
        return m / (np.sqrt(v) + _EPSILON)
