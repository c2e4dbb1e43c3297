"""Curves against what they cost: calls, examples, tokens, bytes, or seconds; and the optimizer's share of the time.

A curve against a cost is the curve against evaluations with its steps moved to where the run had spent that much.
What measuring on dev and test costs is in none of them. The rules are those of `statistics`, with two more:
- A group's line ends where the dearest of its runs has come; a run that has ended before holds its last best.
- Seconds are known where a run improved and where it ended, and interpolated linearly between.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dfo_bench.core import Array
from dfo_bench.report.counting import begun
from dfo_bench.report.stats.statistics import GROUP, baseline, grid, quartiles


@dataclass(frozen=True)
class Axis:
    """What a curve is drawn against: its name on a page, and the unit after its numbers."""

    name: str
    unit: str


AXES = {
    "evaluation": Axis("calls", "calls"),
    "examples": Axis("examples", "examples"),
    "tokens": Axis("tokens", "tokens"),
    "bytes_up_z": Axis("bytes up, as z", "B"),
    "bytes_up_prompt": Axis("bytes up, as prompts", "B"),
    "bytes_down": Axis("bytes down", "B"),
    "task_seconds": Axis("task seconds", "s"),
    "total_seconds": Axis("total seconds", "s"),
}
"""Every cost that a curve can be drawn against; total seconds are the task's and the optimizer's."""

PER_CALL = ["examples", "tokens", "bytes_up_z", "bytes_up_prompt", "bytes_down"]
"""The costs that are the same for every evaluation of a run."""

_NEVER: tuple[Array, Array] = (np.empty(0), np.empty(0))

_POINTS = 120
"""How many places of a curve are kept: about as many as a panel of a page shows apart."""

_ROUNDING = 1e-9
"""What a cost, a product of floats, may be off."""


def totals(runs: pd.DataFrame) -> pd.DataFrame:
    """Return what each run has spent, key by AXES; nan where that is not known."""
    known = runs.drop_duplicates("key").set_index("key")  # a baseline may stand with several tasks
    known = known.reindex(columns=[*PER_CALL, "evaluations", "task_seconds", "optimizer_seconds"])
    known = known.astype(float).rename(columns={"evaluations": "evaluation"})
    return known.assign(total_seconds=known["task_seconds"] + known["optimizer_seconds"])[list(AXES)]


def per_call(runs: pd.DataFrame) -> pd.DataFrame:
    """Return what one evaluation of each run costs, key by PER_CALL; nan for a run without one."""
    total = totals(runs)
    return total[PER_CALL].div(total["evaluation"].where(total["evaluation"] > 0), axis="index")


def spent(runs: pd.DataFrame, curves: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows, which have `key` and `evaluation`, with a column for each of AXES: what the run had spent.

    `curves` says when; the rows may be its own. They come back sorted by these two.
    """
    rows = rows[rows["key"].isin(runs["key"])].sort_values(["key", "evaluation"], ignore_index=True)
    each = per_call(runs).reindex(rows["key"])
    found = rows.assign(**{cost: rows["evaluation"].to_numpy() * each[cost].to_numpy() for cost in PER_CALL})
    clock = curves[curves["key"].isin(runs["key"])].sort_values(["key", "evaluation"])
    clock = clock.reindex(columns=["key", "evaluation", "task_seconds", "optimizer_seconds"])
    clock["total_seconds"] = clock["task_seconds"] + clock["optimizer_seconds"]
    ends = totals(runs)
    for seconds in ("task_seconds", "total_seconds"):
        known = _steps(clock, "evaluation", seconds)
        read = []
        for key, (at, _) in _steps(rows, "evaluation", "evaluation").items():
            places, times = known.get(key, _NEVER)
            x = np.array([0.0, *places, ends.at[key, "evaluation"]])
            y = np.array([0.0, *times, ends.at[key, seconds]])
            read.append(np.interp(at, x, y) if np.isfinite(y).all() else np.full(len(at), np.nan))
        found[seconds] = np.concatenate(read) if read else np.nan
    return found


def loss_bands(runs: pd.DataFrame, curve: pd.DataFrame, axis: str, by: Sequence[str] = GROUP) -> pd.DataFrame:
    """Return the incumbent's loss against a cost, one row a group and amount: `by`, axis, lower, median, upper, n.

    `curve` is a curve with what was `spent`. Groups of which the cost is not known, or nothing, are left out.
    """
    return _bands(begun(runs), _steps(curve, axis, "best"), axis, by, from_first=False)


def score_bands(runs: pd.DataFrame, scores: pd.DataFrame, axis: str, by: Sequence[str] = GROUP) -> pd.DataFrame:
    """Return a score against a cost like `loss_bands`, over the runs that have it, from where each has one.

    `scores` has one row a measurement with its `value` and what was `spent`.
    """
    steps = _steps(scores.dropna(subset=["value"]), axis, "value")
    return _bands(runs[runs["key"].isin(list(steps))], steps, axis, by, from_first=True)


def optimizer_share(groups: pd.DataFrame) -> pd.Series:
    """Return the optimizer's part of a group's seconds, its own and the task's; nan where there are none.

    `groups` are rows of `statistics.summary`.
    """
    task, optimizer = (groups[seconds, "mean"].astype(float) for seconds in ("task_seconds", "optimizer_seconds"))
    total = task + optimizer
    share: pd.Series = optimizer / total.where(total > 0)
    return share


def _steps(rows: pd.DataFrame, at: str, value: str) -> dict[str, tuple[Array, Array]]:
    """Read a step function a run out of rows that are sorted by key and evaluation."""
    keys, first = np.unique(rows["key"].to_numpy(dtype=str), return_index=True)
    places, values = (np.split(rows[column].to_numpy(dtype=float), first[1:]) for column in (at, value))
    return dict(zip(keys.tolist(), zip(places, values, strict=False), strict=False))


def _bands(
    counted: pd.DataFrame, steps: dict[str, tuple[Array, Array]], axis: str, by: Sequence[str], *, from_first: bool
) -> pd.DataFrame:
    counted = counted.assign(spent=counted["key"].map(totals(counted)[axis]))
    longest = counted.groupby("task")["spent"].max()
    frames = []
    for name, members in counted.groupby(list(by), sort=True):
        end = members["spent"].max()
        if not (end > 0 and members["evaluations"].max() > 0):
            continue
        own = [steps.get(key, _NEVER) for key in members["key"]]
        if from_first:
            at = np.unique(np.concatenate([places for places, _ in own]))
            first = max(places[0] for places, _ in own)
            at = _thinned(at[at >= first])
        else:
            calls = int(members["evaluations"].max())
            at = grid(calls, _POINTS) * (end / calls)
        if baseline(members).all():
            at = np.union1d(at, longest[members["task"]])
        values = np.array([_value_at(*one, at) for one in own])
        lower, median, upper = quartiles(values)
        columns = {axis: at, "lower": lower, "median": median, "upper": upper, "n": len(values)}
        frames.append(pd.DataFrame({**dict(zip(by, name, strict=True)), **columns}))
    if not frames:
        return pd.DataFrame(columns=[*by, axis, "lower", "median", "upper", "n"])
    return pd.concat(frames, ignore_index=True)


def _value_at(places: Array, values: Array, at: Array) -> Array:
    """Return the values that hold at these amounts, +inf before the first; rounding moves no step."""
    return np.concatenate([[np.inf], values])[np.searchsorted(places, at * (1 + _ROUNDING), side="right")]


def _thinned(at: Array) -> Array:
    return at[np.unique(np.linspace(0, len(at) - 1, _POINTS).astype(int))] if len(at) > _POINTS else at
