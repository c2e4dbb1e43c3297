"""A library's minimiser, which calls a function, asked and told: it stands still wherever it waits for losses."""

import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Unpack

import numpy as np
from greenlet import getcurrent, greenlet

from dfo_bench.core import Array, Given, InputError, Optimizer, Space

from ._global import lent

_LARGEST = 1e100
"""A failure, for what computes slopes: its square is finite."""


def elsewhere(space: Space, rng: np.random.Generator) -> Array:
    """Return a random point to begin again at: uniform in a box, else normal around the start."""
    if space.lower is not None and space.upper is not None:
        return rng.uniform(space.lower, space.upper, space.dim)
    return space.start.dense()[0] + space.scale * rng.standard_normal(space.dim)


def losses_of(x: Array) -> Array:
    """Return the losses, shape (n,), of points, shape (n, d): what a minimiser calls; it stands still until told."""
    # Its parent is who asked. No thread: where the run is dropped, so is a minimiser in the middle of its work.
    return getcurrent().parent.switch(x)


class Minimiser(Optimizer):
    """What calls a function until it has converged, and is then restarted from a random point.

    It starts at the space's start. A failure is told as 1e100, and no loss is larger or below -1e100.
    """

    def __init__(self, space: Space, **given: Unpack[Given]) -> None:
        super().__init__(space, **given)
        # Some libraries draw from NumPy's global generator: theirs is this one while they are at work.
        self._global = np.random.MT19937(int(self.rng.integers(2**32)))
        self._told = 0
        self._begin(space.clip(space.start.dense()[0]))

    @abstractmethod
    def minimiser(self, first: Array, budget: int, seed: int) -> Callable[[], object]:
        """Return what minimises from a point, by `losses_of`, planned for a budget; it must not hold this object."""

    def _begin(self, first: Array) -> None:
        minimiser = self.minimiser(first, max(1, self.budget - self._told), int(self.rng.integers(2**31)))
        self._suspended = greenlet(minimiser)
        self._since = 0
        self._answer: tuple[Array, ...] | None = ()

    def ask(self) -> Array:
        """Return the points whose losses it waits for, shape (n, d)."""
        while self._answer is not None:
            with self._at_work():
                asked = self._suspended.switch(*self._answer)
            if not self._suspended.dead:
                self._asked, self._answer = np.array(asked, float), None
            elif self._since:
                self.events.append(f"stopped after {self._since} evaluations; restarted")
                self._begin(elsewhere(self.space, self.rng))
            else:
                raise InputError(f"{type(self).__name__} ended before it asked for a point; take another method")
        return self.space.clip(self._asked)

    def tell(self, x: Array, losses: Array) -> None:
        """Keep the losses, which it is told when it is asked again."""
        self._answer = (np.clip(losses, -_LARGEST, _LARGEST),)
        self._told += len(losses)
        self._since += len(losses)

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        """Lend the library a global generator, and hold back its warnings."""
        with lent(self._global), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
