"""Two-sided intervals of confidence at LEVEL: of a mean, a share and a median.

How often each holds the truth is simulated in the tests, also for the few seeds that runs have.
"""

from functools import cache

import numpy as np
from scipy import stats

from dfo_bench.core import Array, Index

LEVEL = 0.95
RESAMPLES = 2000
"""How often a bootstrap draws; always by the same generator, so that a page is the same every time."""


def mean_interval(values: Array) -> tuple[Array, Array, Array]:
    """Return mean, lower and upper bound down the columns, what is not finite left out: (n, m) -> three of (m,).

    The bounds are Student's, exact for normal values. One value has no bounds, equal values have bounds of no width.
    """
    n = np.isfinite(values).sum(axis=0)
    total = np.where(np.isfinite(values), values, 0.0).sum(axis=0)
    mean = np.divide(total, n, out=np.full(n.shape, np.nan), where=n > 0)
    squares = np.where(np.isfinite(values), (values - mean) ** 2, 0.0).sum(axis=0)
    variance = np.divide(squares, n - 1, out=np.full(n.shape, np.nan), where=n > 1)
    half = stats.t.ppf((1 + LEVEL) / 2, np.maximum(n - 1, 1)) * np.sqrt(variance / np.maximum(n, 1))
    return mean, mean - half, mean + half


def share_interval(wins: Array, n: int) -> tuple[Array, Array]:
    """Return bounds of the chance to win from the numbers of wins in n trials, a tie as half a win: two of wins' shape.

    They are those of Clopper and Pearson (1934): they cover at least the level for independent trials, and more than
    it where there are ties or where trials have chances of their own, as on several tasks.
    """
    if n == 0:
        return np.full(np.shape(wins), np.nan), np.full(np.shape(wins), np.nan)
    tail, lost = (1 - LEVEL) / 2, n - np.asarray(wins)
    with np.errstate(invalid="ignore"):  # the two ends, replaced at once
        low = np.where(np.equal(wins, 0), 0.0, stats.beta.ppf(tail, wins, lost + 1))
        high = np.where(lost == 0, 1.0, stats.beta.ppf(1 - tail, np.add(wins, 1), lost))
    return low, high


def median_interval(values: Array) -> tuple[Array, Array]:
    """Return bounds of the median down the columns, (n, m) -> two of (m,); +inf is a value like others.

    They are percentiles of the bootstrap, further out the fewer the values, for plain ones are too narrow for few: as
    wide as Student's interval of a mean is beside the normal one (Hesterberg 2015, "expanded percentile"). See
    `median_level` for what few values allow.
    """
    n, ordered = len(values), np.sort(values, axis=0)
    if n < 2:
        return np.full(values.shape[1], np.nan), np.full(values.shape[1], np.nan)
    ranks, times = _middle_ranks(n)
    medians = (ordered[ranks[:, 0]] + ordered[ranks[:, 1]]) / 2
    order = np.argsort(medians, axis=0)
    medians, shares = np.take_along_axis(medians, order, axis=0), np.cumsum(times[order], axis=0) / RESAMPLES
    out = np.sqrt(n / (n - 1)) * stats.t.ppf((1 + LEVEL) / 2, n - 1)
    low, high = (medians[(shares < stats.norm.cdf(end)).sum(axis=0), np.arange(values.shape[1])] for end in (-out, out))
    return low, high


def median_level(n: int) -> float:
    """Return the level that `median_interval` can reach with n values: all of them leave out the median at 2^(1-n)."""
    return min(LEVEL, 1 - 2.0 ** (1 - n))


@cache
def _middle_ranks(n: int) -> tuple[Index, Index]:
    """Return the pairs of ranks between which the medians of resamples of n values lie, (k, 2), and how often: (k,).

    A resample is as good as its ranks among the sorted values, so one draw of ranks serves all columns.
    """
    ranks = np.sort(np.random.default_rng(0).integers(n, size=(RESAMPLES, n)), axis=1)
    pairs, times = np.unique(ranks[:, [(n - 1) // 2, n // 2]], axis=0, return_counts=True)
    return pairs, times
