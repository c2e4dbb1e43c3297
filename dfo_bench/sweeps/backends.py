"""The backend of every run of a sweep that leaves it to the machine.

It is settled once, before the first run, and stands in the spec of each: in the plan, in what a worker is handed, and
in the run's header. So a run that goes on, and the runs that are compared with it, compute alike.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from dfo_bench.core import Task
from dfo_bench.plugins.component import Component
from dfo_bench.runs.header import PlannedRun
from dfo_bench.store.filenames import MARKER
from dfo_bench.store.plan import read_plan
from dfo_bench.store.store import Store

AUTO = "auto"

FORMER = "torch"
"""What computed before there was a choice."""

_Pair = tuple[str, int, int]


def settle(
    runs: Sequence[PlannedRun], tasks: Mapping[Component, Task], begun: Mapping[str, str], store: Path
) -> list[PlannedRun]:
    """Return the runs with a backend in the place of `auto`.

    It is that of the run itself where it has begun (`begun`, by key) or stood in the store's plan; else that of the
    runs of its task, seed and budget in the store; else what the task measures, once for all its runs.
    """
    if not any(run.spec.backend == AUTO for run in runs):
        return list(runs)
    planned = {run.key: run for run in read_plan(store)}
    own = {key: run.spec.backend for key, run in planned.items()} | dict(begun)
    paired = _in_store(store) | {_pair(run): run.spec.backend for run in planned.values()}
    known = {
        run.key: backend
        for run in runs
        if run.spec.backend == AUTO and (backend := own.get(run.key) or paired.get(_pair(run)))
    }
    left = [run for run in runs if run.spec.backend == AUTO and run.key not in known]
    ahead: Counter[Component] = Counter()
    for run in left:
        ahead[run.spec.task] += run.spec.budget
    measured = {task: tasks[task].fastest(evaluations) for task, evaluations in ahead.items()}
    chosen = known | {run.key: measured[run.spec.task] for run in left}
    return [replace(run, spec=run.spec.on(chosen[run.key])) if run.key in chosen else run for run in runs]


def _pair(run: PlannedRun) -> _Pair:
    """Return what runs agree in that a report compares one with another."""
    return run.shown["task"], run.spec.seed, run.spec.budget


def _in_store(store: Path) -> dict[_Pair, str]:
    if not (store / MARKER).exists():
        return {}
    frame = Store(store).runs()
    if frame.empty:
        return {}
    pairs = zip(frame["task"], frame["seed"], frame["budget"], strict=True)
    return dict(zip(pairs, frame["backend"].replace("", FORMER), strict=True))
