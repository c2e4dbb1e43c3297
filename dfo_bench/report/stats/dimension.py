"""Intrinsic dimension: the smallest d whose subspace holds 90 % of what the whole space holds.

d90 of Li, Farkhoor, Liu & Yosinski ("Measuring the intrinsic dimension of objective landscapes", ICLR 2018), and of
Aghajanyan, Gupta & Zettlemoyer ("Intrinsic dimensionality explains the effectiveness of language model fine-tuning",
ACL 2021). They ask for 90 % of the accuracy; a loss has no such zero, so here it is 90 % of how far it falls.
"""

import numpy as np
import pandas as pd

from dfo_bench.core import Array
from dfo_bench.errors import InputError
from dfo_bench.report.stats.intervals import LEVEL, RESAMPLES

SHARE = 0.9
"""Of what the whole space reaches."""

_QUESTION = ["task", "seed"]


def reached(runs: pd.DataFrame, metric: str = "") -> pd.DataFrame:
    """Return a row per task, optimizer, dim and seed: task, optimizer, dim, seed, share.

    `runs` are those of a store. `share` is how far the loss falls from that of `start` in a subspace of dimension dim,
    as a part of how far it falls in the whole space: with the projection `identity`, by the best of its optimizers.
    With a `metric`, a column of `runs` of which more is better, it is the part of the whole space's. Raise InputError
    where no task and seed has all of that.
    """
    finished = runs[runs["status"] == "finished"]
    value = metric or "best_loss"
    if value not in finished or finished[value].isna().all():
        raise InputError(f"no finished run has {value!r}")
    whole, begun = finished["projection"].str.match(r"identity\b"), finished["optimizer"] == "start"
    searches = finished[~finished["baseline"] & ~whole][[*_QUESTION, "optimizer", "projection", "dim", value]]
    best = finished[whole & ~finished["baseline"]].groupby(_QUESTION)[value].agg("max" if metric else "min")
    start = finished[begun].groupby(_QUESTION)[value].first() * (0 if metric else 1)
    found = searches.join(best.rename("whole"), on=_QUESTION).join(start.rename("start"), on=_QUESTION)
    found["share"] = (found["start"] - found[value]) / (found["start"] - found["whole"])
    found = found[np.isfinite(found["share"].astype(float))]
    if found.empty:
        raise InputError(
            "no task and seed has a start, a search of the whole space (-p identity) and one of a subspace; run them "
            "with: dfo-bench dimension -t TASK"
        )
    return found[["task", "optimizer", "dim", "seed", "share"]].reset_index(drop=True)


def ladders(found: pd.DataFrame) -> pd.DataFrame:
    """Return a row per task, optimizer and dim: task, optimizer, dim, share, low, high, n.

    `share` is the mean over seeds, from `low` to `high` by a bootstrap over seeds, nan for one seed.
    """
    rows = []
    for (task, optimizer), own in found.groupby(["task", "optimizer"], sort=True):
        table = _table(own)
        drawn = _resample(table)
        low, high = _bounds(drawn)
        for i, dim in enumerate(table.columns):
            n = int(table[dim].notna().sum())
            rows.append((task, optimizer, dim, table[dim].mean(), low[i], high[i], n))
    return pd.DataFrame(rows, columns=["task", "optimizer", "dim", "share", "low", "high", "n"])


def dimensions(found: pd.DataFrame) -> pd.DataFrame:
    """Return a row per task and optimizer: task, optimizer, dimension, low, high, n.

    `dimension` is the smallest dim whose mean share is at least SHARE, inf where none is; `low` to `high` are what
    the same rule finds in a bootstrap over seeds, nan for one seed.
    """
    rows = []
    for (task, optimizer), own in found.groupby(["task", "optimizer"], sort=True):
        table = _table(own)
        dims = table.columns.to_numpy(dtype=float)
        low, high = _bounds(_smallest(_resample(table), dims), method="inverted_cdf")
        smallest = _smallest(table.mean().to_numpy()[None], dims)[0]
        rows.append((task, optimizer, smallest, float(low), float(high), len(table)))
    return pd.DataFrame(rows, columns=["task", "optimizer", "dimension", "low", "high", "n"])


def sentences(found: pd.DataFrame) -> list[str]:
    """Return what `dimensions` finds in words, a line per task and optimizer."""
    largest = found.groupby(["task", "optimizer"])["dim"].max()
    lines = []
    for row in dimensions(found).to_dict("records"):
        most = largest[row["task"], row["optimizer"]]
        at, low, high = (f"{value:.0f}" if value < np.inf else f"above {most}" for value in (
            row["dimension"], row["low"], row["high"]
        ))  # fmt: skip
        bounds = f"95% of a bootstrap over {row['n']} seeds: {low} to {high}" if row["n"] > 1 else "1 seed"
        lines.append(f"intrinsic dimension of {row['task']} by {row['optimizer']}: {at} ({bounds})")
    return lines


def _table(own: pd.DataFrame) -> pd.DataFrame:
    """Return the shares of one task and optimizer, a row per seed and a column per dim; of several the best."""
    return own.pivot_table(index="seed", columns="dim", values="share", aggfunc="max")


def _resample(table: pd.DataFrame) -> Array:
    """Return the means over seeds of a bootstrap: (RESAMPLES, dims); a dim that lacks a seed goes by those it has."""
    draws = np.random.default_rng(0).integers(len(table), size=(RESAMPLES, len(table)))
    values = table.to_numpy(dtype=float)[draws]
    counted = np.isfinite(values)
    number = counted.sum(axis=1)
    return np.divide(
        np.where(counted, values, 0.0).sum(axis=1), number, out=np.full(number.shape, np.nan), where=number > 0
    )


def _bounds(drawn: Array, method: str = "linear") -> tuple[Array, Array]:
    """Return the bounds at LEVEL down the first axis; nan where all draws are one, as for one seed."""
    tails = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    low, high = np.nanquantile(drawn, tails, axis=0, method=method)  # type: ignore[call-overload]
    return low, high


def _smallest(shares: Array, dims: Array) -> Array:
    """Return the smallest dims with SHARE or more: (n, dims) -> (n,), inf where there is none."""
    enough = shares >= SHARE
    return np.where(enough.any(axis=1), dims[enough.argmax(axis=1)], np.inf)
