"""The prox-linear method (Fletcher, Math. Prog. Study 17, 1982; Drusvyatskiy & Paquette, Math. Prog. 178, 2019).

Its Jacobian of all outputs is Broyden's, from secants (Math. Comp. 19, 1965): no derivative is evaluated.
"""

from typing import Unpack

from pydantic import PositiveFloat, PositiveInt

from dfo_bench.core import Array, Space, VectorGiven, VectorOptimizer

from ._prox_linear import Search


class ProxLinear(VectorOptimizer):
    """Minimises the exact outer function of a linear model of all outputs, within a radius; needs outputs.

    sigma: the first step in units of the space's scale, as that of cma; at most 0.3 of the width of a box.
    batch: how many points are asked at a time: the best on the model, and explorers that bring a secant each.
        One at a time once there are secants along every dimension, which is where these are at most 50.
    """

    scalar = "secant"

    def __init__(
        self, space: Space, *, sigma: PositiveFloat = 1.0, batch: PositiveInt = 5, **given: Unpack[VectorGiven]
    ) -> None:
        super().__init__(space, **given)
        self._search = Search(space, self.outer, self.rng, sigma=sigma, batch=batch)

    def ask(self) -> Array:
        """Return the best point on the model, and explorers."""
        return self._search.ask()

    def tell(self, x: Array, losses: Array, outputs: Array) -> None:  # type: ignore[override]
        """Update Jacobian and radius."""
        self._search.tell(x, losses, outputs)
