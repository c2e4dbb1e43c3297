"""Reports of an optimizer, which are not judged: the race against random search, its cost, where it asks."""

import time

import numpy as np

from dfo_bench.core import Array, Optimizer
from dfo_bench.plugins.plugin import AnyOptimizer
from dfo_bench.runs.assembly import Assembly
from dfo_bench.runs.curve import curve
from dfo_bench.testing.bowl import BUDGET, DIM, Bowl, Whole, a_run, drive, evaluated, play, read_asked, small_run


def stays_inside(plugin: AnyOptimizer) -> str:
    """Outside the box."""
    if not issubclass(plugin.cls, Optimizer):
        return "none: the lift clips"
    task = Bowl(np.linspace(-0.5, 0.5, DIM), bounded=True)
    assembly = a_run(plugin, task, Whole(), DIM, BUDGET)
    optimizer = assembly.build(plugin, task.space, assembly.spec.budget, np.random.default_rng(0))
    told = assembly.oracle
    outside: list[bool] = []
    while len(outside) < optimizer.budget:
        x, points = read_asked(optimizer.ask())
        outside += (x != task.space.clip(x)).any(axis=1).tolist()
        optimizer.tell(x, *evaluated(told, points))
    return f"{np.mean(outside):.0%}"


def seeds_differ(plugin: AnyOptimizer) -> str:
    """Seeds differ."""
    return "yes" if drive(small_run(plugin)) != drive(small_run(plugin, seed=1)) else "no"


def beats_random_search_in_2(plugin: AnyOptimizer) -> str:
    """Random search, d = 2."""
    return race(plugin, 2)


def beats_random_search_in_10(plugin: AnyOptimizer) -> str:
    """Random search, d = 10."""
    return race(plugin, 10)


RACE_SEEDS, RACE_BUDGET, RACE_LEVEL = 6, 100, 0.05
"""Runs and evaluations of the race against random search, and how often it may call equals better or worse."""


def race(plugin: AnyOptimizer, dim: int, budget: int = RACE_BUDGET) -> str:
    """Compare the best losses of shifted spheres with those of 60 random searches: Mann & Whitney, two-sided.

    Return better, equal or worse.
    """
    # Twice as long to import as all else that a check in a fresh process needs.
    from scipy.stats import mannwhitneyu

    rng = np.random.default_rng(0)

    def shift() -> Array:
        return rng.uniform(-0.8, 0.8, dim)

    best = [
        np.nanmin(_losses(a_run(plugin, Bowl(shift(), bounded=True), Whole(), dim, budget, seed)))
        for seed in range(RACE_SEEDS)
    ]
    draws = [((rng.uniform(-1, 1, (budget, dim)) - shift()) ** 2).sum(axis=1).min() for _ in range(60)]
    if mannwhitneyu(best, draws).pvalue > RACE_LEVEL:
        return "equal"
    return "better" if np.median(best) < np.median(draws) else "worse"


def costs(plugin: AnyOptimizer) -> str:
    """Cost, d = 500."""
    assembly = a_run(plugin, Bowl(np.full(500, 0.3), bounded=False), Whole(), 500, 40)
    begin = time.process_time()
    spent = len(_losses(assembly))
    return f"{1e3 * (time.process_time() - begin) / spent:.2g} ms"


def _losses(assembly: Assembly) -> Array:
    """Run an optimizer to its budget and return the losses of it, cut where the last batch crosses it."""
    losses: Array = curve(play(assembly), assembly.unit)["loss"].to_numpy()
    return losses[: assembly.spec.budget]


REPORTS = (stays_inside, seeds_differ, beats_random_search_in_2, beats_random_search_in_10, costs)
"""What is reported of every optimizer; each docstring is a title."""
