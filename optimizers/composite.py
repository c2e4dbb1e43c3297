"""Composite search: a Gaussian process of all outputs of a call, and the exact loss minimised on its mean.

The composition is that of Astudillo & Frazier (Bayesian optimization of composite functions, ICML 2019), in a trust
region as Cartis & Roberts' (Math. Prog. Comp. 11, 2019); explorers around the best point learn what is not yet known.
"""

from typing import Annotated, Unpack

from pydantic import Field, PositiveFloat, PositiveInt

from dfo_bench.core import Array, Space, VectorGiven, VectorOptimizer

from ._composite import Search


class Composite(VectorOptimizer):
    """In turns the one point that promises most, and some that explore; needs a task that has outputs.

    First come the start and nine random directions. Then, in turns: a Gaussian process with one kernel for all outputs
    is fitted to the points nearest to the best one, and the outer function is minimised on its mean within a radius;
    other points surround the best one in directions that are not yet known. The radius grows where the loss falls as
    foretold, shrinks where it does not, and begins anew where it is least. Points that fail are left out.

    sigma: the first step in units of the space's scale, as that of cma; at most 0.3 of the width of a box.
    batch: how many points are asked in two turns: the one that promises most, and explorers, one at least.
    points: the most that the process is fitted to; a batch costs time in the cube of it.
    """

    scalar = "composite_loss"

    def __init__(
        self,
        space: Space,
        *,
        sigma: PositiveFloat = 0.15,
        batch: PositiveInt = 5,
        points: Annotated[int, Field(ge=2)] = 300,
        **given: Unpack[VectorGiven],
    ) -> None:
        super().__init__(space, **given)
        self._search = Search(space, self.outer, self.rng, sigma=sigma, batch=batch, points=points)

    def ask(self) -> Array:
        """Return the first points, then the best on the process and explorers in turns."""
        return self._search.ask()

    def tell(self, x: Array, losses: Array, outputs: Array) -> None:  # type: ignore[override]
        """Move the radius, and keep the points."""
        self._search.tell(x, losses, outputs)
