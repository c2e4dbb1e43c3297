"""Griewank's function (1981): a wide bowl under a fine pattern of local optima."""

import numpy as np
from typing_extensions import override

from dfo_bench.core import Array

from ._synthetic import Rotated


class Griewank(Rotated):
    """f(x) = sum_i z_i^2 / 4000 - prod_i cos(z_i / sqrt i) + 1 with z = 600 R (x - o): [-600, 600] as [-1, 1]."""

    @override
    def centred(self, x: Array) -> Array:
        z = 600 * x
        bowl = (z * z).sum(axis=1) / 4000
        waves = np.cos(z / np.sqrt(np.arange(1, z.shape[1] + 1))).prod(axis=1)
        # So grouped, the optimum is exactly 0.
        return bowl + (1 - waves)
