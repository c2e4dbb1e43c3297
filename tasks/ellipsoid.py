"""The ellipsoid: convex, of condition 10^6 (Hansen & Ostermeier, 2001; f10 of BBOB without its oscillation)."""

from decimal import Decimal
from functools import cache

import numpy as np
from typing_extensions import override

from dfo_bench.core import Array

from ._synthetic import Rotated, SumOfSquares


class Ellipsoid(SumOfSquares, Rotated):
    """f(x) = sum_i 10^(6 (i - 1) / (n - 1)) z_i^2 with z = R (x - o), over the n effective variables."""

    @override
    def residuals(self, x: Array) -> Array:
        return _axes(x.shape[1]) * x


@cache
def _axes(n: int) -> Array:
    """Return 10^(3 (i - 1) / (n - 1)) for i = 1 to n; NumPy's power differs in the last bit between processors."""
    return np.array([float(10 ** (Decimal(3 * i) / max(n - 1, 1))) for i in range(n)])
