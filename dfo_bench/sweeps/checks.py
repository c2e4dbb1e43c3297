"""The checks of a sweep: what is to be known of its tasks before a budget is spent, computed once, kept in each run."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from dfo_bench.core import Task
from dfo_bench.plugins.component import Component
from dfo_bench.plugins.plugin import resolve
from dfo_bench.plugins.registry import TASKS
from dfo_bench.runs.columns import REFERENCE
from dfo_bench.runs.fitted import Fitted
from dfo_bench.runs.header import Header, PlannedRun
from dfo_bench.runs.spec import RunSpec, streams


def add_checks(
    runs: Sequence[PlannedRun], tasks: Mapping[Component, Task], begun: Mapping[str, Header], *, evaluate: bool
) -> list[PlannedRun]:
    """Return the runs with their checks: those in the header of a run that has begun, else made now, once per task.

    `tasks` are built of the first seed; `begun` is what a store has of the runs, by key. Unless `evaluate`, nothing
    is said of a start, for which it would be evaluated.
    """
    known: dict[Component, Sequence[str]] = {}
    built = dict(tasks)
    for run in runs:
        if run.key not in begun and run.spec.task not in known:
            known[run.spec.task] = _check(run.spec, built, evaluate=evaluate)
    return [
        replace(run, checks=begun[run.key].checks)
        if run.key in begun
        else replace(run, checks=(*known[run.spec.task], *_check_dev(run.spec, tasks[run.spec.task])))
        for run in runs
    ]


def starts(task: Component) -> set[Component]:
    """Return the tasks whose starts the checks of a task of texts evaluate: itself, and the same without a prompt."""
    bare = TASKS.load(task.name).bare
    return {task, task.replace(**bare)} if bare else set()


def _check(spec: RunSpec, built: dict[Component, Task], *, evaluate: bool) -> Sequence[str]:
    if not evaluate:
        return _inner(built[spec.task]).checks(None)
    without = spec.task.replace(**TASKS.load(spec.task.name).bare)
    if without not in built:
        built[without] = resolve(TASKS, without).construct(rngs=streams(spec.seed))
    return _inner(built[spec.task]).checks(_inner(built[without]))


def _inner(task: Task) -> Task:
    """Return the task of a reference, which sees its very texts; another as it is."""
    return task.inner if isinstance(task, Fitted) else task


def _check_dev(spec: RunSpec, task: Task) -> list[str]:
    if "dev" not in task.splits or spec.budget == 1 or spec.budget > spec.dev_every:
        return []
    return [
        f"dev is scored once, after all {spec.budget} evaluations, and so selects nothing; --dev-every "
        f"{max(1, spec.budget // 5)} changes that"
    ]


def said(runs: Sequence[PlannedRun]) -> list[str]:
    """Return the checks of runs as they are printed, each line once.

    A line that does not hold of all tasks is said with those it holds of. What is said of a task without a prompt
    stands beside its prompts' only where these are not there.
    """
    searched = [run for run in runs if run.shown["projection"] != REFERENCE and run.checks]
    tasks: dict[str, None] = {}
    holds: dict[str, dict[str, None]] = {}
    for run in searched or runs:
        for line in run.checks:
            holds.setdefault(line, {})[run.shown["task"]] = None
            tasks[run.shown["task"]] = None
    return [line if len(of) == len(tasks) else f"{', '.join(of)}: {line}" for line, of in holds.items()]
