"""Bands: the median curve of each group against evaluations or any other cost, and its spread.

The rules, which the page repeats to its reader:
- A group is the runs that differ only in their seed.
- Every run that has begun counts. Unless another rule of `counting` is asked for, failed and unfinished ones count
  with their best so far: +inf before the first success, the last best after the end. A failed run without one
  evaluation counts as +inf throughout.
- A line ends where the longest or dearest of its runs has come; a run that ended before holds its last best.
- The line of a baseline is level, and as long as the longest of its task.
- Quartiles over seeds are interpolated linearly; next to a +inf, the worse neighbour stands. They show the spread; the
  bounds of the median, see `intervals.median_interval`, show what is known.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from dfo_bench.core import Array
from dfo_bench.report.counting import Counting, select_runs
from dfo_bench.report.stats.costs import totals
from dfo_bench.report.stats.intervals import median_interval
from dfo_bench.report.stats.steps import Steps, grid, losses_at, read_steps
from dfo_bench.runs.columns import GROUP

POINTS = 400
"""At how many places a band is read: more than a figure in a paper shows apart."""


def loss_bands(
    runs: pd.DataFrame, curve: pd.DataFrame, axis: str, *, counting: Counting = Counting.LAST, points: int = POINTS
) -> pd.DataFrame:
    """Return the incumbent's loss against a cost of `rules.AXES`, one row per group and amount.

    The columns are GROUP, the axis, the quartiles `lower`, `median` and `upper`, the bounds `low` and `high` of the
    median, and the number `n` of runs. `curve` has the costs of its rows, see `costs.add_costs`. Groups of which the
    cost is not known, or nothing, are left out.
    """

    def places(members: pd.DataFrame) -> Array:
        calls = int(members["evaluations"].max())
        return grid(calls, points).astype(float) * (float(members["spent"].max()) / calls)

    return _bands(select_runs(runs, counting), read_steps(curve, axis, "best"), axis, places, counting)


def score_bands(runs: pd.DataFrame, scores: pd.DataFrame, axis: str, *, points: int = POINTS) -> pd.DataFrame:
    """Return a score against a cost like `loss_bands`, over the runs that have it, from where each has one.

    `scores` has one row per measurement: its `value` and its costs.
    """
    steps = read_steps(scores.dropna(subset=["value"]), axis, "value")

    def places(members: pd.DataFrame) -> Array:
        own = [steps[key][0] for key in members["key"]]
        at: Array = np.unique(np.concatenate(own))
        at = at[at >= max(places[0] for places in own)]
        return at[np.unique(np.linspace(0, len(at) - 1, points).astype(int))] if len(at) > points else at

    return _bands(runs[runs["key"].isin(list(steps))], steps, axis, places, Counting.LAST)


def quartiles(values: Array) -> Array:
    """Return the lower quartile, median and upper quartile down the columns: (n, m) -> (3, m)."""
    share = [0.25, 0.5, 0.75]
    worse = np.quantile(values, share, axis=0, method="higher")
    with np.errstate(invalid="ignore"):  # inf - inf, replaced at once
        between = np.quantile(values, share, axis=0)
    return np.where(np.isfinite(between), between, worse)


def _bands(
    counted: pd.DataFrame,
    steps: Steps,
    axis: str,
    places: Callable[[pd.DataFrame], Array],
    counting: Counting,
) -> pd.DataFrame:
    counted = counted.assign(spent=counted["key"].map(totals(counted)[axis]))
    longest = counted.groupby("task")["spent"].max()
    frames = []
    for name, members in counted.groupby(GROUP, sort=True):
        if not (members["spent"].max() > 0 and members["evaluations"].max() > 0):
            continue
        at = places(members)
        if members["baseline"].all():
            at = np.union1d(at, longest[members["task"]])
        values = losses_at(members, steps, at, counting, ends="spent")
        lower, median, upper = quartiles(values)
        low, high = median_interval(values)
        edges = {"lower": lower, "median": median, "upper": upper, "low": low, "high": high, "n": len(values)}
        frames.append(pd.DataFrame({**dict(zip(GROUP, name, strict=True)), axis: at, **edges}))
    if not frames:
        return pd.DataFrame(columns=[*GROUP, axis, "lower", "median", "upper", "low", "high", "n"], dtype=float)
    return pd.concat(frames, ignore_index=True)
