"""Comparisons of methods, block by block: differences with a verdict for each task, and wins over all tasks.

Two scores tie where they differ by at most `margin` times the larger of their sizes. Intervals are for these tasks
and for seeds like these: they say nothing of other tasks.
"""

from itertools import combinations, permutations

import numpy as np
import pandas as pd

from dfo_bench.core import Array
from dfo_bench.errors import InputError
from dfo_bench.report.scores import by_block, higher_is_better
from dfo_bench.report.stats.intervals import share_interval
from dfo_bench.report.stats.rows import RowHits
from dfo_bench.report.stats.verdict import judge
from dfo_bench.runs.defaults import MARGIN

WINS = ["first", "second", "wins", "ties", "losses", "n", "estimate", "low", "high"]


def differences(
    scored: pd.DataFrame, metric: str = "loss", *, margin: float = MARGIN, hits: RowHits | None = None
) -> pd.DataFrame:
    """Return a row per task and pair of its methods: task, first, second, the fields of `verdict.Verdict`, words.

    `scored` is what `scores.scores` returns. With `hits` intervals are over the rows of a split, too, where both
    methods have kept what they predict for the same ones. The margin of a comparison is that share of the mean size of
    the scores, in the metric's units. Raises InputError where no task has two methods.
    """
    rows = []
    for task, members in scored.groupby("task", sort=True):
        blocks = by_block(members)
        keys = by_block(members, "key") if hits else None
        for first, second in combinations(blocks, 2):
            one, other = _paired(blocks, first, second)
            both = blocks[[first, second]].notna().all(axis="columns")
            rows_half = np.nan
            if hits and keys is not None:
                rows_half = hits.half(zip(keys[first][both], keys[second][both], strict=True), metric)
            size = np.maximum(abs(one), abs(other))
            finite = size[np.isfinite(size)]
            scale = float(finite.mean()) if len(finite) else 0.0
            verdict = judge(_advantage(one, other, metric), margin * scale, rows_half)
            rows.append({
                "task": task, "first": first, "second": second, **vars(verdict),
                "words": verdict.words(str(first), str(second)),
            })  # fmt: skip
    if not rows:
        raise InputError("no task has two methods to compare; run another optimizer or projection")
    return pd.DataFrame(rows)


def win_matrix(scored: pd.DataFrame, metric: str = "loss", *, margin: float = MARGIN) -> pd.DataFrame:
    """Return a row per ordered pair of methods, with the columns WINS: how often the first beats the second.

    `estimate` is the share of blocks of all tasks that the first wins, a tie as half, from `low` to `high`; nan where
    the two have no block in common. Raises InputError where there are not two methods.
    """
    blocks = by_block(scored)
    if blocks.shape[1] < 2:
        raise InputError(f"wins need two methods, there is only {blocks.columns[0]}; run another")
    rows = []
    for first, second in permutations(blocks, 2):
        one, other = _paired(blocks, first, second)
        better, size = _advantage(one, other, metric), np.maximum(abs(one), abs(other))
        tied = np.isnan(better) | (abs(better) <= margin * np.where(np.isfinite(size), size, 0.0))
        ties, wins = int(tied.sum()), int((~tied & (better > 0)).sum())
        n, share = len(better), wins + ties / 2
        low, high = share_interval(np.array(share), n)
        rows.append(
            (first, second, wins, ties, n - wins - ties, n, share / n if n else np.nan, float(low), float(high))
        )
    return pd.DataFrame(rows, columns=WINS)


def _paired(blocks: pd.DataFrame, first: object, second: object) -> tuple[Array, Array]:
    """Return the scores of two methods in the blocks where both have one."""
    one, other = (blocks[name].to_numpy(dtype=float) for name in (first, second))
    both = ~(np.isnan(one) | np.isnan(other))
    return one[both], other[both]


def _advantage(one: Array, other: Array, metric: str) -> Array:
    """Return by how much the first is better; nan where both are infinite."""
    with np.errstate(invalid="ignore"):
        return one - other if higher_is_better(metric) else other - one
