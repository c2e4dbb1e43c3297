"""Every optimizer of nevergrad by its name there (Rapin & Teytaud, Nevergrad, a gradient-free platform, 2018)."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import ClassVar

import numpy as np

try:
    import nevergrad as ng
    from nevergrad.common.errors import FinishedUnderlyingOptimizerWarning
    from nevergrad.optimization import recaster
except ImportError as error:
    # Not required by dfo-bench: what it requires in turn is not all under a permissive licence.
    raise ImportError("it needs nevergrad; pip install --no-deps nevergrad") from error
from numpy.random import mtrand

from dfo_bench.core import Array, Optimizer, Space, UnknownNameError

# A minimiser that nevergrad runs in a thread waits there for its next loss; at the end of a run it must not keep the
# whole program waiting.
recaster._MessagingThread.daemon = True


class Nevergrad(Optimizer):
    """A method of nevergrad, asked for 20 points at a time where it can work in parallel.

    It starts at the space's start, with a mutation of one scale; in a box of at most a sixth of its width, which is
    nevergrad's own. A loss of +inf is told as it is: nevergrad takes it for 5e20. A minimiser that has converged is
    restarted from a random point; one inside a chain or portfolio is not: the rest of its share are the random points
    that nevergrad puts there.
    """

    variants: ClassVar[Mapping[str, Sequence[str]]] = {"method": tuple(sorted(ng.optimizers.registry))}

    def __init__(self, space: Space, *, budget: int, rng: np.random.Generator, method: str = "TwoPointsDE") -> None:
        """`method` is a name of `nevergrad.optimizers.registry`; its own choice, NGOpt, breaks on NumPy 2.4 in R^3."""
        super().__init__(space, budget=budget, rng=rng)
        if method not in ng.optimizers.registry:
            raise UnknownNameError("method of nevergrad", method, ng.optimizers.registry)
        self._method = ng.optimizers.registry[method]
        self._workers = 1 if self._method.no_parallelization else 20
        # Some methods draw from NumPy's global generator: theirs is this one while they are at work.
        self._global = np.random.MT19937(int(rng.integers(2**32)))
        self._told, self._noted = 0, False
        self._candidates: list[ng.p.Parameter] = []
        self._begin(space.start.dense()[0])

    def _begin(self, first: Array) -> None:
        """Make the library's optimizer anew, for what is left of the budget."""
        space, sigma, left = self.space, self.space.scale, max(1, self.budget - self._told)
        if space.lower is not None and space.upper is not None:
            sigma = min(sigma, (space.upper - space.lower) / 6)
        seed = int(self.rng.integers(2**32))
        with self._at_work():
            where = ng.p.Array(init=first, lower=space.lower, upper=space.upper)
            where.set_mutation(sigma=sigma)
            where.random_state = np.random.RandomState(seed)
            self._library = self._method(where, budget=left, num_workers=self._workers)

    def _restart(self) -> None:
        """Begin again at a random point: from the same one a deterministic minimiser would only repeat itself."""
        space = self.space
        if space.lower is not None and space.upper is not None:
            first = self.rng.uniform(space.lower, space.upper, space.dim)
        else:
            first = space.start.dense()[0] + space.scale * self.rng.standard_normal(space.dim)
        self.events.append(f"nevergrad's {self._library.name} stopped after {self._library.num_tell}; restarted")
        self._begin(space.clip(first))

    def ask(self) -> Array:
        """Return the next batch, shape (n, d)."""
        if not self._candidates:
            self._prepare()
        return self.space.clip(np.array([candidate.value for candidate in self._candidates]))

    def _prepare(self) -> None:
        """Ask the library for the next batch, the last of a budget as short as that leaves it."""
        count = max(1, min(self._workers, self.budget - self._told))
        converged = self._asked(count)
        if converged and self._method.recast:
            self._restart()
            self._asked(count)
        elif converged and not self._noted:
            self.events.append("a part of nevergrad's method has converged and asks random points from here on")
            self._noted = True

    def _asked(self, count: int) -> bool:
        """Take candidates from the library; return whether it says that it has converged and these are random."""
        with self._at_work() as warned:
            self._candidates = [self._library.ask() for _ in range(count)]
        return any(issubclass(warning.category, FinishedUnderlyingOptimizerWarning) for warning in warned)

    def tell(self, x: Array, losses: Array) -> None:
        """Tell the library, and let it think of the next batch at once."""
        with self._at_work():
            for candidate, loss in zip(self._candidates, losses.tolist(), strict=True):
                self._library.tell(candidate, loss)
        self._told += len(losses)
        self._candidates = []
        # A minimiser in a thread goes on as soon as it is told. Waiting for what it asks next keeps its draws in order.
        if self._told < self.budget:
            self._prepare()

    @contextmanager
    def _at_work(self) -> Iterator[list[warnings.WarningMessage]]:
        """Lend the library a global generator, and yield its warnings instead of showing them."""
        theirs, state = mtrand.get_bit_generator(), np.random.get_state(legacy=False)  # noqa: NPY002
        mtrand.set_bit_generator(self._global)
        try:
            with warnings.catch_warnings(record=True) as warned:
                warnings.simplefilter("ignore")
                warnings.simplefilter("always", FinishedUnderlyingOptimizerWarning)
                yield warned
        finally:
            mtrand.set_bit_generator(theirs)
            # The swap drops the second half of a pair of old-style normals.
            if state["has_gauss"]:
                np.random.set_state(state)  # noqa: NPY002
