"""Branin's function (1972): two variables, three optima of one value."""

from typing import Annotated

import numpy as np
from pydantic import Field
from typing_extensions import override

from dfo_bench.core import Array, Rngs

from ._synthetic import Synthetic


class Branin(Synthetic):
    """(b - 5.1 a^2 / (4 pi^2) + 5 a / pi - 6)^2 + 10 (1 - 1 / (8 pi)) cos a + 10, a in [-5, 10], b in [0, 15].

    Both are linear in an effective coordinate of [-1, 1] (Wang et al., JAIR 2016). The optima are off 0 as they are.
    """

    optimum = 10 / (8 * np.pi)

    def __init__(
        self,
        *,
        rngs: Rngs,
        dim: Annotated[int, Field(ge=2)] = 100,
        start: float | None = None,
        active: list[int] | None = None,
    ) -> None:
        super().__init__(dim, 2, start, rngs, active)

    @override
    def value(self, x: Array) -> Array:
        a, b = 7.5 * x[:, 0] + 2.5, 7.5 * x[:, 1] + 7.5
        valley = b - 5.1 * a**2 / (4 * np.pi**2) + 5 * a / np.pi - 6
        return valley**2 + 10 * (1 - 1 / (8 * np.pi)) * np.cos(a) + 10
