"""The sphere function: convex, separable, well conditioned."""

import numpy as np

from dfo_bench.core import Array

from ._synthetic import Shifted


class Sphere(Shifted):
    """f(x) = sum_i (x_i - o_i)^2 over the effective coordinates i; after Qian, Hu & Yu (2016), where o_i = 0.2."""

    def centred(self, x: Array) -> Array:
        """Return the squared lengths."""
        return np.einsum("ij,ij->i", x, x)
