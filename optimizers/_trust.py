"""The steps of searches in a trust region: the least of a model within a radius, and how the radius moves."""

from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize

from dfo_bench.core import Array, Outer, Space

LEAST = 0.05
"""The smallest radius, in steps."""


class Itself(Outer):
    """The outer function of one output that is the loss."""

    shape = (1,)

    def loss(self, outputs: Array) -> Array:
        """Return the output."""
        return outputs[:, 0]

    def gradient(self, outputs: Array) -> Array:
        """Return ones."""
        return np.ones_like(outputs)


class Steps:
    """Coordinates around the start of a space, in steps: a point z is start + step z, inside the bounds."""

    def __init__(self, space: Space, sigma: float) -> None:
        """`sigma` is a step along every coordinate, in scales, as CMA-ES has it; at most 0.3 of the width of a box."""
        if space.lower is not None and space.upper is not None:
            sigma = min(sigma, 0.3 * (space.upper - space.lower) / space.scale)
        self.space, self.step = space, sigma * space.scale * space.dim**0.5
        self._start = space.clip(space.start.dense()[0])

    def point(self, z: Array) -> Array:
        """Return what is asked for at z."""
        return self.space.clip(self._start + self.step * z)

    def read(self, x: Array) -> Array:
        """Return where points are."""
        return (x - self._start) / self.step

    def clip(self, z: Array) -> tuple[Array, Array]:
        """Return z inside the bounds, and 1 for every coordinate that lay there, 0 for those that were moved."""
        x = self._start + self.step * z
        free = x == self.space.clip(x)
        return np.where(free, z, self.read(self.space.clip(x))), free.astype(float)


def least_within(
    model: Callable[[Array], tuple[float, Array]],
    steps: Steps,
    centre: Array,
    radius: float,
    rng: np.random.Generator,
    iterations: int = 60,
) -> tuple[Array, float]:
    """Return the point of the least value of a model within a radius and the bounds, and that value.

    `model` returns value and gradient at a point; the search is L-BFGS's over all of R^d, which
    z = c + r v / sqrt(1 + |v|^2) folds into the ball.
    """

    def folded(v: Array) -> tuple[float, Array]:
        root = np.sqrt(1 + v @ v)
        z, free = steps.clip(centre + radius * v / root)
        value, gradient = model(z)
        slope = gradient * free
        return value, radius * (slope - v * (v @ slope) / root**2) / root

    with np.errstate(all="ignore"):
        first = 1e-3 * rng.standard_normal(len(centre))
        found = minimize(folded, first, jac=True, method="L-BFGS-B", options={"maxiter": iterations})
        z, _ = steps.clip(centre + radius * found.x / np.sqrt(1 + found.x @ found.x))
        return z, float(found.fun)


def moved(radius: float, length: float, fallen: float, promised: float) -> float:
    """Return the radius after a step of a length, by the share of the promised fall of the loss that came.

    Where that is the whole to a tenth, the model holds: then the radius doubles, if it was in the way.
    """
    if fallen > 0.5 * promised:
        return max(radius, (2.0 if abs(fallen - promised) < 0.1 * promised else 1.2) * length)
    return max(LEAST, 0.7 * min(radius, 2 * length)) if not fallen >= 0.1 * promised else radius
