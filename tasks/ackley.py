"""Ackley's function (1987): a funnel under a regular pattern of local optima."""

import numpy as np
from typing_extensions import override

from dfo_bench.core import Array

from ._synthetic import Rotated


class Ackley(Rotated):
    """f(x) = 20 + e - 20 exp(-0.2 rms(x - o)) - exp(mean cos 2 pi (x - o)); after Qian, Hu & Yu (2016), o_i = 0.2.

    Their domain is [-1, 1], not the usual [-32, 32]: one or two periods of the cosine.
    """

    @override
    def centred(self, x: Array) -> Array:
        funnel = np.exp(-0.2 * np.sqrt(np.mean(x * x, axis=1)))
        pattern = np.exp(np.mean(np.cos(2 * np.pi * x), axis=1))
        # So grouped, the optimum is exactly 0.
        return 20 * (1 - funnel) + (np.e - pattern)
