"""Every gradient-free algorithm of optimagic by its name there (Gabler et al., optimagic, 2024)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import islice
from types import SimpleNamespace
from typing import Any, ClassVar, Unpack

import numpy as np
from greenlet import greenlet
from pydantic import PositiveFloat

try:
    from optimagic.algorithms import ALL_ALGORITHMS
    from optimagic.optimization.internal_optimization_problem import InternalBounds
    from optimagic.typing import AggregationLevel
except ImportError as error:
    raise ImportError("it needs optimagic; pip install 'dfo-bench[optimagic]'") from error

from dfo_bench.core import Array, Given, InputError, Space, UnknownNameError

from ._embedded import BOX
from ._minimiser import Minimiser, losses_of

# A class has what mypy takes for a property of its instances.
_ALGORITHMS: Mapping[str, Any] = ALL_ALGORITHMS

_CORES = 20
"""How many points are asked for at a time, where an algorithm can work in parallel."""


def _fits(name: str) -> bool:
    """Whether an algorithm reads losses only, and is not nevergrad's, which has a door of its own, nor a whole grid."""
    info = _ALGORITHMS[name].algo_info
    sees_losses = not info.needs_jac and not info.needs_hess and info.solver_type is AggregationLevel.SCALAR
    return sees_losses and not name.startswith("nevergrad_") and name != "scipy_brute"


_KNOWN = tuple(sorted(filter(_fits, _ALGORITHMS)))


class Optimagic(Minimiser):
    """An algorithm of optimagic, asked for as many points at a time as it evaluates side by side on 20 cores.

    Those that need bounds search the space's box, or `box` scales to each side of its start; the others are told of
    bounds where they take some, and are clipped to them where not. Where one has converged it is restarted from a
    random point. Algorithms of packages that are not installed are not in the list, and unchecked.

    method: a name of `optimagic.algorithms`.
    options: the algorithm's own parameters, as in options={"convergence_ftol_rel": 0}.
    box: half the width of the search box where the space has no bounds, in units of its scale; null is 5.
    """

    variants: ClassVar[Mapping[str, Sequence[str]]] = {
        "method": tuple(name for name in _KNOWN if _ALGORITHMS[name].algo_info.is_available)
    }

    def __init__(
        self,
        space: Space,
        *,
        method: str = "neldermead_parallel",
        options: Mapping[str, Any] = {},
        box: PositiveFloat | None = None,
        **given: Unpack[Given],
    ) -> None:
        if method not in _KNOWN:
            raise UnknownNameError("gradient-free method of optimagic", method, _KNOWN)
        self._method, self._options = _ALGORITHMS[method], options
        info, fields = self._method.algo_info, set(self._method.__dataclass_fields__) - {"__algo_info__", "seed"}
        if not info.is_available:
            raise InputError(
                f"optimagic's {method} is another package's, which is not installed; its documentation says which"
            )
        if unknown := [name for name in options if name not in fields]:
            raise UnknownNameError(f"option of {method}", unknown[0], fields)
        self._edges: tuple[Array, Array] | None = None
        start, half = space.start.dense()[0], (box or BOX) * space.scale
        if space.lower is not None and space.upper is not None and info.supports_bounds:
            self._edges = np.full(space.dim, space.lower), np.full(space.dim, space.upper)
        elif info.needs_bounds:
            self._edges = start - half, start + half
        super().__init__(space, **given)

    def minimiser(self, first: Array, budget: int, seed: int) -> Callable[[], object]:
        """Return an algorithm on a problem whose unit is a scale, and whose origin the start of the space."""
        mine = {"stopping_maxfun": budget, "n_cores": _CORES, "seed": seed, "batch_evaluator": _together}
        fields = self._method.__dataclass_fields__
        algorithm = self._method(
            **{name: value for name, value in mine.items() if name in fields} | dict(self._options)
        )
        start, scale = self.space.start.dense()[0], self.space.scale
        lower, upper = (None, None) if self._edges is None else ((edge - start) / scale for edge in self._edges)

        def loss(u: Array) -> float:
            return float(losses_of((start + scale * np.asarray(u))[None])[0])

        problem = SimpleNamespace(
            fun=loss,
            batch_fun=partial(_together, loss),
            bounds=InternalBounds(lower=lower, upper=upper),
            nonlinear_constraints=(),
        )
        return partial(algorithm._solve_internal_problem, problem, (first - start) / scale)


def _together(func: Callable[[Any], Any], arguments: Iterable[Any], n_cores: int = _CORES, **_: object) -> list[Any]:
    """Do pieces of work, `n_cores` of them side by side: a batch is what all of them wait for."""
    results: list[Any] = []
    pending = iter(arguments)
    while chunk := list(islice(pending, n_cores)):
        tasks = [greenlet(func) for _ in chunk]
        found = [task.switch(argument) for task, argument in zip(tasks, chunk, strict=True)]
        while waiting := [i for i, task in enumerate(tasks) if not task.dead]:
            losses = losses_of(np.concatenate([found[i] for i in waiting]))
            for i, loss in zip(waiting, losses, strict=True):
                found[i] = tasks[i].switch(np.array([loss]))
        results += found
    return results
