"""What the doors to nevergrad and optuna cost against the libraries themselves: the same method, batch and points.

Run: python benchmarks/adapters.py
"""

import statistics
import warnings
from collections.abc import Callable

import nevergrad as ng
import numpy as np
import optuna
from _timing import in_turn, machine, summarize
from optuna.distributions import BaseDistribution

from dfo_bench.core import Anchor, Array, Optimizer, Space
from dfo_bench.plugins.component import Component
from dfo_bench.plugins.plugin import resolve
from dfo_bench.plugins.registry import OPTIMIZERS
from dfo_bench.threads import single_threaded

DIM, BOX = 20, 5.0
# The last works through one point after another.
NEVERGRAD = {"OnePlusOne": 1_000, "TwoPointsDE": 1_000, "CMA": 1_000, "DiagonalCMA": 1_000, "PSO": 1_000, "Powell": 300}
OPTUNA = {"TPESampler": 60, "RandomSampler": 300, "CmaEsSampler": 200}
ROUNDS = 9


def loss(x: Array) -> float:
    return float((x**2).sum())


def ours(component: Component, evaluations: int) -> Callable[[], None]:
    """Ask and tell through dfo-bench."""
    plugin = resolve(OPTIMIZERS, component)
    space = Space(DIM, None, None, Anchor.origin(DIM), 1.0)

    def run() -> None:
        optimizer = plugin.construct(space, budget=evaluations, rng=np.random.default_rng(0))
        assert isinstance(optimizer, Optimizer)
        spent = 0
        while spent < evaluations:
            x = optimizer.ask()
            optimizer.tell(x, np.array([loss(row) for row in x]))
            spent += len(x)

    return run


def bare_nevergrad(method: str, evaluations: int) -> Callable[[], None]:
    """Ask and tell nevergrad, 20 points at a time where it can."""
    workers = 1 if ng.optimizers.registry[method].no_parallelization else 20

    def run() -> None:
        where = ng.p.Array(init=np.zeros(DIM)).set_mutation(sigma=1.0)
        # Our second draw: the first seeds what some methods draw from NumPy's global generator.
        seed = int(np.random.default_rng(0).integers(2**32, size=2)[1])
        where.random_state = np.random.RandomState(seed)
        optimizer = ng.optimizers.registry[method](where, budget=evaluations, num_workers=workers)
        for _ in range(evaluations // workers):
            candidates = [optimizer.ask() for _ in range(workers)]
            for candidate in candidates:
                optimizer.tell(candidate, loss(candidate.value))

    return run


def bare_optuna(sampler: str, evaluations: int) -> Callable[[], None]:
    """Ask and tell optuna, one point after another."""

    def run() -> None:
        seed = int(np.random.default_rng(0).integers(2**31))
        study = optuna.create_study(sampler=getattr(optuna.samplers, sampler)(seed=seed))
        axes: dict[str, BaseDistribution] = {
            f"x{i}": optuna.distributions.FloatDistribution(-BOX, BOX) for i in range(DIM)
        }
        for _ in range(evaluations):
            trial = study.ask(axes)
            study.tell(trial, loss(np.array(list(trial.params.values()))))

    return run


if __name__ == "__main__":
    print(f"{machine()}; CPU of an evaluation, minimum (median) of {ROUNDS} rounds in turn")
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    cases = [("nevergrad", "method", bare_nevergrad, NEVERGRAD), ("optuna", "sampler", bare_optuna, OPTUNA)]
    with single_threaded():
        for name, parameter, bare, methods in cases:
            for method, evaluations in methods.items():
                through = ours(Component(name, {parameter: method}), evaluations)
                seconds = in_turn({"ours": through, "bare": bare(method, evaluations)}, rounds=ROUNDS)
                shown = [f"{variant} {summarize(taken, 1e3 / evaluations)} ms" for variant, taken in seconds.items()]
                ratios = [of(seconds["ours"]) / of(seconds["bare"]) for of in (min, statistics.median)]
                print(f"{name}:{parameter}={method}: {', '.join(shown)}, ratio {ratios[0]:.2f} ({ratios[1]:.2f})")
