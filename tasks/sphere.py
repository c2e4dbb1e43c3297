"""The sphere function: convex, separable, well conditioned."""

from dfo_bench.core import Array

from ._synthetic import SumOfSquares


class Sphere(SumOfSquares):
    """f(x) = sum_i (x_i - o_i)^2 over the effective coordinates i; after Qian, Hu & Yu (2016), where o_i = 0.2."""

    def residuals(self, x: Array) -> Array:
        """Return the coordinates."""
        return x
