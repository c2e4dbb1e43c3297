"""The sphere function: convex, separable, well conditioned."""

import numpy as np
from pydantic import PositiveInt

from dfo_bench.core import Array, Rngs

from ._synthetic import Shifted


class Sphere(Shifted):
    """f(x) = sum_i (x_i - o_i)^2 over the effective coordinates i; after Qian, Hu & Yu (2016), where o_i = 0.2."""

    def __init__(
        self,
        *,
        rngs: Rngs,
        dim: PositiveInt = 100,
        effective: PositiveInt = 10,
        shift: float | None = None,
        start: float | None = None,
    ) -> None:
        super().__init__(dim, effective, shift, start, rngs)

    def centred(self, x: Array) -> Array:
        """Return the squared lengths."""
        squares: Array = np.einsum("ij,ij->i", x, x)
        return squares
