"""The ellipsoid: convex, of condition 10^6 (Hansen & Ostermeier, 2001; f10 of BBOB without its oscillation)."""

import numpy as np
from typing_extensions import override

from dfo_bench.core import Array

from ._synthetic import Rotated, SumOfSquares


class Ellipsoid(SumOfSquares, Rotated):
    """f(x) = sum_i 10^(6 (i - 1) / (n - 1)) z_i^2 with z = R (x - o), over the n effective variables."""

    @override
    def residuals(self, x: Array) -> Array:
        return np.logspace(0, 3, x.shape[1]) * x
