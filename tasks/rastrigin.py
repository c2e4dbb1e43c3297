"""Rastrigin's function (1974): a bowl under a regular grid of local optima."""

import numpy as np
from typing_extensions import override

from dfo_bench.core import Array

from ._synthetic import Rotated


class Rastrigin(Rotated):
    """f(x) = sum_i z_i^2 - 10 cos 2 pi z_i + 10 with z = 5.12 R (x - o): [-5.12, 5.12] as [-1, 1]."""

    @override
    def centred(self, x: Array) -> Array:
        z = 5.12 * x
        return (z * z + 10 * (1 - np.cos(2 * np.pi * z))).sum(axis=1)
