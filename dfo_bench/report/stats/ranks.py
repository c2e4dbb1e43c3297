"""Ranks within blocks: over the budget, and as a whole by Friedman's test with Nemenyi's critical difference."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from scipy import stats

from dfo_bench.core import Array
from dfo_bench.errors import InputError
from dfo_bench.report.counting import Counting
from dfo_bench.report.scores import BLOCK, by_block, common_budgets, higher_is_better, name_methods
from dfo_bench.report.stats.intervals import LEVEL, mean_interval
from dfo_bench.report.stats.steps import grid, losses_at, read_steps

RANKS = ["share", "method", "rank", "low", "high", "n"]


@dataclass(frozen=True)
class Friedman:
    """Friedman's test (1937) of equal methods, and who cannot be told from whom.

    `ranks` are mean ranks over `n` blocks, the best first; `groups` are the largest sets of methods whose ranks
    differ by less than `critical`, Nemenyi's critical difference as in Demsar (2006), each the best first.
    """

    ranks: dict[str, float]
    statistic: float
    p: float
    n: int
    left_out: int
    critical: float
    groups: list[list[str]]


def friedman(scored: pd.DataFrame, metric: str = "loss") -> Friedman:
    """Rank the methods in every block that has a score of each; `left_out` counts the other blocks.

    Raises InputError for fewer than three methods or two such blocks.
    """
    table = by_block(scored).dropna()
    blocks, methods = table.shape
    if methods < 3 or blocks < 2:
        raise InputError(
            f"a test of ranks needs 3 methods and 2 blocks (task and seed) that all of them have run, "
            f"there are {methods} and {blocks}"
        )
    values = table.to_numpy() * (-1 if higher_is_better(metric) else 1)
    ranked = stats.rankdata(values, axis=1)
    tied = bool((ranked == ranked[0, 0]).all())  # no variance, which SciPy would divide by
    statistic, p = (0.0, 1.0) if tied else stats.friedmanchisquare(*ranked.T)
    means = pd.Series(ranked.mean(axis=0), table.columns).sort_values(kind="stable")
    critical = critical_difference(methods, blocks)
    left_out = scored[BLOCK].drop_duplicates().shape[0] - blocks
    ranks = {str(method): float(rank) for method, rank in means.items()}
    return Friedman(ranks, float(statistic), float(p), blocks, left_out, critical, _groups(ranks, critical))


@cache  # a quantile takes SciPy milliseconds
def critical_difference(methods: int, blocks: int) -> float:
    """Return Nemenyi's difference of mean ranks: q sqrt(k (k + 1) / 6 n), q the studentized range over sqrt(2)."""
    q = stats.studentized_range.ppf(LEVEL, methods, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(methods * (methods + 1) / (6 * blocks)))


def ranks_over_budget(runs: pd.DataFrame, curves: pd.DataFrame, *, counting: Counting = Counting.LAST) -> pd.DataFrame:
    """Return the mean rank of each method at shares of the tasks' common budgets, with the columns RANKS.

    Ranks are among all methods of the blocks that all of them have run; equal losses share theirs. Bounds are
    Student's over blocks. Raises InputError where there are not two methods or no such block.
    """
    members = name_methods(runs, counting)
    best = read_steps(curves[curves["key"].isin(members["key"])], "evaluation", "best")
    budgets = common_budgets(members)
    evaluations = grid(int(budgets.max()), 200)
    share = evaluations / evaluations[-1]
    losses = []
    for task, part in members.groupby("task", sort=True):
        at = np.maximum(1, np.rint(share * budgets[task])).astype(np.int64)
        own = pd.DataFrame(losses_at(part, best, at, counting), columns=range(len(at)))
        names = part[[*BLOCK, "method"]].reset_index(drop=True)
        losses.append(pd.concat([names, own], axis="columns"))
    wide = pd.concat(losses).groupby([*BLOCK, "method"]).mean().unstack("method").dropna()
    methods = wide.columns.unique("method")
    if len(methods) < 2 or wide.empty:
        raise InputError("ranks need two methods and a block (task and seed) that all of them have run")
    cube = wide.to_numpy().reshape(len(wide), len(share), len(methods))
    mean, low, high = _bounds(stats.rankdata(cube, axis=2))
    return pd.DataFrame({
        "share": np.repeat(share, len(methods)), "method": np.tile(methods, len(share)),
        "rank": mean, "low": low, "high": high, "n": len(wide),
    })[RANKS]  # fmt: skip


def _bounds(ranks: Array) -> tuple[Array, Array, Array]:
    """Return mean ranks and their bounds, flat: (blocks, shares, methods) -> three of (shares * methods,)."""
    most = ranks.shape[2]
    mean, low, high = mean_interval(ranks.reshape(len(ranks), -1))
    return mean, np.clip(low, 1, most), np.clip(high, 1, most)


def _groups(ranks: dict[str, float], critical: float) -> list[list[str]]:
    """Return the maximal runs of neighbours within the critical difference, of two methods or more."""
    names = list(ranks)
    groups: list[list[str]] = []
    for start, first in enumerate(names):
        group = [name for name in names[start:] if ranks[name] - ranks[first] < critical]
        if len(group) > 1 and not (groups and group[-1] in groups[-1]):
            groups.append(group)
    return groups
