"""COBYQA (Ragonneau & Zhang, 2023), a successor of Powell's NEWUOA and BOBYQA, by its authors' package.

SciPy has it, too, behind a lock that a minimiser which waits for losses would hold against all others.
"""

from collections.abc import Callable
from functools import partial
from typing import Unpack

import numpy as np
from cobyqa import minimize
from pydantic import PositiveFloat
from scipy.optimize import Bounds

from dfo_bench.core import Array, Given, Space

from ._minimiser import Minimiser, losses_of


class Cobyqa(Minimiser):
    """Quadratic models of least Frobenius change, interpolated on 2 d + 1 points and minimised in a trust region.

    The first 2 d + 1 points are steps along the axes, so it needs a budget of several times d, and its own time grows
    with the cube of d. Where it has converged it is restarted from a random point.

    radius: the first radius in units of the space's scale, as COBYQA's `radius_init`.
    """

    def __init__(self, space: Space, *, radius: PositiveFloat = 1.0, **given: Unpack[Given]) -> None:
        self._radius = radius * space.scale
        super().__init__(space, **given)

    def minimiser(self, first: Array, budget: int, seed: int) -> Callable[[], object]:
        """Return COBYQA from a point."""
        space = self.space
        bounds = (
            None if space.lower is None else Bounds(np.full(space.dim, space.lower), np.full(space.dim, space.upper))
        )
        options = {"maxfev": budget, "radius_init": self._radius, "radius_final": 1e-6 * self._radius}
        return partial(minimize, lambda x: losses_of(x[None])[0], first, bounds=bounds, options=options)
