"""Losses of different tasks on one scale: heights of curves, and normalised scores of their ends.

A height is 1 where a block begins and 0 at the best that any run of it reaches; it is linear in the loss, or in the
logarithm of its distance to the optimum where the task states one and the distances span decades. A normalised score
is 0 for random search and 1 for the best. Both depend on the methods that are compared: another may move them.
"""

import numpy as np
import pandas as pd

from dfo_bench.core import Array
from dfo_bench.errors import InputError
from dfo_bench.report.counting import Counting
from dfo_bench.report.scores import BLOCK, common_budgets, name_methods, scores
from dfo_bench.report.stats.steps import NEVER, Steps, read_steps

PRECISION = 1e-8
"""No distance to the optimum counts as smaller, as in COCO."""

REFERENCE = "random"
"""The optimizer whose runs, with whatever projection, are the yardstick: pure random search."""


def spans_decades(losses: pd.Series) -> bool:
    """Say whether losses want a logarithmic axis: all positive, the largest more than a hundred times the smallest."""
    finite = losses[np.isfinite(losses)]
    return bool(len(finite) and finite.min() > 0 and finite.max() > 100 * finite.min())


def heights(
    runs: pd.DataFrame, curves: pd.DataFrame, *, budget: int | None = None, counting: Counting = Counting.LAST
) -> tuple[pd.DataFrame, Steps]:
    """Return the runs that count, with `method` and `common` budget, and the best so far of each as heights.

    Heights below 0 or above 1 do not occur: what is worse than the beginning counts as it. A block begins with the
    median of its runs' first losses; blocks in which nothing improves on it are left out. Raises InputError where
    that leaves none.
    """
    members = name_methods(runs, counting)
    members = members.assign(common=members["task"].map(common_budgets(members, budget)))
    best = read_steps(curves[curves["key"].isin(members["key"])], "evaluation", "best")
    scaled: Steps = {}
    for _, block in members.groupby(BLOCK, sort=True):
        own = {key: _until(*best.get(key, NEVER), block["common"].iloc[0]) for key in block["key"]}
        scaled |= _on_scale(own, block["optimum"].iloc[0])
    kept = members[members["key"].isin(list(scaled))]
    if kept.empty:
        raise InputError(f"no run improves on the loss that its task begins with, among {len(members)} that count")
    return kept, scaled


def normalise(
    runs: pd.DataFrame, curves: pd.DataFrame, *, budget: int | None = None, counting: Counting = Counting.LAST
) -> pd.DataFrame:
    """Return what `scores` does of the loss, on a scale of each task's own: 0 for random search, 1 for the best.

    The zero of a block is the mean loss of its runs of random search, pooled over projections. The unit of a task is
    how far the best loss of a block is below that, pooled over blocks by the mean. So a mean over seeds is not moved by
    splits that are easy or hard. A run without a loss has the score -inf; where a block has no loss of random search,
    or a task nothing better, scores are nan. Raises InputError where there is no random search or no unit.
    """
    scored = scores(runs, curves, budget=budget, counting=counting)
    reference = scored["optimizer"].str.partition(":")[0] == REFERENCE
    if not reference.any():
        raise InputError(f"no run of {REFERENCE} to normalise by; add some with -o {REFERENCE}")
    blocks = [scored[name] for name in BLOCK]
    zero = scored["score"].where(reference & np.isfinite(scored["score"])).groupby(blocks).transform("mean")
    gap = zero - scored.groupby(BLOCK)["score"].transform("min")
    unit = gap[~scored.duplicated(BLOCK)].groupby(scored["task"]).mean()
    scale = scored["task"].map(unit.where(unit > 0))
    scaled = scored.assign(score=(zero - scored["score"]) / scale)
    if scaled["score"].isna().all():
        raise InputError(f"on no task is anything better than {REFERENCE}, or it has no loss: there is no scale")
    return scaled


def _until(evaluations: Array, losses: Array, budget: int) -> tuple[Array, Array]:
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
