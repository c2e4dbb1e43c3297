"""The tests by which a figure is judged, each at a level of 1 %: of ten true figures, one is missed in ten tables."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from dfo_bench.validate import Row

LEVEL = 0.01


def same_mean(what: str, published: float, error: float, count: int, ours: Sequence[float], note: str = "") -> Row:
    """Compare two means by Welch's t test; the published one has a standard error and `count` runs behind it."""
    mean, own = float(np.mean(ours)), float(stats.sem(ours))
    both = np.hypot(error, own)
    freedom = both**4 / (error**4 / (count - 1) + own**4 / (len(ours) - 1))  # Welch and Satterthwaite's
    tolerance = float(stats.t.ppf(1 - LEVEL / 2, freedom) * both)
    difference = abs(mean - published)
    test = f"Welch's t test at {LEVEL:.0%} against {count} runs{note and '; '}{note}"
    return Row(what, published, mean, difference, tolerance, difference <= tolerance, test, len(ours), (error, own))


def same_share(what: str, published: float, ours: float, count: int, rounding: float) -> Row:
    """Compare two shares, of as many draws each, by their binomial error; the published one is rounded."""
    error = float((published * (1 - published) / count) ** 0.5)
    tolerance = rounding + float(stats.norm.ppf(1 - LEVEL / 2)) * 2**0.5 * error
    difference = abs(ours - published)
    test = f"z test of two shares at {LEVEL:.0%}, and half a unit of the last digit printed"
    return Row(what, published, ours, difference, tolerance, difference <= tolerance, test, count, (None, error))


def share_seen(what: str, seen: int, runs: int, ours: float, count: int) -> Row:
    """Judge `seen` of a few published runs by our share; the tolerance is that of the exact binomial test."""
    published = seen / runs
    allowed = [k / runs for k in range(runs + 1) if stats.binomtest(k, runs, ours).pvalue > LEVEL]
    tolerance = ours - min(allowed) if published < ours else max(allowed) - ours
    test = f"binomial test of {seen} of {runs} runs at {LEVEL:.0%}"
    return Row(what, published, ours, abs(ours - published), tolerance, published in allowed, test, count)


def below(what: str, bound: float, ours: float, count: int, error: float | None = None, note: str = "") -> Row:
    """Hold a figure to a bound; the difference is how far it is above."""
    test = f"must be below{note and '; '}{note}"
    return Row(what, bound, ours, max(0.0, ours - bound), 0.0, ours < bound, test, count, (None, error))


def same_distribution(what: str, reference: Sequence[float], ours: Sequence[float]) -> Row:
    """Compare two samples by Mann and Whitney's test: `published` is the least p, ours the one found."""
    p = float(stats.mannwhitneyu(reference, ours).pvalue)
    test = f"Mann-Whitney test: p must be above {LEVEL}; medians {np.median(ours):.2g} and {np.median(reference):.2g}"
    return Row(what, LEVEL, p, max(0.0, LEVEL - p), 0.0, p > LEVEL, test, len(ours))
