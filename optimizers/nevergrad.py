"""Every optimizer of nevergrad by its name there (Rapin & Teytaud, Nevergrad, a gradient-free platform, 2018)."""

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from multiprocessing import parent_process
from typing import ClassVar, Unpack

import numpy as np

try:
    import nevergrad as ng
    from nevergrad.common.errors import FinishedUnderlyingOptimizerWarning
    from nevergrad.optimization import recaster
except ImportError as error:
    # Not required by dfo-bench: what it requires in turn is not all under a permissive licence.
    raise ImportError("it needs nevergrad; pip install --no-deps nevergrad") from error

from dfo_bench.core import Array, Given, Optimizer, Space, UnknownNameError

from ._global import lent
from ._losses import tamed
from ._minimiser import elsewhere

# nevergrad 1.0.12 calls float() of arrays of one element, which NumPy refuses from 2.4 on.
if version("nevergrad") == "1.0.12" and np.lib.NumpyVersion(np.__version__) >= "2.4.0" and parent_process() is None:
    logging.getLogger("dfo_bench").warning(
        "nevergrad 1.0.12 does not work with NumPy %s: about a hundred of its methods fail, NGOpt and MetaModel among "
        "them; pip install 'numpy<2.4'",
        np.__version__,
    )

# A minimiser that nevergrad runs in a thread waits there for its next loss; at the end of a run it must not keep the
# whole program waiting.
recaster._MessagingThread.daemon = True


class Nevergrad(Optimizer):
    """A method of nevergrad, asked for 20 points at a time where it can work in parallel.

    It starts at the space's start, with a mutation of one scale; in a box of at most a sixth of its width, which is
    nevergrad's own. A loss of +inf is told as it is: nevergrad takes it for 5e20. So is one above 1e100; one below
    -1e100 is told as that: between larger ones a slope is not finite. A minimiser that has converged is restarted from
    a random point; one inside a chain or portfolio is not: the rest of its share are the random points that nevergrad
    puts there.

    method: a name of `nevergrad.optimizers.registry`; NGOpt is its own choice.
    """

    variants: ClassVar[Mapping[str, Sequence[str]]] = {"method": tuple(sorted(ng.optimizers.registry))}

    def __init__(self, space: Space, *, method: str = "TwoPointsDE", **given: Unpack[Given]) -> None:
        super().__init__(space, **given)
        if method not in ng.optimizers.registry:
            raise UnknownNameError("method of nevergrad", method, ng.optimizers.registry)
        self._method = ng.optimizers.registry[method]
        self._workers = 1 if self._method.no_parallelization else 20
        # Some methods draw from NumPy's global generator: theirs is this one while they are at work.
        self._global = np.random.MT19937(int(self.rng.integers(2**32)))
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
        self.events.append(f"nevergrad's {self._library.name} stopped after {self._library.num_tell}; restarted")
        self._begin(elsewhere(self.space, self.rng))

    def ask(self) -> Array:
        """Return the next batch, shape (n, d)."""
        if not self._candidates:
            self._go_on([])
        return self.space.clip(np.array([candidate.value for candidate in self._candidates]))

    def tell(self, x: Array, losses: Array) -> None:
        """Tell the library, and let it think of the next batch at once."""
        self._go_on(tamed(losses).tolist())

    def _go_on(self, losses: list[float]) -> None:
        """Tell the library these losses of its candidates, and take the next from it, as few as the budget leaves.

        A minimiser in a thread goes on as soon as it is told. Waiting for what it asks next keeps its draws in order.
        """
        with self._at_work() as warned:
            for candidate, loss in zip(self._candidates, losses, strict=True):
                self._library.tell(candidate, loss)
            self._told += len(losses)
            left = self.budget - self._told
            count = min(self._workers, left if losses else max(1, left))
            self._candidates = [self._library.ask() for _ in range(count)]
        if not any(issubclass(warning.category, FinishedUnderlyingOptimizerWarning) for warning in warned):
            return
        # What it has asked since are random points.
        if self._method.recast:
            self._restart()
            with self._at_work():
                self._candidates = [self._library.ask() for _ in range(count)]
        elif not self._noted:
            self.events.append("a part of nevergrad's method has converged and asks random points from here on")
            self._noted = True

    @contextmanager
    def _at_work(self) -> Iterator[list[warnings.WarningMessage]]:
        """Lend the library a global generator, and yield its warnings instead of showing them."""
        with lent(self._global), warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", FinishedUnderlyingOptimizerWarning)
            yield warned
