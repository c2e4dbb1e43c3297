"""Every method of evosax by its name there (Lange, evosax: JAX-based evolution strategies, GECCO 2023)."""

import importlib
import inspect
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from typing import Any, ClassVar, Unpack

import numpy as np

if missing := [name for name in ("evosax", "jax") if find_spec(name) is None]:
    raise ImportError(f"it needs {missing[0]}; pip install 'dfo-bench[evosax]'")
import jax

from dfo_bench.core import Array, Given, Optimizer, Space, UnknownNameError

from ._losses import tamed

_SIZE = 20
"""The population: even, as antithetic methods want it."""

_FLAGS = "--xla_cpu_multi_thread_eigen=false --xla_backend_optimization_level=0"
"""One thread a run, for the same sums everywhere; what runs for microseconds is not worth seconds of optimisation."""


@cache
def _algorithms() -> Mapping[str, Any]:
    """Import evosax, which starts jax's threads: not before a method is asked for, as what has threads cannot fork."""
    before = os.environ.get("XLA_FLAGS", "")
    os.environ["XLA_FLAGS"] = f"{before} {_FLAGS}"
    try:
        return importlib.import_module("evosax.algorithms").algorithms
    finally:
        os.environ["XLA_FLAGS"] = before


class _Names(Sequence[str]):
    """The names of all methods, read when somebody looks."""

    def __getitem__(self, index: Any) -> Any:
        return tuple(_algorithms())[index]

    def __len__(self) -> int:
        return len(_algorithms())


@contextmanager
def _at_work() -> Iterator[None]:
    """Compute in doubles on the CPU, and leave jax's settings to the rest of the program."""
    with jax.enable_x64(True), jax.default_device(jax.devices("cpu")[0]):
        yield


@cache
def _made(method: str, dim: int) -> Any:
    """Return an algorithm, which holds no state: jax compiles it once, however many runs there are."""
    cls = _algorithms()[method]
    known = inspect.signature(cls.__init__).parameters
    own: dict[str, Any] = {"population_size": _SIZE}
    if "num_populations" in known:
        own = {"population_size": _SIZE // 2, "num_populations": 2}
    if "sampling_fn" in known:
        own["sampling_fn"] = lambda key: jax.random.normal(key, (dim,))
    return cls(solution=jax.numpy.zeros(dim), **own)


class Evosax(Optimizer):
    """A method of evosax with its own defaults, in units of the space's scale around its start.

    It computes in doubles, on the CPU. A method that keeps a population begins with normal points around the start.
    A failure is told as the worst loss of its batch. The first batch costs seconds, in which jax compiles the method.

    method: a name of `evosax.algorithms.algorithms`.
    """

    variants: ClassVar[Mapping[str, Sequence[str]]] = {"method": _Names()}

    def __init__(self, space: Space, *, method: str = "Sep_CMA_ES", **given: Unpack[Given]) -> None:
        super().__init__(space, **given)
        if method not in _algorithms():
            raise UnknownNameError("method of evosax", method, _algorithms())
        self._start = space.start.dense()[0]
        seed = int(self.rng.integers(2**32))
        with _at_work():
            self._method = _made(method, space.dim)
            self._params = self._method.default_params
            self._key = jax.random.key(seed)
            self._state: Any = None
            if hasattr(self._method, "get_mean"):
                means = np.zeros((2, space.dim) if hasattr(self._method, "num_populations") else space.dim)
                self._state = self._method.init(self._next(), means, self._params)

    def _next(self) -> jax.Array:
        self._key, key = jax.random.split(self._key)
        return key

    def ask(self) -> Array:
        """Return a population, shape (20, d)."""
        with _at_work():
            if self._state is None:
                self._population = self.rng.standard_normal((_SIZE, self.space.dim))
            else:
                self._population, self._state = self._method.ask(self._next(), self._state, self._params)
            return self.space.clip(self._start + self.space.scale * np.asarray(self._population, float))

    def tell(self, x: Array, losses: Array) -> None:
        """Tell the method of its population; of one in a box, as it was clipped."""
        tame = tamed(losses)
        tame = np.where(tame < np.inf, tame, tame[tame < np.inf].max(initial=-1e100))
        with _at_work():
            if self._state is None:
                self._state = self._method.init(self._next(), self._population, tame, self._params)
            else:
                self._state, _ = self._method.tell(self._next(), self._population, tame, self._state, self._params)
