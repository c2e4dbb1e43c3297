"""Every sampler of optuna by its name there (Akiba, Sano, Yanase, Ohta & Koyama, Optuna, KDD 2019)."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Unpack

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.samplers import BaseSampler
from pydantic import PositiveFloat

from dfo_bench.core import Array, Given, InputError, Optimizer, Space, UnknownNameError

from ._embedded import BOX
from ._optuna import quiet

_SAMPLERS: dict[str, Callable[..., BaseSampler]] = {
    name: cls
    for name, cls in inspect.getmembers(optuna.samplers, inspect.isclass)
    if issubclass(cls, BaseSampler) and not inspect.isabstract(cls)
}

_INDEPENDENT = ("RandomSampler", "QMCSampler")
"""Those that learn nothing, and can be asked for 20 points at a time."""


class Optuna(Optimizer):
    """A sampler of optuna in a study of its own, in memory.

    It searches the space's box, or `box` scales to each side of its start. A genetic sampler is asked for a population
    at a time, one that does not learn for 20 points, and any other, CMA-ES too, for one after another, as optuna does.
    A loss of +inf is told as it is.

    sampler: the name of a class of `optuna.samplers`.
    options: the sampler's own parameters, as in options={"multivariate": true}.
    box: half the width of the search box where the space has no bounds, in units of its scale; null is 5.
    """

    variants: ClassVar[Mapping[str, Sequence[str]]] = {"sampler": tuple(_SAMPLERS)}

    def __init__(
        self,
        space: Space,
        *,
        sampler: str = "TPESampler",
        options: Mapping[str, Any] = {},
        box: PositiveFloat | None = None,
        **given: Unpack[Given],
    ) -> None:
        super().__init__(space, **given)
        if sampler not in _SAMPLERS:
            raise UnknownNameError("sampler of optuna", sampler, _SAMPLERS)
        known = inspect.signature(_SAMPLERS[sampler]).parameters
        if unknown := [name for name in options if name not in known or name == "seed"]:
            raise UnknownNameError(f"option of {sampler}", unknown[0], set(known) - {"seed"})
        if missing := [name for name, p in known.items() if p.default is p.empty and name not in options]:
            raise InputError(f'{sampler} needs {missing[0]}; write options={{"{missing[0]}": ...}}')
        self._batch = 20 if sampler in _INDEPENDENT else 1
        if "population_size" in known:
            self._batch = options.get("population_size", known["population_size"].default)
        with quiet():
            made = _SAMPLERS[sampler](**options, seed=int(self.rng.integers(2**31)))
            self._study = optuna.create_study(sampler=made)
        self._axes = self._distributions(box or BOX)

    def _distributions(self, box: float) -> dict[str, BaseDistribution]:
        """Return the range of every coordinate."""
        space = self.space
        if space.lower is not None and space.upper is not None:
            return dict.fromkeys((f"x{i}" for i in range(space.dim)), FloatDistribution(space.lower, space.upper))
        half = box * space.scale
        start = space.start.dense()[0].tolist()
        return {f"x{i}": FloatDistribution(middle - half, middle + half) for i, middle in enumerate(start)}

    def ask(self) -> Array:
        """Return the next batch, shape (n, d)."""
        with quiet():
            self._trials = [self._study.ask(self._axes) for _ in range(self._batch)]
        # A trial makes its mapping of parameters anew each time it is read.
        asked = [trial.params for trial in self._trials]
        return np.array([[params[axis] for axis in self._axes] for params in asked])

    def tell(self, x: Array, losses: Array) -> None:
        """Tell the study."""
        with quiet():
            for trial, loss in zip(self._trials, losses.tolist(), strict=True):
                self._study.tell(trial, loss)
