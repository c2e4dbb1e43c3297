"""The 24 noiseless functions of COCO (Hansen et al., 2021), as the package ioh holds them."""

from typing import Annotated

import numpy as np
from pydantic import Field

from dfo_bench.core import Array, InputError, Rngs

from ._synthetic import Synthetic

_VARIABLES = 640
"""The most variables that COCO has; to build the rotations of more takes minutes."""


class Bbob(Synthetic):
    """f(x) - f_opt of one function and one instance of it; its domain, [-5, 5]^n, as [-1, 1]^n.

    function: which of the 24, by its number in COCO.
    instance: which instance of it; null draws one of 1 to 1,000 by the seed.
    effective: how many coordinates matter; null is all.
    """

    optimum = 0.0

    def __init__(
        self,
        *,
        rngs: Rngs,
        dim: Annotated[int, Field(ge=2)] = 100,
        function: Annotated[int, Field(ge=1, le=24)] = 1,
        instance: Annotated[int, Field(ge=1, lt=2**31)] | None = None,
        effective: Annotated[int, Field(ge=2)] | None = None,
        start: float | None = None,
    ) -> None:
        try:
            from ioh import ProblemClass, get_problem
        except ImportError as error:
            raise InputError("task bbob needs ioh; pip install 'dfo-bench[bbob]'") from error
        variables = effective or dim
        if variables > _VARIABLES:
            raise InputError(f"bbob has at most {_VARIABLES} variables, got {variables}; pass effective={_VARIABLES}")
        super().__init__(dim, variables, start, rngs)
        drawn = int(rngs("instance").integers(1, 1_001)) if instance is None else instance
        self._problem = get_problem(function, drawn, variables, ProblemClass.BBOB)
        self._least = float(self._problem.optimum.y)

    def value(self, x: Array) -> Array:
        """Return the losses, without f_opt, which differs between instances."""
        return np.array(self._problem(5 * x)) - self._least
