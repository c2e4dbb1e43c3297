"""Step functions: the best loss of a run, or a score, holds from where it was reached until the next."""

import numpy as np
import pandas as pd

from dfo_bench.core import Array, Index
from dfo_bench.report.counting import Counting

Steps = dict[str, tuple[Array, Array]]
"""Per key of a run: places on an axis, ascending, and the value that holds from each of them to the next."""

NEVER: tuple[Array, Array] = (np.empty(0), np.empty(0))
"""The steps of a run without a value."""

REACH = 1e100
"""No loss or score counts as larger in size: the squares and sums of larger ones overflow, and so do axes."""

_ROUNDING = 1e-12
"""The share by which a place, a product of floats, may be off."""


def within_reach(values: Array) -> Array:
    """Return the values, REACH in place of what is beyond it, with its sign; +inf and nan, no value, stay."""
    return np.where(np.isfinite(values), np.clip(values, -REACH, REACH), values)


def beyond_reach(curves: pd.DataFrame) -> list[str]:
    """Say that losses count as smaller than they are, where some do."""
    best = curves["best"].to_numpy(dtype=float)
    number = int((np.isfinite(best) & (np.abs(best) > REACH)).sum())
    return [f"losses beyond ±{REACH:.0e} count as that: {number} of {len(best)}"] if number else []


def read_steps(rows: pd.DataFrame, at: str, value: str) -> Steps:
    """Read the steps of each run from rows with `key`, `evaluation` and the columns `at` and `value`, in any order.

    The places `at` must ascend with the evaluations of a run.
    """
    codes, keys = pd.factorize(rows["key"])
    order = np.lexsort((rows["evaluation"].to_numpy(), codes))
    first = np.searchsorted(codes[order], np.arange(1, len(keys)))
    places, values = (np.split(rows[name].to_numpy(dtype=float)[order], first) for name in (at, value))
    return dict(zip(map(str, keys), zip(places, map(within_reach, values), strict=True), strict=False))


def value_at(places: Array, values: Array, at: Array | Index) -> Array:
    """Return the values that hold at some places, (n,) -> (n,); +inf before the first. Rounding moves no step."""
    return np.concatenate([[np.inf], values])[np.searchsorted(places, at * (1 + _ROUNDING), side="right")]


def losses_at(
    runs: pd.DataFrame, best: Steps, at: Array | Index, counting: Counting, *, ends: str = "evaluations"
) -> Array:
    """Return the best loss of each run at some places: (runs, len(at)), +inf where there is none.

    `ends` is the column of `runs` that says at which place a run has stopped.
    """
    losses = np.array([value_at(*best.get(key, NEVER), at) for key in runs["key"]]).reshape(len(runs), len(at))
    if counting is Counting.WORST:
        stopped = (runs["status"] != "finished").to_numpy()[:, None]
        losses[stopped & (at > runs[ends].to_numpy(dtype=float)[:, None] * (1 + _ROUNDING))] = np.inf
    return losses


def grid(end: int, points: int = 400) -> Index:
    """Spread evaluations over 1..end, all of them where they are few, denser at the beginning where they are not."""
    if end <= points:
        return np.arange(1, end + 1)
    spread = [np.linspace(1, end, points // 2), np.geomspace(1, end, points // 2)]
    return np.unique(np.rint(np.concatenate(spread)).astype(np.int64))
