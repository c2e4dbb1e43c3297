"""Rosenbrock's function (1960): a curved valley, flat along its floor."""

from typing import Annotated, Any

import numpy as np
from pydantic import Field
from typing_extensions import override

from dfo_bench.core import Array, Rngs

from ._synthetic import Rotated, SumOfSquares


class Rosenbrock(SumOfSquares, Rotated):
    """f(x) = sum_i 100 (z_{i+1} - z_i^2)^2 + (1 - z_i)^2 with z = 2.048 R (x - o) + 1: as wide as [-2.048, 2.048]^n."""

    def __init__(self, *, rngs: Rngs, effective: Annotated[int, Field(ge=2)] = 10, **common: Any) -> None:
        super().__init__(rngs=rngs, effective=effective, **common)

    @override
    def residuals(self, x: Array) -> Array:
        z = 2.048 * x + 1
        return np.concatenate([10 * (z[:, 1:] - z[:, :-1] ** 2), 1 - z[:, :-1]], axis=1)
