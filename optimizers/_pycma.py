"""CMA-ES by its author's library pycma (Hansen, The CMA evolution strategy: a tutorial, arXiv 1604.00772)."""

from typing import Any, Literal, Unpack

import cma
import numpy as np
from cma.restricted_gaussian_sampler import GaussVkDSampler

from dfo_bench.core import Array, Given, InputError, Optimizer, Space

from ._losses import rankable

Variant = Literal["full", "sep", "vkd"]

_LEAST_VKD = 4
"""Below it pycma's weights are not what its restricted model takes."""


class Pycma(Optimizer):
    """CMA-ES in populations; all that is not said here is pycma's default.

    The covariance is full, or restricted so that a point costs O(d) instead of O(d^2): `sep` is a diagonal (Ros &
    Hansen, PPSN 2008), `vkd` a diagonal and as many directions as pay (Akimoto & Hansen, GECCO and PPSN 2016).

    Where pycma stops by itself (converged, flat or ill-conditioned), a new one starts from the incumbent with the
    first step and population: a search among equals must not end before its budget.
    """

    def __init__(
        self,
        space: Space,
        *,
        sigma: float,
        popsize: int,
        variant: Variant = "full",
        **given: Unpack[Given],
    ) -> None:
        super().__init__(space, **given)
        self._sigma, self._popsize, self._variant = sigma * space.scale, popsize, variant
        if variant == "vkd" and popsize < _LEAST_VKD:
            raise InputError(f"variant=vkd needs popsize={_LEAST_VKD} or more, got {popsize}; or use variant=sep")
        if space.lower is not None and space.upper is not None:
            self._sigma = min(self._sigma, 0.3 * (space.upper - space.lower))
        self._best, self._incumbent = np.inf, space.start.dense()[0]
        self._restart()

    def _restart(self) -> None:
        options: dict[str, Any] = {
            "popsize": self._popsize,
            "bounds": [self.space.lower, self.space.upper],
            # A seed would seed NumPy's global state; nan leaves it alone, and all numbers come from randn.
            "seed": np.nan,
            "randn": self._randn,
            "verbose": -10,  # prints nothing, writes no files, reads no cma_signals.in
        }
        if self.space.dim == 1:
            options["maxstd"] = np.inf  # pycma keeps the step below a third of a box, and in one dimension cannot
        if self._variant == "sep":
            options["CMA_diagonal"] = True
        elif self._variant == "vkd":
            options |= GaussVkDSampler.extend_cma_options({"CMA_sampler_options": {"randn": self._randn}})
        self._strategy = cma.CMAEvolutionStrategy(self._incumbent, self._sigma, options)

    def _randn(self, *shape: int) -> Array:
        return self.rng.standard_normal(shape)

    def ask(self) -> Array:
        """Return one population, shape (popsize, d)."""
        self._population = self._strategy.ask()
        return np.array(self._population)

    def tell(self, x: Array, losses: Array) -> None:
        """Update mean, step and covariance."""
        best = int(np.argmin(losses))
        if losses[best] < self._best:
            self._best, self._incumbent = losses[best], x[best].copy()
        self._strategy.tell(self._population, rankable(losses))
        if reasons := self._strategy.stop():
            evaluations = self._strategy.countevals
            self.events.append(f"pycma stopped after {evaluations} evaluations ({', '.join(reasons)}); restarted")
            self._restart()
