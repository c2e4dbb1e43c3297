"""The costs of a curve: what the run had spent at each place, in calls, examples, tokens, bytes, or seconds.

What measuring on dev and test costs is in none of them. Seconds are known where a run improved and where it ended, and
interpolated linearly between.
"""

import numpy as np
import pandas as pd

from dfo_bench.report.rules import AXES
from dfo_bench.report.stats.steps import NEVER, read_steps
from dfo_bench.runs.columns import CALLS


def totals(runs: pd.DataFrame) -> pd.DataFrame:
    """Return what each run has spent, key x AXES; nan where that is not known."""
    known = runs.drop_duplicates("key").set_index("key")  # a baseline may stand with several tasks
    known = known.reindex(columns=[*CALLS, "evaluations", "task_seconds", "optimizer_seconds"])
    known = known.astype(float).rename(columns={"evaluations": "evaluation"})
    return known.assign(total_seconds=known["task_seconds"] + known["optimizer_seconds"])[list(AXES)]


def per_call(runs: pd.DataFrame) -> pd.DataFrame:
    """Return what one evaluation of each run costs, key x CALLS; nan for a run without one."""
    total = totals(runs)
    return total[CALLS].div(total["evaluation"].where(total["evaluation"] > 0), axis="index")


def add_costs(runs: pd.DataFrame, curves: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows, which have `key` and `evaluation`, with a column per cost of AXES: what the run had spent.

    `curves` says when; the rows may be its own. They come back sorted by these two.
    """
    rows = rows[rows["key"].isin(runs["key"])].sort_values(["key", "evaluation"], ignore_index=True)
    each = per_call(runs).reindex(rows["key"])
    priced = rows.assign(**{cost: rows["evaluation"].to_numpy() * each[cost].to_numpy() for cost in CALLS})
    clock = curves[curves["key"].isin(runs["key"])]
    clock = clock.reindex(columns=["key", "evaluation", "task_seconds", "optimizer_seconds"])
    clock["total_seconds"] = clock["task_seconds"] + clock["optimizer_seconds"]
    ends = totals(runs)
    for seconds in ("task_seconds", "total_seconds"):
        known = read_steps(clock, "evaluation", seconds)
        read = []
        for key, (at, _) in read_steps(rows, "evaluation", "evaluation").items():
            places, times = known.get(key, NEVER)
            x = np.array([0.0, *places, ends.at[key, "evaluation"]])
            y = np.array([0.0, *times, ends.at[key, seconds]])
            read.append(np.interp(at, x, y) if np.isfinite(y).all() else np.full(len(at), np.nan))
        priced[seconds] = np.concatenate(read) if read else np.nan
    return priced
