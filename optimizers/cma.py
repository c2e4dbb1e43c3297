"""Covariance matrix adaptation evolution strategy (Hansen & Ostermeier, 2001) by pycma."""

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, get_args

import numpy as np
from pydantic import Field, PositiveFloat

from dfo_bench.core import Space

from ._pycma import Pycma, Variant


class Cma(Pycma):
    """CMA-ES with the population and the first step of Black-Box Tuning (Sun et al., ICML 2022)."""

    variants: ClassVar[Mapping[str, Sequence[str]]] = {"variant": get_args(Variant)}

    def __init__(
        self,
        space: Space,
        *,
        budget: int,
        rng: np.random.Generator,
        sigma: PositiveFloat = 1.0,
        popsize: Annotated[int, Field(ge=2)] = 20,
        variant: Variant = "full",
    ) -> None:
        """`variant` is the model of the covariance: full, sep (a diagonal) or vkd (with a few directions)."""
        super().__init__(space, budget=budget, rng=rng, sigma=sigma, popsize=popsize, variant=variant)
