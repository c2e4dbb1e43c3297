"""The runs of text tasks as the seed's tables name them: a column per task, a row per method.

A task is what its name and its data and model are; what its prompt and its loss are is part of the method. So
`sst2:calibrate=bias` and a reference at the bare `sst2:prompt_tokens=0` stand in the column of `sst2`. Scores on test
are comparable there, losses are not.
"""

from collections.abc import Mapping

import pandas as pd

from dfo_bench.errors import InputError
from dfo_bench.plugins.component import Component, Value, parse
from dfo_bench.report.labels import SETTINGS
from dfo_bench.report.seed_tables.published import TASKS
from dfo_bench.runs.titles import PROMPT

METRICS = ("accuracy", "f1")
"""The metrics of text tasks: shares of 1, higher is better."""

OF_METHOD = PROMPT | {"loss"}
"""The parameters of a task that belong to the method in these tables."""

GRADIENT_BASED, GRADIENT_FREE = GROUPS = ("gradient-based", "gradient-free")


def group_of(sees: str) -> str:
    """Return the paper's group of a method that sees this."""
    return GRADIENT_BASED if sees in ("gradients", "weights") else GRADIENT_FREE


def name_methods(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs of tasks scored in METRICS, with columns `column`, `method`, `sees`, `score` and `biased`.

    `column` is the task as a table's head names it, `score` the run's own metric on test, `biased` the same after a
    class bias, both nan where they are not known. What names a method beside its optimizer is left out where the
    optimizer has one of it on every task. Baselines count once a seed, whatever their projection and budget: these
    change nothing. Raises InputError where no run has a score.
    """
    if runs.empty:
        raise InputError("the store holds no run yet; make some with: dfo-bench tables PRESET, or dfo-bench sweep")
    text = runs[runs["metric"].isin(METRICS)].sort_values("status", key=lambda s: s != "finished", kind="stable")
    scored = {"score": _score(text, "test_"), "biased": _score(text, "test_calibrated_")}
    if text.empty or scored["score"].isna().all():
        raise InputError(
            f"no run has a score on test: {len(text)} of {len(runs)} runs are of tasks scored by "
            f"{' or '.join(METRICS)}, and test is scored at the end of a run; see dfo-bench status"
        )
    split = {task: _split(task) for task in text["task"].unique()}
    columns = _columns([outer for outer, _ in split.values()])
    named = text.assign(
        column=[columns[split[task][0]] for task in text["task"]],
        **scored,
    )
    variants = [split[task][1] for task in named["task"]]
    # A calibrated loss is fitted on the train outputs.
    fitted = pd.Series([variant.get("calibrate", "none") != "none" for variant in variants], named.index)
    sees = named["sees"].mask(fitted, named["sees"].replace("losses", "outputs"))
    named = named.assign(sees=sees, method=_methods(named, variants))
    # Two plugins of one name, in stores that were merged, or one that has changed.
    differ = named.groupby("method")["sees"].transform("nunique") > 1
    named["method"] = named["method"].mask(differ, named["method"] + " · " + named["sees"])
    again = named["baseline"].astype(bool) & named.duplicated(["column", "method", "seed"])
    return named[~again]


def setting(runs: pd.DataFrame) -> str:
    """Return what all tasks of the tables have in common, as in "head=causal,model=gemma-3-270m"; "" if nothing."""
    return _written(_common([_split(task)[0] for task in runs["task"].unique()]))


def ordered(columns: pd.Series) -> list[str]:
    """Return each column once: the paper's tasks in its order, then the others."""

    def place(column: str) -> tuple[int, str]:
        name = task_of(column)
        return (TASKS.index(name) if name in TASKS else len(TASKS)), column

    return sorted(columns.unique(), key=place)


def task_of(column: str) -> str:
    """Return the name of the task of a column."""
    return column.partition(":")[0]


def _score(runs: pd.DataFrame, prefix: str) -> pd.Series:
    """Return what test says in each run's own metric; nan where a run has none."""
    score = pd.Series(float("nan"), runs.index)
    for metric in METRICS:
        if (name := f"{prefix}{metric}") in runs:
            score = score.where(runs["metric"] != metric, runs[name].astype(float))
    return score


def _split(task: str) -> tuple[Component, Mapping[str, Value]]:
    """Return a task without what belongs to the method, and that."""
    read = parse(task)
    outer = {name: value for name, value in read.params.items() if name not in OF_METHOD}
    return Component(read.name, outer), {name: read.params[name] for name in read.params if name in OF_METHOD}


def _common(tasks: list[Component]) -> dict[str, Value]:
    return {
        name: value
        for name, value in tasks[0].params.items()
        if all(name in task.params and task.params[name] == value for task in tasks)
    }


def _columns(tasks: list[Component]) -> dict[Component, str]:
    """Return the head of each task: its name, and what not all tasks have in common."""
    common = _common(tasks)
    return {
        task: str(Component(task.name, {name: v for name, v in task.params.items() if name not in common}))
        for task in tasks
    }


def _methods(runs: pd.DataFrame, variants: list[Mapping[str, Value]]) -> list[str]:
    """Name the method of each run: its optimizer, its calibration, and what it has several of on one task."""
    settings = {name: f"{name}=" + runs[name].astype(str) for name in SETTINGS}
    parts = pd.DataFrame({"projection": runs["projection"], **settings}).mask(runs["baseline"].astype(bool), "")
    for name in sorted({name for variant in variants for name in variant}):
        parts[name] = [_written({name: variant[name]}) if name in variant else "" for variant in variants]
    several = parts.groupby([runs["column"], runs["optimizer"]]).transform("nunique") > 1
    if "calibrate" in parts:
        # Always said: it changes what the method sees.
        several["calibrate"] = True
    shown = parts.where(several.groupby(runs["optimizer"]).transform("any"), "")
    named = zip(runs["optimizer"], *(shown[name] for name in shown), strict=True)
    return [" · ".join(filter(None, name)) for name in named]


def _written(params: Mapping[str, Value]) -> str:
    return str(Component("task", params)).partition(":")[2]
