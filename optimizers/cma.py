"""Covariance matrix adaptation evolution strategy (Hansen & Ostermeier, 2001) by pycma."""

from typing import Annotated

import numpy as np
from pydantic import Field, PositiveFloat

from dfo_bench.core import Space

from ._pycma import Pycma


class Cma(Pycma):
    """CMA-ES with the population of Black-Box Tuning (Sun et al., 2022)."""

    def __init__(
        self,
        space: Space,
        *,
        budget: int,
        rng: np.random.Generator,
        sigma: PositiveFloat = 1.0,
        popsize: Annotated[int, Field(ge=2)] = 20,
    ) -> None:
        super().__init__(space, budget=budget, rng=rng, sigma=sigma, popsize=popsize)
