"""COBYQA (Ragonneau & Zhang, 2023), a successor of Powell's NEWUOA and BOBYQA, as SciPy has it."""

from collections.abc import Callable
from functools import partial
from typing import Unpack

import numpy as np
from pydantic import PositiveFloat
from scipy.optimize import Bounds, minimize

from dfo_bench.core import Array, Given, Space

from ._minimiser import Minimiser, losses_of


class Cobyqa(Minimiser):
    """Quadratic models of least Frobenius change, interpolated on 2 d + 1 points and minimised in a trust region.

    The first 2 d + 1 points are steps along the axes, so it needs a budget of several times d, and its own time grows
    with the cube of d. Where it has converged it is restarted from a random point.

    radius: the first radius in units of the space's scale, as SciPy's `initial_tr_radius`.
    """

    def __init__(self, space: Space, *, radius: PositiveFloat = 1.0, **given: Unpack[Given]) -> None:
        self._radius = radius * space.scale
        super().__init__(space, **given)

    def minimiser(self, first: Array, budget: int, seed: int) -> Callable[[], object]:
        """Return SciPy's COBYQA."""
        space = self.space
        bounds = (
            None if space.lower is None else Bounds(np.full(space.dim, space.lower), np.full(space.dim, space.upper))
        )
        options = {"maxfev": budget, "initial_tr_radius": self._radius, "final_tr_radius": 1e-6 * self._radius}
        return partial(
            minimize, lambda x: losses_of(x[None])[0], first, method="COBYQA", bounds=bounds, options=options
        )
