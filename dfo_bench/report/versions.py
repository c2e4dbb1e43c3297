"""The versions of a task's data: runs on other train, dev or test texts, or of another model, are never one group.

A task is written with its parameters, and these name files, whose contents may change. Where they have, the tasks get a
parameter more, the digest of what they were made of, so that all statistics and figures keep them apart.
"""

import shlex

import pandas as pd

from dfo_bench.plugins.component import parse
from dfo_bench.runs.titles import split_prompt

DIGEST = "data_digest"
"""The parameter by which the versions of a task are told apart in a report; no task takes it."""

_KEYS = 20
"""So many runs at most are named in a command."""


def tell_versions(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs, `data_digest` added to the tasks of which there are several versions; told runs stay."""
    several = _several(runs)
    if several.empty:
        return runs
    told = {
        (task, data): str(parse(task).replace(**{DIGEST: data}))
        for task, data in several[["task", "data"]].drop_duplicates().itertuples(index=False)
    }
    names = [told.get(pair, pair[0]) for pair in zip(runs["task"], runs["data"], strict=True)]
    return runs.assign(task=names)


def version_notes(runs: pd.DataFrame, store: str) -> list[str]:
    """Say which tasks have several versions, and how to be rid of the older; `runs` are as the store has them."""
    notes = []
    for outer, members in _several(runs).groupby("outer", sort=True):
        ages = members.groupby("data")["ended"].max().sort_values()
        older = members.loc[members["data"] != ages.index[-1], "key"].drop_duplicates().to_list()
        keys = " ".join(older[:_KEYS]) + (f" (and {len(older) - _KEYS} more)" if len(older) > _KEYS else "")
        notes.append(
            f"{outer}: {len(ages)} versions of this task's data or model, kept apart by {DIGEST}, the newest "
            f"{ages.index[-1]}; title=NAME names it in further runs; delete the older with: dfo-bench delete {keys} "
            f"--store {shlex.quote(store)}"
        )
    return notes


def _several(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs of tasks of which there are several versions, with the task without its prompt as `outer`.

    A bare task has the version of the searches that it is a baseline of.
    """
    if runs.empty:
        return runs.assign(outer="", data="")
    known = runs[runs["data"].astype(bool)] if "data" in runs else runs[:0].assign(data="")
    known = known.assign(outer=known["task"].map({task: split_prompt(task)[0] for task in known["task"].unique()}))
    untold = ~known["task"].str.contains(f"{DIGEST}=", regex=False)
    return known[untold & (known.groupby("outer")["data"].transform("nunique") > 1)]
