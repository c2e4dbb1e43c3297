"""Sobol' sequence by SciPy: random search that leaves no holes (Sobol', 1967).

Scrambled by a random linear matrix and a shift (Matousek, J. of Complexity 14, 1998).
"""

from typing import Unpack

from scipy.stats import norm, qmc

from dfo_bench.core import Array, Given, InputError, Optimizer, Space

_BITS = 53
"""Of one number: all that a float holds, and a sequence of 2^53 points, which no budget uses up."""


class Sobol(Optimizer):
    """Even in a box, else normal around the start through the normal quantile; learns nothing."""

    def __init__(self, space: Space, **given: Unpack[Given]) -> None:
        super().__init__(space, **given)
        if space.dim > qmc.Sobol.MAXDIM:
            raise InputError(f"a Sobol' sequence has at most {qmc.Sobol.MAXDIM} dimensions, not {space.dim}")
        self._sequence = qmc.Sobol(space.dim, bits=_BITS, rng=self.rng)

    def ask(self) -> Array:
        """Return the next 16 points: as a power of two in a row they are balanced."""
        u = self._sequence.random(16)
        if self.space.lower is not None and self.space.upper is not None:
            return self.space.lower + (self.space.upper - self.space.lower) * u
        # Half a step up: the quantile of 0 is not finite.
        z = norm.ppf(u + 2.0 ** -(_BITS + 1))
        return self.space.clip(self.space.start.dense() + self.space.scale * z)

    def tell(self, x: Array, losses: Array) -> None:
        """Learn nothing."""
