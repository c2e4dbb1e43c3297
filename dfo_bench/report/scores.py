"""The score of each run, at one budget, under a stated rule for runs that did not finish.

Every comparison reads the frame that `scores` returns. Runs of one seed share split, start and embedding, so
task and seed name a *block*, and comparisons are made within blocks. A *method* is a group by the name that it
has in the report, see `looks`. Losses are never pooled over tasks: only wins, ranks and normalised scores are.
"""

import numpy as np
import pandas as pd

from dfo_bench.errors import InputError, UnknownNameError
from dfo_bench.report.counting import Counting, select_runs
from dfo_bench.report.labels import SERIES, looks
from dfo_bench.report.stats.steps import losses_at, read_steps, within_reach
from dfo_bench.runs import columns
from dfo_bench.runs.columns import SPLITS

BLOCK = ["task", "seed"]

METHOD = ["method", "optimizer", "projection"]


def higher_is_better(metric: str) -> bool:
    """Say which way a metric points: all but losses are better when higher."""
    return metric.rpartition("_")[2] != "loss"


def name_methods(runs: pd.DataFrame, counting: Counting) -> pd.DataFrame:
    """Return the runs that the rule counts, with a column `method`; raise InputError where there is none."""
    if runs.empty:
        raise InputError("the store holds no run yet; make some with: dfo-bench sweep")
    look = looks(runs)
    named = runs.assign(method=[look[group].label for group in runs[SERIES].itertuples(index=False, name=None)])
    counted = select_runs(named, counting)
    if counted.empty:
        raise InputError(f"none of the {len(runs)} runs counts: {_statuses(runs)}; {counting.words}")
    return counted


def common_budgets(runs: pd.DataFrame, budget: int | None = None) -> pd.Series:
    """Return the budget at which each task is compared: the smallest of its runs, baselines aside, or `budget`.

    Raises InputError where not every run may spend `budget`.
    """
    smallest = runs[~runs["baseline"]].groupby("task")["budget"].min()
    common = smallest.reindex(runs["task"].unique(), fill_value=1)
    if budget is None:
        return common
    if not 1 <= budget <= common.min():
        raise InputError(f"budget {budget} is not within 1 to {common.min()}, the smallest on {common.idxmin()}")
    return common.clip(upper=budget)


def scores(
    runs: pd.DataFrame,
    curves: pd.DataFrame,
    *,
    metric: str = "loss",
    budget: int | None = None,
    counting: Counting = Counting.LAST,
) -> pd.DataFrame:
    """Return one row per run: task, seed, method, optimizer, projection, key, score.

    `metric` is the loss within the budget, by default the common one of each task, or a column of `runs` such as
    test_accuracy, as it was measured at the end. A loss is +inf where there is none; another metric is nan where a
    run lacks it, and under "worst" the worst value for a run that did not finish. Runs that differ in nothing that
    the report shows are averaged, and have no key. Raises InputError where no run counts or has the metric.
    """
    members = name_methods(runs, counting)
    if metric == "loss":
        best = read_steps(curves[curves["key"].isin(members["key"])], "evaluation", "best")
        values = pd.Series(np.nan, members.index)
        for at, part in members.groupby(members["task"].map(common_budgets(members, budget))):
            values[part.index] = losses_at(part, best, np.array([at]), counting)[:, 0]
    else:
        values = _measured(members, metric, budget, counting)
    names = [members[name] for name in (*BLOCK, *METHOD)]
    groups = members.assign(score=values).groupby(names)
    keys = groups["key"].first().where(groups.size() == 1, "")
    return pd.concat([keys, groups["score"].mean()], axis="columns").reset_index()


def by_block(scored: pd.DataFrame, value: str = "score") -> pd.DataFrame:
    """Return the scores (or their keys) with a row per block and a column per method, nan where there is none."""
    return scored.set_index([*BLOCK, "method"])[value].unstack("method")


def _measured(runs: pd.DataFrame, metric: str, budget: int | None, counting: Counting) -> pd.Series:
    known = [name for split in SPLITS for name in columns.scores(runs.columns, split) if runs[name].notna().any()]
    if metric not in known:
        raise UnknownNameError("metric of these runs", metric, ["loss", *known])
    if budget is not None:
        raise InputError(f"{metric} is known at the end of runs only, not at budget {budget}; compare the loss there")
    values = pd.Series(within_reach(runs[metric].to_numpy(dtype=float)), runs.index)
    if counting is Counting.WORST:
        values[runs["status"] != "finished"] = -np.inf if higher_is_better(metric) else np.inf
    return values


def _statuses(runs: pd.DataFrame) -> str:
    return ", ".join(f"{number} {status}" for status, number in runs["status"].value_counts().items())
