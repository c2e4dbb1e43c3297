"""What the doors to nevergrad and optuna cost against the libraries themselves: the same method, batch and points.

Run: python benchmarks/adapters.py
"""

import warnings
from collections.abc import Callable

import nevergrad as ng
import numpy as np
import optuna
from _timing import in_turn, machine

from dfo_bench import parameters, registry
from dfo_bench.component import Component
from dfo_bench.core import Anchor, Space
from dfo_bench.threads import single_threaded

DIM, BOX = 20, 5.0
NEVERGRAD = {"OnePlusOne": 1_000, "TwoPointsDE": 1_000, "CMA": 1_000, "DiagonalCMA": 1_000, "PSO": 1_000}
OPTUNA = {"TPESampler": 60, "RandomSampler": 300, "CmaEsSampler": 200}


def ours(component: Component, evaluations: int) -> Callable[[], None]:
    """Ask and tell through dfo-bench."""
    resolved = parameters.resolve("optimizer", component)
    space = Space(DIM, None, None, Anchor.origin(DIM), 1.0)

    def run() -> None:
        rng = np.random.default_rng(0)
        optimizer = registry.construct("optimizer", resolved, space, budget=evaluations, rng=rng)
        spent = 0
        while spent < evaluations:
            x = optimizer.ask()
            optimizer.tell(x, (x**2).sum(axis=1))
            spent += len(x)

    return run


def bare_nevergrad(method: str, evaluations: int) -> Callable[[], None]:
    """Ask and tell nevergrad, 20 points at a time."""

    def run() -> None:
        where = ng.p.Array(init=np.zeros(DIM)).set_mutation(sigma=1.0)
        # Our second draw: the first seeds what some methods draw from NumPy's global generator.
        seed = int(np.random.default_rng(0).integers(2**32, size=2)[1])
        where.random_state = np.random.RandomState(seed)
        optimizer = ng.optimizers.registry[method](where, budget=evaluations, num_workers=20)
        for _ in range(evaluations // 20):
            candidates = [optimizer.ask() for _ in range(20)]
            for candidate in candidates:
                optimizer.tell(candidate, float((candidate.value**2).sum()))

    return run


def bare_optuna(sampler: str, evaluations: int) -> Callable[[], None]:
    """Ask and tell optuna, one point after another."""

    def run() -> None:
        seed = int(np.random.default_rng(0).integers(2**31))
        study = optuna.create_study(sampler=getattr(optuna.samplers, sampler)(seed=seed))
        axes = {f"x{i}": optuna.distributions.FloatDistribution(-BOX, BOX) for i in range(DIM)}
        for _ in range(evaluations):
            trial = study.ask(axes)
            study.tell(trial, sum(value**2 for value in trial.params.values()))

    return run


if __name__ == "__main__":
    print(machine())
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    cases = [("nevergrad", "method", bare_nevergrad, NEVERGRAD), ("optuna", "sampler", bare_optuna, OPTUNA)]
    with single_threaded():
        for name, parameter, bare, methods in cases:
            for method, evaluations in methods.items():
                through = ours(Component(name, {parameter: method}), evaluations)
                seconds = in_turn({"ours": through, "bare": bare(method, evaluations)}, rounds=5)
                least = {variant: 1e3 * min(taken) / evaluations for variant, taken in seconds.items()}
                ratio = least["ours"] / least["bare"]
                print(f"{name}:{parameter}={method}: {least['ours']:.3f} against {least['bare']:.3f} ms, {ratio:.2f}")
