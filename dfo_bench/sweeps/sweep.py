"""A sweep: every combination of its axes, checked before anything is written, then run into a store."""

import logging
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dfo_bench.core import Task
from dfo_bench.errors import InputError, StoreError, UnknownNameError, cause
from dfo_bench.plugins.component import Component, component
from dfo_bench.runs.assembly import Assembly, assemble
from dfo_bench.runs.header import PlannedRun
from dfo_bench.runs.journal import Log
from dfo_bench.runs.loop import mismatch
from dfo_bench.runs.spec import BUDGET, DEV_EVERY, RunSpec, Selection, streams
from dfo_bench.store.filenames import JOURNAL
from dfo_bench.store.folder import read_summary
from dfo_bench.store.plan import forget_plan, write_plan
from dfo_bench.store.store import Store
from dfo_bench.sweeps.progress import Listener, shown
from dfo_bench.sweeps.workers import run_all
from dfo_bench.threads import single_threaded

_logger = logging.getLogger("dfo_bench")

Written = str | Mapping[str, Any] | Component
"""A component as a user may write it."""


def sweep(
    *,
    tasks: Sequence[Written],
    optimizers: Sequence[Written],
    projections: Sequence[Written] = ("normal",),
    dim: int | None = None,
    budget: int | Mapping[str, int] = BUDGET,
    seeds: Iterable[int] = (0,),
    dev_every: int = DEV_EVERY,
    selection: Selection = "incumbent",
    store: str | Path = "results",
    workers: int = 1,
    listener: Listener = shown,
) -> Store:
    """Run every task x projection x optimizer x seed into a store, and return it.

    Finished runs are skipped, unfinished ones resumed, failed ones tried again. `dim` is 500, or the task's own
    where that is smaller. `budget` counts evaluations; it may be a mapping from names of tasks, and a task it does
    not name has 8,000. Every `dev_every` evaluations dev scores the incumbent, or, with `selection` "current", the
    candidate evaluated last, as the program of Black-Box Tuning does. `workers` processes run side by side, which
    does not change any result; with more than one a script needs the usual `if __name__ == "__main__":`. InputError
    is raised before anything is written.
    """
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise InputError(f"workers must be a whole number, at least 1, got {workers!r}")
    specs = expand_axes(
        tasks, optimizers, projections, dim=dim, budget=budget, seeds=seeds, dev_every=dev_every, selection=selection
    )
    Store.refuse(Path(store))
    with single_threaded():
        runs = check(specs, Path(store))
    opened = Store.create(store)
    write_plan(opened.path, list(runs.values()))
    with listener(list(runs)) as listen:
        run_all({spec: run.key for spec, run in runs.items()}, opened.path, workers, listen)
    if opened.planned().empty:
        forget_plan(opened.path, list(runs.values()))
    return opened


def expand_axes(
    tasks: Sequence[Written],
    optimizers: Sequence[Written],
    projections: Sequence[Written],
    *,
    dim: int | None,
    budget: int | Mapping[str, int],
    seeds: Iterable[int],
    dev_every: int,
    selection: Selection = "incumbent",
) -> list[RunSpec]:
    """Return the specs of the product, without repetitions; raise InputError where an axis is empty."""
    dim = None if dim is None else _whole("dim", dim)
    seeds = [_whole("seed", seed) for seed in seeds]
    if not seeds:
        raise InputError("seeds is empty; name at least one")
    for name, values in {"tasks": tasks, "projections": projections, "optimizers": optimizers}.items():
        if isinstance(values, str | Mapping) or not values:
            raise InputError(f"{name} must be a list of at least one, got {values!r}")
    budgets = _budgets(budget, {component(task).name for task in tasks})
    # The seed changes slowest, so that a sweep that is stopped early holds whole comparisons.
    specs = [
        RunSpec(task, optimizer, projection, dim, budgets[task.name], seed, dev_every, selection)
        for seed in seeds
        for task in map(component, tasks)
        for projection in map(component, projections)
        for optimizer in map(component, optimizers)
    ]
    return list(dict.fromkeys(specs))


def _budgets(budget: int | Mapping[str, int], tasks: set[str]) -> dict[str, int]:
    """Return the budget of every task."""
    if not isinstance(budget, Mapping):
        return dict.fromkeys(tasks, _whole("budget", budget))
    for name in budget:
        if name not in tasks:
            raise UnknownNameError("task of this sweep (in budget)", str(name), tasks)
    return {name: _whole(f"budget of {name}", budget.get(name, BUDGET)) for name in tasks}


def _whole(name: str, value: Any) -> int:
    """Return a whole number as Python's own, NumPy's included."""
    try:
        return operator.index(value)
    except TypeError:
        raise InputError(f"{name} must be a whole number, got {value!r}") from None


def check(specs: Sequence[RunSpec], store: Path) -> dict[RunSpec, PlannedRun]:
    """Build every distinct component once, ask each optimizer once, and return the runs by spec, as planned.

    A spec's budget is cut to what its optimizer ever asks for. Whatever is wrong with a plugin, a parameter, a model,
    a data file or a journal that cannot go on is found here, before a store is made. A task is built for every seed:
    what a seed draws, such as examples too long to be shown, may not fit.
    """
    tasks: dict[Component, Task] = {}
    built: set[tuple[Component, int]] = set()
    assemblies: dict[tuple[Component, Component, Component], Assembly] = {}
    runs: dict[RunSpec, PlannedRun] = {}
    keys: set[str] = set()
    others: list[str] = []
    for spec in specs:
        combination = spec.task, spec.projection, spec.optimizer
        if combination not in assemblies:
            assembly = assemble(spec, tasks.get(spec.task))
            tasks[spec.task] = assembly.task
            _ask_once(assembly)
            assemblies[combination] = assembly
            built.add((spec.task, spec.seed))
        if (spec.task, spec.seed) not in built:
            built.add((spec.task, spec.seed))
            assemblies[combination].plugins.task.construct(rngs=streams(spec.seed))
        # Another seed changes neither what the key rests on nor what a journal must agree with.
        assembly = replace(assemblies[combination], spec=replace(assemblies[combination].spec, seed=spec.seed))
        # Two spellings of one run, "cma" and "cma:sigma=1.0", are one run.
        if assembly.key not in keys:
            keys.add(assembly.key)
            runs[replace(spec, budget=assembly.spec.budget)] = PlannedRun(assembly.key, assembly.spec, assembly.shown())
            others += _made_otherwise(assembly, store / assembly.key)
    if others:
        _logger.warning(
            "%d finished runs were made with other sources and are kept; delete their folders, or name another store, "
            "to run them anew. The first: %s",
            len(others),
            others[0],
        )
    return runs


def _made_otherwise(assembly: Assembly, folder: Path) -> list[str]:
    """Refuse an unfinished run of other sources; return what is other about a finished one, which stays as it is."""
    try:
        summary = read_summary(folder)
        log = Log.read(folder / JOURNAL) if (folder / JOURNAL).exists() else Log()
    except OSError as error:
        raise StoreError(f"{folder} cannot be read: {error.strerror}") from error
    except StoreError:
        # Damaged, or of a newer version: its turn will say so, and stop no other run.
        return []
    if summary is None and log.header and (difference := mismatch(assembly, log.header)):
        raise InputError(f"{difference}: put back what it was, delete the run's folder, or name another store")
    finished = summary is not None and summary.status == "finished"
    return [difference] if summary and finished and (difference := mismatch(assembly, summary)) else []


def _ask_once(assembly: Assembly) -> None:
    try:
        optimizer, _ = assembly.optimizer()
        optimizer.ask().digests()
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        name = assembly.spec.optimizer
        raise InputError(f"optimizer {name} cannot be asked: {cause(error)}") from error
