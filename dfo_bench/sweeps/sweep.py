"""A sweep: every combination of its axes, checked before anything is written, then run into a store."""

import logging
import operator
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from dfo_bench.core import Task
from dfo_bench.errors import InputError, StoreError, Unavailable, UnfitError, UnknownNameError, cause, count
from dfo_bench.plugins.component import Component, component
from dfo_bench.plugins.files import refuse_namesakes
from dfo_bench.plugins.registry import OPTIMIZERS, REFERENCES, method_kind
from dfo_bench.runs.assembly import Assembly, assemble
from dfo_bench.runs.defaults import BUDGET, Selection
from dfo_bench.runs.fitted import WHOLE, Fitted, settle
from dfo_bench.runs.header import Header, PlannedRun
from dfo_bench.runs.journal import Log
from dfo_bench.runs.lock import refuse_without_locks
from dfo_bench.runs.loop import mismatch
from dfo_bench.runs.spec import RunSpec, streams
from dfo_bench.runs.summary import Summary
from dfo_bench.store.filenames import JOURNAL
from dfo_bench.store.folder import read_summary
from dfo_bench.store.plan import forget_plan, write_plan
from dfo_bench.store.prices import write_price
from dfo_bench.store.races import write_races
from dfo_bench.store.store import Store
from dfo_bench.sweeps import backends, race
from dfo_bench.sweeps.checks import add_checks, said
from dfo_bench.sweeps.estimate import Estimate, estimate_runs
from dfo_bench.sweeps.events import Listener
from dfo_bench.sweeps.executors import executor
from dfo_bench.sweeps.opponents import find_opponents, take_opponents
from dfo_bench.sweeps.progress import ProgressBars
from dfo_bench.sweeps.references import beside
from dfo_bench.sweeps.request import SweepRequest, Written
from dfo_bench.sweeps.sharing import sharing
from dfo_bench.threads import single_threaded

_logger = logging.getLogger("dfo_bench")


def sweep(
    *,
    tasks: Sequence[Written],
    optimizers: Sequence[Written],
    projections: Sequence[Written] = SweepRequest.projections,
    dim: int | None = SweepRequest.dim,
    budget: int | Mapping[str, int] = SweepRequest.budget,
    seeds: Iterable[int] = SweepRequest.seeds,
    dev_every: int = SweepRequest.dev_every,
    selection: Selection = SweepRequest.selection,
    references: bool = SweepRequest.references,
    store: str | Path = SweepRequest.store,
    workers: int | None = SweepRequest.workers,
    cluster: str | None = SweepRequest.cluster,
    share_model: bool = SweepRequest.share_model,
    price: float | None = SweepRequest.price,
    until_decided: bool = SweepRequest.until_decided,
    margin: float = SweepRequest.margin,
    most_seeds: int = SweepRequest.most_seeds,
    opponents: str | Path | None = SweepRequest.opponents,
    listener: Listener | None = None,
) -> Store:
    """Run every task x projection x optimizer x seed into a store, and return it.

    Finished runs are skipped, unfinished ones resumed, failed ones tried again. `dim` is 500, or the task's own where
    that is smaller. `budget` counts evaluations; it may be a mapping from names of tasks, and a task it does not name
    has 8,000. Every `dev_every` evaluations dev scores the incumbent, or, with `selection` "current", the candidate
    evaluated last, as the program of Black-Box Tuning does. `optimizers` may name references, too, and those that take
    seconds run beside every task of texts that allows them unless `references` is false. `workers` processes run side
    by side, one unless given, which does not change any result. With `cluster` the runs go to the nodes of a cluster of
    Ray, which share no disk with the store, as many at a time as there is room for, or `workers`: "ray" is a cluster
    that is started on this machine, or the one that RAY_ADDRESS names, and "ray://HOST:PORT" another. With
    `share_model` the workers ask one copy of each text task's model, in a service on this machine that is started for
    the sweep. `price` is that of a million tokens, of which the store keeps account: `runs` has a column `money` then.
    With `until_decided` the sweep begins with `seeds`, and gives more, up to `most_seeds` in all, to those pairs of
    searches of a task that are undecided, by the sequential test of `dfo_bench.runs.sequential` of their final losses;
    a difference within `margin`, a share of the larger loss, is a tie. `opponents` is a store whose finished runs on
    the same tasks, with the same dimension, budget and seeds, are copied into this one before the first run, after a
    few of them were verified, so that only what is new is run. `listener` is told how far the runs are; None shows it
    on standard error.
    InputError is raised before anything is written, and StoreError before the first run where the store cannot be
    locked.
    """
    request = SweepRequest(
        tasks=tasks,
        optimizers=optimizers,
        projections=projections,
        dim=dim,
        budget=budget,
        seeds=seeds,
        dev_every=dev_every,
        selection=selection,
        references=references,
        store=store,
        workers=workers,
        cluster=cluster,
        share_model=share_model,
        price=price,
        until_decided=until_decided,
        margin=margin,
        most_seeds=most_seeds,
        opponents=opponents,
    )
    return run_sweep(request, listener or ProgressBars())


def run_sweep(request: SweepRequest, listener: Listener) -> Store:
    """Do what `sweep` says with a request."""
    with sharing(request):
        return _run(request, listener)


def _run(request: SweepRequest, listener: Listener) -> Store:
    path = Path(request.store)
    runs, ahead, computing, opponents = _prepare(request)
    with executor(request, computing) as run_all:
        store = Store.create(path)
        refuse_without_locks(path)
        if request.opponents:
            listener.tell(take_opponents(request.opponents, opponents, store))
        if request.price is not None:
            write_price(path, {run.shown["task"] for run in runs}, request.price)
        if request.until_decided:
            write_races(path, {run.shown["task"]: (request.margin, request.most_seeds) for run in runs})
        listener.expect(ahead)
        with listener.begin(runs):
            for some in race.rounds(request, runs, store, listener.tell) if request.until_decided else [runs]:
                write_plan(path, some)
                run_all(some, path, listener.hear)
    if store.planned().empty:
        forget_plan(path, some)
    return store


def estimate(request: SweepRequest) -> Estimate:
    """Return what a sweep that is asked for will take, what its store holds left out; nothing is written or run.

    A few products of every model are timed. InputError is raised for what `sweep` would refuse.
    """
    with sharing(request):
        runs, ahead, *_ = _prepare(request, evaluate=False)
        return replace(ahead, known=said(runs))


def _prepare(request: SweepRequest, *, evaluate: bool = True) -> tuple[list[PlannedRun], Estimate, set[str], list[str]]:
    """Return the runs, what is ahead, and keys: of runs that compute a model where they run, and of the opponents'."""
    path = Path(request.store)
    specs = expand_axes(request)
    Store.refuse_foreign_folder(path)
    with single_threaded():
        runs, assemblies = plan_runs(specs, path, {component(one) for one in request.optimizers}, evaluate=evaluate)
        workers = request.workers or 1
        opponents = find_opponents(request.opponents, runs) if request.opponents else []
        # What is taken over is not run.
        own = [(run, parts) for run, parts in zip(runs, assemblies, strict=True) if run.key not in opponents]
        ahead = estimate_runs([run for run, _ in own], [parts for _, parts in own], path, workers, request.price)
        if request.until_decided:
            seeds = race.least(runs, len(set(request.seeds)))
            early = [(run, parts) for run, parts in own if run.spec.seed in seeds]
            fewer = [run for run, _ in early], [parts for _, parts in early]
            ahead = replace(ahead, least=estimate_runs(*fewer, path, workers, request.price))
        tasks = zip(runs, (assembly.task for assembly in assemblies), strict=True)
        computing = {run.key for run, task in tasks if "model" in task.contents and task.traffic is None}
        return runs, ahead, computing, opponents


def expand_axes(request: SweepRequest) -> list[RunSpec]:
    """Return the specs of the product, without repetitions; raise InputError for what makes no run."""
    dim = None if request.dim is None else _whole("dim", request.dim)
    seeds = [_whole("seed", seed) for seed in request.seeds]
    if not seeds:
        raise InputError("seeds is empty; name at least one")
    tasks, projections, optimizers = (
        [component(one) for one in axis] for axis in (request.tasks, request.projections, request.optimizers)
    )
    budgets = _budgets(request.budget, {task.name for task in tasks})
    kinds = {optimizer: method_kind(optimizer.name) for optimizer in optimizers}
    fitted = list(product(tasks, [one for one, kind in kinds.items() if kind is REFERENCES]))
    fitted += beside(tasks) if request.references else []
    searched = list(product(tasks, projections, [one for one, kind in kinds.items() if kind is OPTIMIZERS]))
    raced: set[str] = set()
    ahead = seeds
    if request.until_decided:
        raced, ahead = race.racing(one.name for one in kinds), race.extend(seeds, request.most_seeds)
        race.refuse_one([one for one in kinds if one.name in raced], projections)
    specs: list[RunSpec] = []
    # The seed changes slowest, so that a sweep that is stopped early holds whole comparisons.
    for seed in ahead:
        specs += [settle(RunSpec(task, reference, WHOLE, seed=seed)) for task, reference in fitted if seed in seeds]
        specs += [
            RunSpec(task, optimizer, projection, dim, budgets[task.name], seed, request.dev_every, request.selection)
            for task, projection, optimizer in searched
            if seed in seeds or optimizer.name in raced
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


def plan_runs(
    specs: Sequence[RunSpec], store: Path, asked: Container[Component], *, evaluate: bool = True
) -> tuple[list[PlannedRun], list[Assembly]]:
    """Return the runs of specs, which two spellings may share, and the parts of each.

    Raise InputError where one cannot be made or go on.

    Unless `evaluate` is false the starts of tasks of texts are evaluated for their checks.

    A reference that nobody `asked` for is left out where its task does not allow it, with a warning.

    Whatever is wrong with a plugin, a parameter, a model, a data file or a journal is found here, before a store is
    made.
    """
    runs: dict[str, PlannedRun] = {}
    assemblies: list[Assembly] = []
    tasks: dict[Component, Task] = {}
    begun: dict[str, Header] = {}
    kept: list[str] = []
    for assembly in _assemble_all(specs, asked):
        if assembly.key in runs:
            continue
        runs[assembly.key] = PlannedRun(assembly.key, assembly.spec, assembly.shown())
        assemblies.append(assembly)
        tasks.setdefault(assembly.spec.task, assembly.task)
        stored = _read_header(store / assembly.key)
        if stored:
            begun[assembly.key] = stored
        difference = mismatch(assembly, stored) if stored else ""
        if difference and not isinstance(stored, Summary):
            raise InputError(f"{difference}: put back what it was, delete the run's folder, or name another store")
        if difference and isinstance(stored, Summary) and stored.status == "finished":
            kept.append(difference)
    if kept:
        _logger.warning(
            "%s of other sources kept; delete the folders, or name another store, to make them anew. The first: %s",
            count(len(kept), "finished run"),
            kept[0],
        )
    computed = {key: header.spec.backend or backends.FORMER for key, header in begun.items()}
    checked = add_checks(list(runs.values()), tasks, begun, evaluate=evaluate)
    return backends.settle(checked, tasks, computed, store), assemblies


def _assemble_all(specs: Sequence[RunSpec], asked: Container[Component]) -> Iterator[Assembly]:
    """Yield the parts of every spec; every distinct component is built once, and every optimizer asked once.

    A task is built for every seed: what a seed draws, such as examples too long to be shown, may not fit.
    """
    tasks: dict[Component, Task] = {}
    built: set[tuple[Component, int]] = set()
    assemblies: dict[tuple[Component, Component, Component], Assembly] = {}
    others: dict[Component, Task] = {}
    left_out: set[tuple[Component, Component]] = set()
    for part in ("task", "optimizer", "projection"):
        refuse_namesakes(getattr(spec, part) for spec in specs)
    for spec in specs:
        combination = spec.task, spec.projection, spec.optimizer
        try:
            if combination not in assemblies:
                assembly = assemble(spec, tasks.get(spec.task))
                tasks[spec.task] = assembly.task
                _ask_once(assembly)
                assemblies[combination] = assembly
                built.add((spec.task, spec.seed))
            assembly = assemblies[combination]
            if (spec.task, spec.seed) not in built:
                built.add((spec.task, spec.seed))
                others[spec.task] = assembly.plugins.task.construct(rngs=streams(spec.seed))
            if isinstance(assembly.task, Fitted) and spec.task in others:
                assemble(spec, others[spec.task])
        except Unavailable as error:
            raise InputError(
                f"task {spec.task} cannot be had: {error}; start its service, or run again later"
            ) from error
        except UnfitError as error:
            if spec.optimizer in asked:
                raise
            if combination[::2] not in left_out:
                left_out.add(combination[::2])
                _logger.warning("%s is left out of %s: %s", spec.optimizer, spec.task, error)
            continue
        # Another seed changes neither what the key rests on nor what a journal must agree with.
        yield replace(assembly, spec=replace(assembly.spec, seed=spec.seed))


def _ask_once(assembly: Assembly) -> None:
    try:
        assembly.search(1.0, assembly.spec.budget, []).ask().digests()
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        name = assembly.spec.optimizer
        raise InputError(f"optimizer {name} cannot be asked: {cause(error)}") from error


def _read_header(folder: Path) -> Header | None:
    """Return what a store has of a run: its summary where it ended, else the header of its journal."""
    try:
        if summary := read_summary(folder):
            return summary
        return Log.read(folder / JOURNAL).header if (folder / JOURNAL).exists() else None
    except OSError as error:
        raise StoreError(f"{folder} cannot be read: {error.strerror}") from error
    except StoreError:
        # Damaged, or of a newer version: its turn will say so, and stop no other run.
        return None
