"""Covariance matrix adaptation evolution strategy (Hansen & Ostermeier, 2001) by pycma."""

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Unpack, get_args

from pydantic import Field, PositiveFloat

from dfo_bench.core import Given, Space

from ._pycma import Pycma, Variant


class Cma(Pycma):
    """CMA-ES with the population and the first step of Black-Box Tuning (Sun et al., ICML 2022).

    sigma: the first step in units of the space's scale; at most 0.3 of the width of a box.
    popsize: how many points are asked at a time.
    variant: the model of the covariance: full, sep (a diagonal) or vkd (a diagonal and a few directions).
    """

    variants: ClassVar[Mapping[str, Sequence[str]]] = {"variant": get_args(Variant)}

    def __init__(
        self,
        space: Space,
        *,
        sigma: PositiveFloat = 1.0,
        popsize: Annotated[int, Field(ge=2)] = 20,
        variant: Variant = "full",
        **given: Unpack[Given],
    ) -> None:
        super().__init__(space, sigma=sigma, popsize=popsize, variant=variant, **given)
