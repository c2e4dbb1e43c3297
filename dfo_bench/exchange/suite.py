"""Runs as a suite of numbered functions: what the formats of IOHprofiler and COCO have in common.

A function is a task, an algorithm is a group of runs under its name in the report, an instance is a seed plus one.
Function ids stand in `functions.csv` of the folder written; one that is there already, from an earlier export or by
hand, keeps its ids and gets those of further tasks.
"""

import csv
import re
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from dfo_bench.errors import InputError, count, writing
from dfo_bench.report.labels import SERIES, looks
from dfo_bench.store.store import Store

ELSEWHERE = "name another place"
"""The remedy where an export cannot be written."""

FUNCTIONS = "functions.csv"

LIMIT = 2**16 - 1
"""The largest function id, dimension and instance: readers hold them in 16 bits."""


def choose_runs(store: Store) -> tuple[pd.DataFrame, list[str]]:
    """Return the rows of `store.runs()` that an export writes, and what is left out or not whole.

    These are all runs with an evaluation, whatever became of them: a failure is a result. Raise InputError where
    there is none.
    """
    runs = store.runs()
    begun = runs[runs["evaluations"] > 0]
    if begun.empty:
        raise InputError(
            f"{store.path} has no run with an evaluation; make some: dfo-bench sweep quickstart --store {store.path}"
        )
    notes = []
    if left := len(runs) - len(begun):
        notes.append(f"left out: {count(left, 'run')} without an evaluation")
    if ended := int((begun["status"] != "finished").sum()):
        notes.append(f"written up to the last evaluation: {count(ended, 'run')}, failed or unfinished")
    return begun, notes


def number_runs(store: Store, out: Path) -> tuple[pd.DataFrame, list[str]]:
    """Make the folder `out`; return the runs that fit the format, and notes, as `choose_runs` does.

    The runs have further columns: `algorithm`, `folder` (of the algorithm, safe as a path), `function` and `instance`.
    """
    runs, notes = choose_runs(store)
    fits = runs["dim"].between(1, LIMIT) & runs["seed"].between(0, LIMIT - 1)
    if not fits.all():
        notes.append(f"left out: {count((~fits).sum(), 'run')} of a dimension or a seed that 16 bits cannot hold")
    runs = runs[fits]
    if runs.empty:
        raise InputError(f"{store.path} has no run of dimension 1 to {LIMIT} and seed below {LIMIT}, which others read")
    ids = _number_functions(out, runs["task"].unique())
    look = looks(runs)
    # The dimension has a place of its own in these formats.
    algorithms = [
        look[tuple(group)].label.replace(f" · d={group.dim}", "") for group in runs[SERIES].itertuples(index=False)
    ]
    runs = runs.assign(algorithm=algorithms, function=runs["task"].map(ids), instance=runs["seed"] + 1)
    return runs.assign(folder=runs["algorithm"].map(_name_folders(algorithms))), notes


def safe(name: str) -> str:
    """Return a name that is a path everywhere, and nothing but a path."""
    return re.sub(r"[^A-Za-z0-9=-]+", "_", name).strip("_-")[:80] or "unnamed"


def _name_folders(algorithms: Iterable[str]) -> dict[str, str]:
    """Name a folder for every algorithm; where two would have the same, also on a disk without case, number them."""
    folders: dict[str, str] = {}
    for algorithm in sorted(set(algorithms)):
        name, number = safe(algorithm), 2
        while name.lower() in (taken.lower() for taken in folders.values()):
            name, number = f"{safe(algorithm)}-{number}", number + 1
        folders[algorithm] = name
    return folders


def _number_functions(out: Path, tasks: Iterable[str]) -> dict[str, int]:
    """Return the id of every task, and write those of all; refuse a folder that holds anything else."""
    path = out / FUNCTIONS
    with writing(out, ELSEWHERE):
        if out.exists() and any(other != path for other in out.iterdir()):
            raise InputError(f"{out} is not empty; name a new folder, or one with nothing but a {FUNCTIONS} to go by")
        known = _read_ids(path) if path.exists() else {}
        free = (number for number in range(1, LIMIT + 1) if number not in known.values())
        ids = known | dict(zip(sorted(set(tasks) - set(known)), free, strict=False))
        if missing := [task for task in tasks if task not in ids]:
            raise InputError(f"{path} has no id left for {missing[0]}; ids go to {LIMIT}")
        out.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("function", "task"), *sorted((number, task) for task, number in ids.items())])
    return ids


def _read_ids(path: Path) -> dict[str, int]:
    remedy = f"make each line after the first an id of 1 to {LIMIT}, a comma and a task, or delete the file"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = list(csv.reader(file))[1:]
        ids = {task: int(number) for number, task in lines}
    except (csv.Error, ValueError) as error:
        raise InputError(f"{path} is damaged; {remedy}") from error
    if len(lines) != len(set(ids.values())) or not all(1 <= number <= LIMIT for number in ids.values()):
        raise InputError(f"{path} has an id twice, or one out of range; {remedy}")
    return ids
