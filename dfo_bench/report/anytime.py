"""One number for a whole curve, and one scale for the ends of curves of different tasks."""

import numpy as np
import pandas as pd

from dfo_bench.core import Array, Index
from dfo_bench.errors import InputError
from dfo_bench.report.counting import Counting
from dfo_bench.report.outcomes import one_a_block, scores
from dfo_bench.report.scales import heights
from dfo_bench.report.statistics import NEVER

REFERENCE = "random"
"""The optimizer whose runs, with whatever projection, are the yardstick: pure random search."""

AREA, NORMALISED = "area", "normalised"
"""What the scores of these two functions are called; both are better when higher."""


def area_over_curve(
    runs: pd.DataFrame, curves: pd.DataFrame, *, budget: int | None = None, counting: Counting = Counting.LAST
) -> pd.DataFrame:
    """Return for each run the mean of 1 - height over the evaluations of the budget, with the columns SCORES.

    It is the area over the run's curve, and under its run-time distribution for all targets of `scales` at once:
    1 for a run that is at the best from its first evaluation, 0 for one that never improves.
    """
    members, scaled = heights(runs, curves, budget=budget, counting=counting)
    areas = []
    for key, end, made, status in members[["key", "common", "evaluations", "status"]].itertuples(
        index=False, name=None
    ):
        worst = counting is Counting.WORST and status != "finished"
        areas.append(_area(*scaled.get(key, NEVER), min(made, end) if worst else end) / end)
    return one_a_block(members, pd.Series(areas, members.index))


def normalised(
    runs: pd.DataFrame,
    curves: pd.DataFrame,
    *,
    budget: int | None = None,
    counting: Counting = Counting.LAST,
    reference: str = REFERENCE,
) -> pd.DataFrame:
    """Return losses on a scale of each task's own, with the columns SCORES: 0 for random search, 1 for the best.

    The zero is the mean loss of all runs of `reference`, pooled over seeds and projections; the one is the mean, over
    the same seeds, of the best loss that any method reached. One linear scale a task keeps the differences within a
    block. A run without a loss has the score -inf; on a task where the reference has no loss, or nothing is better,
    scores are nan. Raises InputError where there is no run of the reference, or no task to normalise.
    """
    scored = scores(runs, curves, budget=budget, counting=counting)
    pooled = scored["optimizer"].str.partition(":")[0] == reference
    if not pooled.any():
        raise InputError(f"no run of {reference} to normalise by; add some with -o {reference}")
    parts = []
    for _, members in scored.groupby("task", sort=True):
        yardstick = members[pooled[members.index] & np.isfinite(members["score"])]
        best = members[members["seed"].isin(yardstick["seed"])].groupby("seed")["score"].min()
        zero, one = yardstick.groupby("seed")["score"].mean().mean(), best.mean()
        scale = zero - one if zero > one else np.nan
        parts.append(members.assign(score=(zero - members["score"]) / scale))
    scaled = pd.concat(parts, ignore_index=True)
    if scaled["score"].isna().all():
        raise InputError(f"on no task is anything better than {reference}, or it has no loss: there is no scale")
    return scaled


def _area(evaluations: Index, heights: Array, end: int) -> float:
    """Sum 1 - height over the evaluations up to the end."""
    return float(((1 - heights) * np.diff(np.append(evaluations, end + 1))).sum())
