"""The numbers of the report: pure functions of a store's frames `runs`, `curves` and `measures`.

The rules, which the page repeats to its reader:
- A group is the runs that differ only in their seed.
- Every run that has begun counts. Unless another rule of `counting` is asked for, failed and unfinished ones count
  with their best so far: +inf before the first success, the last best after the end. A failed run without one
  evaluation counts as +inf throughout.
- A curve ends at the smallest budget of its group, or where the longest of its runs has come so far.
- A group of one evaluation is a baseline: its line is level, and as long as the longest of its task.
- Bands are quartiles over seeds, interpolated linearly; next to a +inf, the worse neighbour stands. Beside them stand
  the bounds of the median, see `intervals.median_interval`: quartiles show the spread, bounds what is known.
- Means and deviations (n - 1) are over the runs that have the value; how many those are stands beside them.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from dfo_bench.core import Array, Index
from dfo_bench.report.counting import Counting, begun, higher_is_better
from dfo_bench.report.stats.intervals import median_interval

GROUP = ["task", "optimizer", "projection", "dim", "budget", "dev_every", "selection"]
"""The columns of `runs` that name a group."""

STATUSES = ["finished", "failed", "unfinished"]

COSTS = ["task_seconds", "optimizer_seconds", "evaluations", "examples", "tokens"]
COSTS += ["bytes_up_z", "bytes_up_prompt", "bytes_down", "peak_memory", "peak_device_memory"]
"""What a run costs; see `dfo_bench.core.Cost` and `dfo_bench.runs.summary`."""

BANDS = ["evaluation", "lower", "median", "upper", "low", "high", "n"]
"""The columns of a frame of bands after those of its group."""

Steps = dict[str, tuple[Index, Array]]
"""Of each run's key: its evaluations, ascending, and a value that holds from each of them to the next."""

NEVER: tuple[Index, Array] = (np.empty(0, dtype=np.int64), np.empty(0))
"""The steps of a run without a value."""


def baseline(runs: pd.DataFrame) -> pd.Series:
    """Say of each run whether it is one of a single evaluation."""
    return runs["budget"] == 1


def steps(frame: pd.DataFrame, column: str) -> Steps:
    """Read a step function a run out of a frame with `key`, `evaluation` and the column, in any order of rows."""
    ordered = frame.sort_values(["key", "evaluation"])
    return {
        str(key): (rows["evaluation"].to_numpy(dtype=np.int64), rows[column].to_numpy(dtype=float))
        for key, rows in ordered.groupby("key")
    }


def value_at(evaluations: Index, values: Array, at: Index) -> Array:
    """Return the values that hold at these evaluations; +inf before the first."""
    return np.concatenate([[np.inf], values])[np.searchsorted(evaluations, at, side="right")]


def quartiles(values: Array) -> Array:
    """Return the lower quartile, median and upper quartile down the columns: (n, m) -> (3, m)."""
    share = [0.25, 0.5, 0.75]
    worse = np.quantile(values, share, axis=0, method="higher")
    with np.errstate(invalid="ignore"):  # inf - inf, replaced at once
        between = np.quantile(values, share, axis=0)
    return np.where(np.isfinite(between), between, worse)


def grid(end: int, points: int = 400) -> Index:
    """Spread evaluations over 1..end, all of them where they are few, denser at the beginning where they are not."""
    if end <= points:
        return np.arange(1, end + 1)
    spread = [np.linspace(1, end, points // 2), np.geomspace(1, end, points // 2)]
    return np.unique(np.rint(np.concatenate(spread)).astype(np.int64))


def curve_bands(
    runs: pd.DataFrame, curves: pd.DataFrame, by: Sequence[str] = GROUP, counting: Counting = Counting.LAST
) -> pd.DataFrame:
    """Return the incumbent's loss over evaluations, one row a group and evaluation: `by`, then BANDS."""
    counted = begun(runs, counting)
    longest = counted.groupby("task")["evaluations"].max()
    frames = []
    for name, members in counted.groupby(list(by), sort=True):
        at = grid(int(min(members["budget"].min(), members["evaluations"].max())))
        if baseline(members).all():
            at = np.union1d(at, longest[members["task"]])
        frames.append(_bands(by, name, at, losses_at(members, curves, at, counting)))
    return _stack(frames, by)


def measure_bands(
    runs: pd.DataFrame,
    measures: pd.DataFrame,
    split: str,
    metric: str,
    by: Sequence[str] = GROUP,
    counting: Counting = Counting.LAST,
) -> pd.DataFrame:
    """Return a metric over evaluations like `curve_bands`, over the runs that have it.

    A measurement holds until the next; a group begins where each of these runs has one.
    """
    chosen = measures[(measures["split"] == split) & (measures["metric"] == metric)]
    measured = steps(chosen.dropna(subset=["value"]), "value")
    counted = begun(runs, counting)
    counted = counted[counted["key"].isin(list(measured))]
    longest = counted["key"].map(lambda key: measured[key][0][-1]).groupby(counted["task"]).max()
    frames = []
    for name, members in counted.groupby(list(by), sort=True):
        own = [measured[key] for key in members["key"]]
        at = np.unique(np.concatenate([evaluations for evaluations, _ in own]))
        first = max(evaluations[0] for evaluations, _ in own)
        at = at[(at >= first) & (at <= members["budget"].min())]
        if baseline(members).all():
            at = np.union1d(at, longest[members["task"]])
        frames.append(_bands(by, name, at, np.array([value_at(*one, at) for one in own])))
    return _stack(frames, by)


def losses_at(runs: pd.DataFrame, curves: pd.DataFrame, at: Index, counting: Counting) -> Array:
    """Return the best loss of each run within so many evaluations: (runs, len(at)), +inf where there is none."""
    best = steps(curves[curves["key"].isin(runs["key"])], "best")
    values = np.array([value_at(*best.get(key, NEVER), at) for key in runs["key"]]).reshape(len(runs), len(at))
    if counting is Counting.WORST:
        stopped = (runs["status"] != "finished").to_numpy()[:, None]
        values[stopped & (at > runs["evaluations"].to_numpy()[:, None])] = np.inf
    return values


def spans_decades(losses: pd.Series) -> bool:
    """Say whether losses want a logarithmic axis: all positive, the largest more than a hundred times the smallest."""
    finite = losses[np.isfinite(losses)]
    return bool(len(finite) and finite.min() > 0 and finite.max() > 100 * finite.min())


def summary(runs: pd.DataFrame, by: Sequence[str] = GROUP, counting: Counting = Counting.LAST) -> pd.DataFrame:
    """Return a row a group, the best mean loss of a task first, under two levels of columns.

    ("runs", s) counts the runs of status s, ("runs", "begun") those that count; (c, "mean" | "sd" | "n") describe,
    for those, the column c of `runs`: best_loss, dev_*, test_*, each of COSTS, and gap_* = dev_* - test_*. Under the
    rule "worst", a score of a group with a run that did not finish has an infinite mean and no deviation.
    """
    runs = runs.reset_index(drop=True)
    counted = begun(runs, counting)
    counts = {s: runs["status"] == s for s in STATUSES} | {"begun": runs.index.isin(counted.index)}
    values = _values(counted, counting).reindex(runs.index)
    names = [runs[column] for column in by]
    table = pd.concat(
        {"runs": pd.DataFrame(counts).groupby(names).sum()}
        | {c: values[c].groupby(names).agg(mean="mean", sd="std", n="count") for c in values},
        axis="columns",
    )
    return table.sort_values(("best_loss", "mean")).sort_index(level=by[0], sort_remaining=False, kind="stable")


def _values(runs: pd.DataFrame, counting: Counting) -> pd.DataFrame:
    """Gather what `summary` describes; a loss of +inf is none."""
    scores = [c for c in runs.columns if c.startswith(("dev_", "test_")) and c not in GROUP]
    values = runs.reindex(columns=["best_loss", *scores, *COSTS]).astype(float).replace([np.inf, -np.inf], np.nan)
    for metric in [c.removeprefix("dev_") for c in scores if c.startswith("dev_")]:
        if f"test_{metric}" in values:
            values[f"gap_{metric}"] = values[f"dev_{metric}"] - values[f"test_{metric}"]
    if counting is Counting.WORST:
        for score in ["best_loss", *scores]:
            values.loc[runs["status"] != "finished", score] = -np.inf if higher_is_better(score) else np.inf
    return values


def _bands(by: Sequence[str], name: tuple[object, ...], at: Index, values: Array) -> pd.DataFrame:
    lower, median, upper = quartiles(values)
    low, high = median_interval(values)
    columns = {"evaluation": at, "lower": lower, "median": median, "upper": upper, "low": low, "high": high}
    columns["n"] = len(values)
    return pd.DataFrame({**dict(zip(by, name, strict=True)), **columns})


def _stack(frames: list[pd.DataFrame], by: Sequence[str]) -> pd.DataFrame:
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=[*by, *BANDS])
