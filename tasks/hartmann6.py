"""Hartmann's function of six variables (1973; as in Dixon & Szegö, 1978): six local optima."""

from typing import Annotated

import numpy as np
from pydantic import Field
from typing_extensions import override

from dfo_bench.core import Array, Rngs

from ._synthetic import Synthetic

_HEIGHTS = np.array([1.0, 1.2, 3.0, 3.2])
_WIDTHS = np.array(
    [
        [10.0, 3.0, 17.0, 3.5, 1.7, 8.0],
        [0.05, 10.0, 17.0, 0.1, 8.0, 14.0],
        [3.0, 3.5, 1.7, 10.0, 17.0, 8.0],
        [17.0, 8.0, 0.05, 10.0, 0.1, 14.0],
    ]
)
_CENTRES = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)


class Hartmann6(Synthetic):
    """f(x) = -sum_k h_k exp(-sum_j w_kj (u_j - c_kj)^2), each u_j in [0, 1] linear in an effective coordinate."""

    # Rounded down: at u = (0.20169, 0.150011, 0.476874, 0.275332, 0.311652, 0.657301), and never below it.
    optimum = -3.322368011415516

    def __init__(
        self,
        *,
        rngs: Rngs,
        dim: Annotated[int, Field(ge=6)] = 100,
        start: float | None = None,
        active: list[int] | None = None,
    ) -> None:
        super().__init__(dim, 6, start, rngs, active)

    @override
    def value(self, x: Array) -> Array:
        u = (x + 1) / 2
        distances = (_WIDTHS * (u[:, None, :] - _CENTRES) ** 2).sum(axis=2)
        return -(_HEIGHTS * np.exp(-distances)).sum(axis=1)
