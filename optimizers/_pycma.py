"""CMA-ES by its author's library pycma (Hansen, The CMA evolution strategy: a tutorial, arXiv 1604.00772)."""

import cma
import numpy as np

from dfo_bench.core import Array, Optimizer, Space

_FAILED = 1e300
"""What pycma is told for a failure: it only ranks, and inf would make its ranges nan."""


class Pycma(Optimizer):
    """Full CMA-ES in populations; all that is not said here is pycma's default.

    Where pycma stops by itself (converged, flat or ill-conditioned), a new one starts from the incumbent with the
    first step and population: a search among equals must not end before its budget.
    """

    def __init__(self, space: Space, *, budget: int, rng: np.random.Generator, sigma: float, popsize: int) -> None:
        """`sigma` is the first step in units of the space's scale, at most 0.3 of the width of a box."""
        super().__init__(space, budget=budget, rng=rng)
        self._sigma, self._popsize = sigma * space.scale, popsize
        if space.lower is not None and space.upper is not None:
            self._sigma = min(self._sigma, 0.3 * (space.upper - space.lower))
        self._best, self._incumbent = np.inf, space.start.dense()[0]
        self._restart()

    def _restart(self) -> None:
        options = {
            "popsize": self._popsize,
            "bounds": [self.space.lower, self.space.upper],
            # A seed would seed NumPy's global state; nan leaves it alone, and all numbers come from randn.
            "seed": np.nan,
            "randn": lambda *shape: self.rng.standard_normal(shape),
            "verbose": -10,  # prints nothing, writes no files, reads no cma_signals.in
        }
        self._strategy = cma.CMAEvolutionStrategy(self._incumbent, self._sigma, options)

    def ask(self) -> Array:
        """Return one population, shape (popsize, d)."""
        self._population = self._strategy.ask()
        return np.array(self._population)

    def tell(self, x: Array, losses: Array) -> None:
        """Update mean, step and covariance."""
        best = int(np.argmin(losses))
        if losses[best] < self._best:
            self._best, self._incumbent = losses[best], x[best].copy()
        self._strategy.tell(self._population, np.where(np.isfinite(losses), losses, _FAILED).tolist())
        if reasons := self._strategy.stop():
            evaluations = self._strategy.countevals
            self.events.append(f"pycma stopped after {evaluations} evaluations ({', '.join(reasons)}); restarted")
            self._restart()
