"""One number for a whole curve, and one scale for the ends of curves of different tasks."""

import numpy as np
import pandas as pd

from dfo_bench.core import Array, Index
from dfo_bench.errors import InputError
from dfo_bench.report.counting import Counting
from dfo_bench.report.scores import BLOCK, one_a_block, scores
from dfo_bench.report.stats.scales import heights
from dfo_bench.report.stats.statistics import NEVER

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

    The zero of a block is the mean loss of its runs of `reference`, pooled over projections. The unit of a task is how
    far the best loss of a block is below that, pooled over blocks by the mean. So a mean over seeds is not moved by
    splits that are easy or hard. A run without a loss has the score -inf; where a block has no loss of the reference,
    or a task nothing better, scores are nan. Raises InputError where there is no run of the reference or no unit.
    """
    scored = scores(runs, curves, budget=budget, counting=counting)
    pooled = scored["optimizer"].str.partition(":")[0] == reference
    if not pooled.any():
        raise InputError(f"no run of {reference} to normalise by; add some with -o {reference}")
    blocks = [scored[name] for name in BLOCK]
    zero = scored["score"].where(pooled & np.isfinite(scored["score"])).groupby(blocks).transform("mean")
    gap = zero - scored.groupby(BLOCK)["score"].transform("min")
    unit = gap[~scored.duplicated(BLOCK)].groupby(scored["task"]).mean()
    scale = scored["task"].map(unit.where(unit > 0))
    scaled = scored.assign(score=(zero - scored["score"]) / scale)
    if scaled["score"].isna().all():
        raise InputError(f"on no task is anything better than {reference}, or it has no loss: there is no scale")
    return scaled


def _area(evaluations: Index, heights: Array, end: int) -> float:
    """Sum 1 - height over the evaluations up to the end."""
    return float(((1 - heights) * np.diff(np.append(evaluations, end + 1))).sum())
