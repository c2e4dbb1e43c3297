"""One scale for all tasks: 1 is the loss that a block begins with, 0 the best that any run of it reaches.

It is linear, or logarithmic in the distance to the optimum where the task states one and the distances span
decades. It depends on the methods that are compared: another method may move its 0.
"""

import numpy as np
import pandas as pd

from dfo_bench.core import Array, Index
from dfo_bench.errors import InputError
from dfo_bench.report.counting import Counting
from dfo_bench.report.scores import BLOCK, common_budgets, counted
from dfo_bench.report.stats.statistics import NEVER, Steps, spans_decades, steps

PRECISION = 1e-8
"""No distance to the optimum counts as smaller, as in COCO."""


def heights(
    runs: pd.DataFrame, curves: pd.DataFrame, *, budget: int | None = None, counting: Counting = Counting.LAST
) -> tuple[pd.DataFrame, Steps]:
    """Return the runs that count, with `method` and `common` budget, and the best so far of each on its block's scale.

    Heights below 0 or above 1 do not occur: what is worse than the beginning counts as it. A block begins with the
    median of its runs' first losses; blocks in which nothing improves on it are left out. Raises InputError where
    that leaves none.
    """
    members = counted(runs, counting)
    members = members.assign(common=members["task"].map(common_budgets(members, budget)))
    best = steps(curves[curves["key"].isin(members["key"])], "best")
    scaled: Steps = {}
    for _, block in members.groupby(BLOCK, sort=True):
        own = {key: _until(*best.get(key, NEVER), block["common"].iloc[0]) for key in block["key"]}
        scaled |= _on_scale(own, block["optimum"].iloc[0] if "optimum" in block else np.nan)
    kept = members[members["key"].isin(list(scaled))]
    if kept.empty:
        raise InputError(f"no run improves on the loss that its task begins with, among {len(members)} that count")
    return kept, scaled


def _until(evaluations: Index, losses: Array, budget: int) -> tuple[Index, Array]:
    """Cut a run's curve at a budget, and before its first loss."""
    kept = (evaluations <= budget) & np.isfinite(losses)
    return evaluations[kept], losses[kept]


def _on_scale(block: Steps, optimum: float) -> Steps:
    """Map the losses of a block's runs to heights; empty where they have no range."""
    firsts = [losses[0] for _, losses in block.values() if len(losses)]
    if not firsts:
        return {}
    upper, lower = float(np.median(firsts)), min(float(losses[-1]) for _, losses in block.values() if len(losses))
    if not upper > lower:
        return {}

    def shape(losses: Array) -> Array:
        return np.log(np.maximum(losses - optimum, PRECISION)) if logarithmic else losses

    gaps = np.maximum(np.array([upper, lower]) - optimum, PRECISION)
    logarithmic = spans_decades(pd.Series(gaps))
    top, bottom = shape(np.array([upper, lower]))
    return {
        key: (evaluations, np.clip((shape(losses) - bottom) / (top - bottom), 0.0, 1.0))
        for key, (evaluations, losses) in block.items()
    }
