"""Speedups: how many times less a method spends to reach the loss that a reference method has at a budget.

Runs of one task and seed are compared with each other. Where several runs of the reference are there, such as one per
step, the best of them at that budget counts, in hindsight. A loss that is not reached is a ratio of at most 1: what the
reference spent by what the method spent in vain.
"""

from collections.abc import Hashable

import numpy as np
import pandas as pd

from dfo_bench.core import Array
from dfo_bench.errors import InputError
from dfo_bench.report.counting import Counting
from dfo_bench.report.format import MISSING
from dfo_bench.report.rules import AXES, STANDARD
from dfo_bench.report.scores import BLOCK, name_methods
from dfo_bench.report.stats.costs import add_costs
from dfo_bench.report.stats.intervals import LEVEL, RESAMPLES
from dfo_bench.report.stats.steps import NEVER, Steps, read_steps, value_at

SHARES = np.arange(1, 13) / 12
"""The budgets at which the reference's loss is a target, as shares of all that it may spend."""

THIRDS = (3, 7, 11)
"""The places among SHARES that a table shows."""

SPEEDUPS = [*BLOCK, "method", "sees", "share", "evaluations", "target", "cost", "spent", "reached", "ratio"]


def speedups(
    runs: pd.DataFrame,
    curves: pd.DataFrame,
    reference: str = STANDARD.reference,
    *,
    budget: int | None = None,
    against: str = STANDARD.against,
    counting: Counting = Counting.LAST,
) -> pd.DataFrame:
    """Return a row per run and target, with the columns SPEEDUPS.

    `reference` is an optimizer, with or without parameters, or the name of one method; its own runs are in no row. A
    block's `target` is its loss after `evaluations`, a share of `budget` or of what its runs may all spend; it took
    `cost`. The run has `spent` as much until it was there, or in all, and `ratio` is cost by spent. Both are in the
    unit of `against`, one of AXES. Raises InputError where the reference has no run, or nothing stands beside it.
    """
    members = name_methods(runs, counting)
    members = members[~members["baseline"].astype(bool)]
    optimizer = members["optimizer"].astype(str)
    own = (members["method"] == reference) | (optimizer == reference) | optimizer.str.startswith(f"{reference}:")
    if not own.any():
        there = ", ".join(sorted(set(members["method"])))
        raise InputError(f"no run of {reference} to compare with; name another reference, of: {there}")
    best, spent = _costs(members, curves, against)
    rows = []
    for block, beside in members[~own].groupby(BLOCK):
        theirs = members[own & (members[BLOCK] == list(block)).all(axis="columns")]
        if theirs.empty:
            continue
        end = int(theirs["budget"].min() if budget is None else min(budget, theirs["budget"].min()))
        at = np.unique(np.maximum(1, np.rint(SHARES * end)), return_index=True)
        for share, evaluations in zip(SHARES[at[1]], at[0], strict=True):
            target, key = min(
                (float(value_at(*best.get(k, NEVER), np.array([evaluations]))[0]), k) for k in theirs["key"]
            )
            cost = _at(spent[key], evaluations)
            if not np.isfinite(target) or not cost > 0:
                continue
            for key, method, sees, made, allowed, status in beside[
                ["key", "method", "sees", "evaluations", "budget", "status"]
            ].itertuples(index=False, name=None):
                places, values = best.get(str(key), NEVER)
                hit = places[values <= target]
                worst = counting is Counting.WORST and status != "finished"
                used = _at(spent[str(key)], hit[0] if len(hit) else allowed if worst else made)
                ratio = cost / used if used > 0 else np.nan
                ratio = ratio if len(hit) else min(1.0, ratio)
                rows.append((*block, method, sees, share, int(evaluations), target, cost, used, bool(len(hit)), ratio))
    found = pd.DataFrame(rows, columns=SPEEDUPS).dropna(subset=["ratio"])
    if found.empty:
        raise InputError(
            f"no other method has run on a task and seed of {reference}, or its {AXES[against].name} are not known"
        )
    return found


def mean_speedups(found: pd.DataFrame) -> pd.DataFrame:
    """Return a row per method and share: method, sees, share, evaluations, ratio, low, high, worst, reached, n, tasks.

    `ratio` is the geometric mean over tasks of those over seeds, from `low` to `high` by a bootstrap over tasks and
    seeds; `worst` is the smallest of a task, `reached` the share of blocks whose target was reached, `n` their number.
    `evaluations` is nan where tasks differ in it.
    """
    rows = []
    for (method, sees, share), part in found.groupby(["method", "sees", "share"], sort=True):
        tasks = [np.log(own.to_numpy()) for _, own in part.groupby("task")["ratio"]]
        low, high = _bootstrap(tasks)
        means = [logs.mean() for logs in tasks]
        alike = part["evaluations"].nunique() == 1
        rows.append({
            "method": method, "sees": sees, "share": share,
            "evaluations": float(part["evaluations"].iloc[0]) if alike else np.nan, "ratio": np.exp(np.mean(means)),
            "low": np.exp(low), "high": np.exp(high), "worst": np.exp(min(means)), "reached": part["reached"].mean(),
            "n": len(part), "tasks": len(tasks),
        })  # fmt: skip
    return pd.DataFrame(rows)


def tabulate(means: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Return the heads and the rows of a table of `mean_speedups` at THIRDS of the reference's budget, as text."""
    thirds = [share for share in SHARES[list(THIRDS)] if share in set(means["share"])]
    places = [means[means["share"] == share]["evaluations"].iloc[0] for share in thirds]
    alike = means["evaluations"].notna().all()
    at = [f"{place:.0f} calls" if alike else f"{share:.0%}" for share, place in zip(thirds, places, strict=True)]
    rows = []
    for (method, sees), own in means.groupby(["method", "sees"], sort=True):
        cells = own.set_index("share").reindex(thirds)
        rows.append([str(method), str(sees), *(_cell(row) for row in cells.to_dict("records"))])
    return ["method", "sees", *at], rows


def _cell(row: dict[Hashable, float]) -> str:
    if np.isnan(row["ratio"]):
        return MISSING
    bounds = "" if np.isnan(row["low"]) else f" ({row['low']:.1f} to {row['high']:.1f})"
    return f"{row['ratio']:.2f}{bounds}, worst {row['worst']:.2f}, reached {row['reached']:.0%} of {row['n']:.0f}"


def _costs(members: pd.DataFrame, curves: pd.DataFrame, against: str) -> tuple[Steps, Steps]:
    """Return the best losses of every run over evaluations, and what it had spent where it improved and at its end."""
    own = curves[curves["key"].isin(members["key"])]
    ends = members[["key", "evaluations"]].rename(columns={"evaluations": "evaluation"})
    rows = pd.concat([own[["key", "evaluation"]], ends]).drop_duplicates()
    spent = read_steps(add_costs(members, curves, rows), "evaluation", against)
    return read_steps(own, "evaluation", "best"), spent


def _at(spent: tuple[Array, Array], evaluation: float) -> float:
    """Return what a run had spent at an evaluation: between those that are known and beyond them in proportion."""
    places, costs = (np.concatenate([[0.0], part]) for part in spent)
    if evaluation > places[-1] > 0:
        return float(costs[-1] * evaluation / places[-1])
    return float(np.interp(evaluation, places, costs))


def _bootstrap(tasks: list[Array]) -> tuple[float, float]:
    """Return bounds of the mean over tasks of means over seeds; nan where there is nothing to draw from."""
    if len(tasks) == 1 and len(tasks[0]) == 1:
        return np.nan, np.nan
    rng = np.random.default_rng(0)
    counts = np.array([len(logs) for logs in tasks])
    padded = np.array([np.resize(logs, counts.max()) for logs in tasks])
    # One axis each for resamples, the tasks drawn, and the seeds drawn of each; of these as many count as a task has.
    which = rng.integers(len(tasks), size=(RESAMPLES, len(tasks)))
    seeds = rng.integers(counts[which][..., None], size=(*which.shape, counts.max()))
    counted = np.arange(counts.max()) < counts[which][..., None]
    drawn = padded[which[..., None], seeds].mean(axis=2, where=counted).mean(axis=1)
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
