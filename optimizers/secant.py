"""Steepest descent on a gradient from secants (Broyden, Math. Comp. 19, 1965), which are kept from step to step."""

from typing import Unpack

from pydantic import PositiveFloat, PositiveInt

from dfo_bench.core import Array, Given, Optimizer, Space

from ._losses import tamed
from ._prox_linear import Search
from ._trust import Itself


class Secant(Optimizer):
    """Differences along random directions, each of which corrects the gradient that all before have made.

    Where spsa and zo_adam forget a difference once they have made a step of it, here d of them make a whole gradient,
    down which a step in a trust region is made with every batch. It is prox_linear with the loss as its one output.

    sigma: the first step in units of the space's scale, as that of cma; at most 0.3 of the width of a box.
    batch: how many points are asked at a time: the step, and explorers that bring a difference each.
        One at a time once there are differences along every dimension, which is where these are at most 50.
    """

    def __init__(
        self, space: Space, *, sigma: PositiveFloat = 1.0, batch: PositiveInt = 5, **given: Unpack[Given]
    ) -> None:
        super().__init__(space, **given)
        self._search = Search(space, Itself(), self.rng, sigma=sigma, batch=batch)

    def ask(self) -> Array:
        """Return a step down the gradient, and explorers."""
        return self._search.ask()

    def tell(self, x: Array, losses: Array) -> None:
        """Update gradient and radius."""
        tame = tamed(losses)
        self._search.tell(x, tame, tame[:, None])
