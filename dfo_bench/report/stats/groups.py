"""The table of groups: means and deviations, over seeds, of what their runs reached and cost.

Deviations are of a sample (n - 1). Means and deviations are over the runs that have the value; their number stands
beside them.
"""

import numpy as np
import pandas as pd

from dfo_bench.report.counting import select_runs
from dfo_bench.report.format import write_seeds
from dfo_bench.report.stats.steps import within_reach
from dfo_bench.runs import columns
from dfo_bench.runs.columns import CALLS, GROUP, MEMORY, MONEY, ROWS, SPLITS

STATUSES = ["finished", "failed", "unfinished"]

COSTS = ["task_seconds", "optimizer_seconds", "evaluations", "repeats", *CALLS, MONEY, *MEMORY]
"""What a run costs; see `dfo_bench.core.Cost` and `dfo_bench.runs.summary`."""


def summarise(runs: pd.DataFrame) -> pd.DataFrame:
    """Return one row per group, the best mean loss of a task first, under two levels of columns.

    ("runs", s) counts the runs of status s, ("runs", "begun") those that count; (c, "mean" | "sd" | "n") describe,
    for those, the column c of `runs`: best_loss, the scores on dev and test, each of COSTS and ROWS, and
    gap_* = dev_* - test_*. ("seeds", c) names the seeds that have the score c.
    """
    runs = runs.reset_index(drop=True)
    counted = select_runs(runs)
    counts = {s: runs["status"] == s for s in STATUSES} | {"begun": runs.index.isin(counted.index)}
    values = _values(counted).reindex(runs.index)
    names = [runs[column] for column in GROUP]
    having = pd.DataFrame({c: runs["seed"].where(values[c].notna()) for c in values if c not in (*COSTS, *ROWS)})
    table = pd.concat(
        {"runs": pd.DataFrame(counts).groupby(names).sum()}
        | {c: values[c].groupby(names).agg(mean="mean", sd="std", n="count") for c in values}
        | {"seeds": having.groupby(names).agg(_seeds)},
        axis="columns",
    )
    return table.sort_values(("best_loss", "mean")).sort_index(level=GROUP[0], sort_remaining=False, kind="stable")


def optimizer_share(groups: pd.DataFrame) -> pd.Series:
    """Return the optimizer's part of each group's seconds, its own and the task's; nan where there are none.

    `groups` are rows of `summarise`.
    """
    task, optimizer = (groups[seconds, "mean"].astype(float) for seconds in ("task_seconds", "optimizer_seconds"))
    total = task + optimizer
    share: pd.Series = optimizer / total.where(total > 0)
    return share


def _seeds(seeds: pd.Series) -> str:
    return write_seeds(sorted({int(seed) for seed in seeds.dropna()}))


def _values(runs: pd.DataFrame) -> pd.DataFrame:
    """Gather what `summarise` describes; a loss of +inf is none."""
    dev, test = (columns.scores(runs.columns, split) for split in SPLITS)
    reached = ["best_loss", *dev, *test]
    values = runs.reindex(columns=[*reached, *COSTS, *ROWS]).astype(float).replace([np.inf, -np.inf], np.nan)
    values[reached] = within_reach(values[reached].to_numpy())
    for score in dev:
        metric = score.removeprefix("dev_")
        if f"test_{metric}" in test:
            values[f"gap_{metric}"] = values[score] - values[f"test_{metric}"]
    return values
