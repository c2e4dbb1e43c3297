"""Two-sided intervals of confidence: of a mean, a share, a median, and of what has no formula.

How often each holds the truth is simulated in the tests, also for the few seeds that runs have.
"""

from collections.abc import Callable

import numpy as np
from scipy import stats

from dfo_bench.core import Array

LEVEL = 0.95
RESAMPLES = 2000
"""How often a bootstrap draws; always by the same generator, so that a page is the same every time."""


def mean_interval(values: Array, level: float = LEVEL) -> tuple[Array, Array, Array]:
    """Return mean, lower and upper bound down the columns, what is not finite left out: (n, m) -> three of (m,).

    The bounds are Student's, exact for normal values. One value has no bounds, equal values have bounds of no width.
    """
    n = np.isfinite(values).sum(axis=0)
    total = np.where(np.isfinite(values), values, 0.0).sum(axis=0)
    mean = np.divide(total, n, out=np.full(n.shape, np.nan), where=n > 0)
    squares = np.where(np.isfinite(values), (values - mean) ** 2, 0.0).sum(axis=0)
    variance = np.divide(squares, n - 1, out=np.full(n.shape, np.nan), where=n > 1)
    half = stats.t.ppf((1 + level) / 2, np.maximum(n - 1, 1)) * np.sqrt(variance / np.maximum(n, 1))
    return mean, mean - half, mean + half


def share_interval(wins: Array, n: int, level: float = LEVEL) -> tuple[Array, Array]:
    """Return bounds of the chance to win from the number of wins in n trials, a tie as half a win.

    They are those of Clopper and Pearson (1934): they cover at least the level for independent trials, and more than
    it where there are ties or where trials have chances of their own, as on several tasks.
    """
    if n == 0:
        return np.full(np.shape(wins), np.nan), np.full(np.shape(wins), np.nan)
    tail, lost = (1 - level) / 2, n - np.asarray(wins)
    with np.errstate(invalid="ignore"):  # the two ends, replaced at once
        low = np.where(np.equal(wins, 0), 0.0, stats.beta.ppf(tail, wins, lost + 1))
        high = np.where(lost == 0, 1.0, stats.beta.ppf(1 - tail, np.add(wins, 1), lost))
    return low, high


def median_interval(values: Array, level: float = LEVEL) -> tuple[Array, Array]:
    """Return bounds of the median down the columns, (n, m) -> two of (m,); +inf is a value like others.

    They are expanded percentiles of the bootstrap. A resampled column is as good as its ranks among the sorted
    values, so one draw of ranks serves all columns. See `median_level` for what few values allow.
    """
    n, ordered = len(values), np.sort(values, axis=0)
    if n < 2:
        return np.full(values.shape[1], np.nan), np.full(values.shape[1], np.nan)
    ranks = np.sort(np.random.default_rng(0).integers(n, size=(RESAMPLES, n)), axis=1)
    middle = (ordered[ranks[:, (n - 1) // 2]] + ordered[ranks[:, n // 2]]) / 2
    low, high = np.quantile(middle, _shares(n, level), axis=0, method="inverted_cdf")
    return low, high


def median_level(n: int, level: float = LEVEL) -> float:
    """Return the level that `median_interval` can reach with n values: all of them leave out the median at 2^(1-n)."""
    return min(level, 1 - 2.0 ** (1 - n))


def bootstrap_interval(statistic: Callable[[Array], Array], values: Array, level: float = LEVEL) -> tuple[float, float]:
    """Return expanded percentile bounds of a statistic of rows that are drawn with replacement.

    `values` is (n, k), `statistic` maps (resamples, n, k) to (resamples,) and may return +inf, which
    scipy.stats.bootstrap does not take: no bound is interpolated.
    """
    n = len(values)
    if n < 2:
        return np.nan, np.nan
    drawn = values[np.random.default_rng(0).integers(n, size=(RESAMPLES, n))]
    low, high = np.quantile(statistic(drawn), _shares(n, level), method="inverted_cdf")
    return float(low), float(high)


def _shares(n: int, level: float) -> Array:
    """Return the two percentiles to read, further out the fewer the values: plain ones are too narrow for few.

    The correction makes the interval of a mean as wide as Student's: Hesterberg (2015), "expanded percentile".
    """
    out = np.sqrt(n / (n - 1)) * stats.t.ppf((1 + level) / 2, n - 1)
    shares: Array = stats.norm.cdf(np.array([-out, out]))
    return shares
