"""A race over seeds: a sweep that gives more seeds to the pairs of methods that are undecided, and none to others."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from math import comb

import pandas as pd

from dfo_bench.errors import InputError
from dfo_bench.plugins.component import Component
from dfo_bench.plugins.registry import OPTIMIZERS, method_kind
from dfo_bench.runs.header import PlannedRun
from dfo_bench.runs.sequential import ERROR, fewest
from dfo_bench.store.races import decide_pairs
from dfo_bench.store.store import Store
from dfo_bench.sweeps.request import SweepRequest


def racing(optimizers: Iterable[str]) -> set[str]:
    """Return those of the optimizers that take part: they search, and are no references or baselines."""
    searches = (one for one in set(optimizers) if method_kind(one) is OPTIMIZERS)
    return {one for one in searches if OPTIMIZERS.load(one).evaluations != 1}


def extend(seeds: Sequence[int], most: int) -> list[int]:
    """Return so many seeds: the given ones, then those that follow the largest."""
    own = sorted(set(seeds))
    if most < len(own):
        raise InputError(f"most_seeds {most} is below the {len(own)} seeds that the sweep begins with; raise it")
    return own + [own[-1] + 1 + i for i in range(most - len(own))]


def refuse_one(optimizers: Sequence[Component], projections: Sequence[Component]) -> None:
    """Raise InputError unless two methods race; `optimizers` are those that do."""
    if len(set(optimizers)) * len(set(projections)) < 2:
        named = str(optimizers[0]) if optimizers else "none"
        raise InputError(f"until_decided needs two methods that search, got {named}; name another optimizer with -o")


def least(runs: Sequence[PlannedRun], own: int) -> set[int]:
    """Return the seeds that the race of these runs cannot do without, of which it begins with `own`."""
    methods = (len({_method(run) for run in members}) for members in _racers(runs).values())
    needed = max(fewest(ERROR / comb(number, 2)) for number in methods)
    return set(sorted({run.spec.seed for run in runs})[: max(own, needed)])


def rounds(
    request: SweepRequest, runs: Sequence[PlannedRun], store: Store, tell: Callable[[str], None]
) -> Iterator[list[PlannedRun]]:
    """Yield what is to run next: the seeds that the sweep begins with, then one seed after another of open pairs.

    The store must hold what was yielded before. `runs` are those that it may take at most. `tell` is told of every
    pair, once, how it ended.
    """
    own = set(request.seeds)
    racers, seeds = _racers(runs), sorted({run.spec.seed for run in runs})
    yield [run for run in runs if run.spec.seed in own]
    said: set[str] = set()
    for i in range(len(own), len(seeds) + 1):
        found = store.runs()
        losses = found["best_loss"].where(found["status"] == "finished").set_axis(found["key"])
        ahead: list[PlannedRun] = []
        for task, members in racers.items():
            seen = [(run.spec.seed, _method(run), losses[run.key]) for run in members if run.key in losses.index]
            frame = pd.DataFrame(seen, columns=["seed", "method", "loss"])
            pairs = decide_pairs(frame[frame["seed"].isin(seeds[:i])], request.margin, request.most_seeds)
            open_ = pairs[pairs["outcome"] == "undecided"] if i < len(seeds) else pairs[:0]
            for pair in pairs.drop(open_.index).to_dict("records"):
                line = f"{task}: {pair['first']} and {pair['second']}: {pair['words']}"
                if line not in said:
                    said.add(line)
                    tell(line)
            going = {*open_["first"], *open_["second"]}
            ahead += [run for run in members if run.spec.seed in seeds[i : i + 1] and _method(run) in going]
        if not ahead:
            return
        finished = set(losses.dropna().index)
        yield [run for run in ahead if run.key not in finished]


def _racers(runs: Sequence[PlannedRun]) -> dict[str, list[PlannedRun]]:
    """Return the runs that race, by their task."""
    racers: dict[str, list[PlannedRun]] = {}
    names = racing(run.spec.optimizer.name for run in runs)
    for run in runs:
        if run.spec.optimizer.name in names:
            racers.setdefault(run.shown["task"], []).append(run)
    return racers


def _method(run: PlannedRun) -> str:
    return f"{run.shown['optimizer']} · {run.shown['projection']}"
