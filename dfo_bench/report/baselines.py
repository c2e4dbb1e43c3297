"""Baselines: runs of bare tasks, shown beside the searches that they are compared with.

A task without dimensions is *bare*: it has nothing to search, and one evaluation says all, as of a reference. It
is a baseline of every searched task that differs from it in its prompt alone.

Runs of a seed share the data split, so baselines are in all that is said of one task: its curves, tables and verdicts.
They are in nothing that is said over tasks (ranks, wins, Friedman's test, targets, scores on one scale): they ran in no
space of a task that is pooled there, and where only some tasks have them, no block would be whole.
"""

import pandas as pd

from dfo_bench.runs.columns import REFERENCE
from dfo_bench.runs.titles import split_prompt


def place_baselines(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs as the sections of tasks show them; `runs` may be empty.

    Runs of a bare task have the name of each searched task that they are a baseline of, once for each, and in place of
    their projection what their prompt is, as in "prompt_tokens=0"; references have REFERENCE there. Those without a
    searched task stay as they are.
    """
    homes = _homes(runs)
    frames = [_elsewhere(runs, homes)]
    for bare, tasks in homes.items():
        # A point without dimensions is the same in every projection, whenever dev scores it: one run per seed says all.
        members = runs[runs["task"] == bare].sort_values("status", key=lambda s: s != "finished", kind="stable")
        same = {name: members[name].iloc[0] for name in ("dev_every", "selection")}
        members = members.drop_duplicates(["optimizer", "seed"]).assign(**same)
        projection = members["projection"].where(members["projection"] == REFERENCE, split_prompt(bare)[1] or bare)
        members = members.assign(projection=projection)
        frames += [members.assign(task=task) for task in tasks]
    return pd.concat(frames, ignore_index=True)


def drop_baselines(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs that are compared over tasks: all but those that `place_baselines` shows with another task."""
    return _elsewhere(runs, _homes(runs))


def _elsewhere(runs: pd.DataFrame, homes: dict[str, list[str]]) -> pd.DataFrame:
    return runs[~runs["task"].isin(list(homes))] if homes else runs


def _homes(runs: pd.DataFrame) -> dict[str, list[str]]:
    """Return the searched tasks of each bare task that has any."""
    if runs.empty:
        return {}
    bare, searched = (
        runs["task"][rows].drop_duplicates().sort_values() for rows in (runs["dim"] == 0, ~runs["baseline"])
    )
    homes = {task: [other for other in searched if split_prompt(other)[0] == split_prompt(task)[0]] for task in bare}
    return {task: tasks for task, tasks in homes.items() if tasks}
