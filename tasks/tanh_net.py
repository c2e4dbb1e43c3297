"""The weights of a small network of tanh units, fitted to the answers of another one of its shape: least squares."""

import numpy as np
from pydantic import PositiveInt
from typing_extensions import override

from dfo_bench.core import Array, Rngs

from ._synthetic import SumOfSquares

_REACH = 3.0
"""The weights per unit of x: tanh is bent over most of the box, and flat at its ends."""


class TanhNet(SumOfSquares):
    """r_i(w) = f(a_i; w) - f(a_i; o) with f(a; w) = sum_k tanh(w_k' (a, 1)) over the units k, and w = 3 x.

    The inputs a_i are N(0, I), drawn per seed, and so are the weights o of the network that gave the answers. The units
    can change places, so the minimum 0 is taken at several points.

    hidden: how many units.
    inputs: how many inputs each of them has, beside its constant.
    examples: how many answers are fitted, the outputs of one evaluation.
    """

    def __init__(
        self,
        *,
        rngs: Rngs,
        hidden: PositiveInt = 5,
        inputs: PositiveInt = 3,
        examples: PositiveInt = 40,
        dim: PositiveInt = 100,
        shift: float | None = None,
        start: float | None = None,
    ) -> None:
        drawn = rngs("inputs").standard_normal((examples, inputs))
        self._inputs, self._units = np.column_stack([drawn, np.ones(examples)]), (hidden, inputs + 1)
        super().__init__(rngs=rngs, dim=dim, effective=hidden * (inputs + 1), shift=shift, start=start)

    @override
    def residuals(self, x: Array) -> Array:
        return self._answers(x + self._shift) - self._answers(self._shift[None])

    def _answers(self, x: Array) -> Array:
        weights = _REACH * x.reshape(-1, *self._units)
        # Not by BLAS, so that a point has one loss in any batch.
        sums: Array = np.tanh(np.einsum("nki,ei->nek", weights, self._inputs)).sum(axis=2)
        return sums
