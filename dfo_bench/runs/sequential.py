"""A comparison that may be looked at after every seed: a confidence sequence of the mean of paired differences.

An interval of the t test holds its level for one look. Who looks after every seed, and stops when it leaves out 0,
is wrong far more often. The intervals here hold the mean after 2, 3, 4... seeds *all at once*, with probability
1 - error, so they may be looked at as often as one likes, and the seeds need no end that is fixed beforehand. They are
those of the Gaussian mixture of Wang and Ramdas (2025), "Anytime-valid t-tests and confidence sequences for Gaussian
means with unknown variance", arXiv:2310.03722: the t test's likelihood ratio, which does not know the scale, averaged
over effects of N(0, SPREAD), is a martingale of mean 1 where the mean is 0, and by Ville's inequality exceeds 1 / error
at any time with probability error at most. Unlike the sequences of Howard et al. (2021) for bounded or asymptotic means
it is exact for few values without bounds; unlike alpha spending it fixes no last look. As in the t test, differences
are taken to be normal.
"""

from itertools import count
from typing import Any

import numpy as np

from dfo_bench.core import Array

ERROR = 0.05
"""The probability that anything wrong is ever said of the methods of one task."""

SPREAD = 2.0
"""The variance of the effects, in deviations of a difference, for which the test is made.

Between 1 and 4 the seeds that it takes hardly change; large effects, of which there are many, want it large.
"""


def bounds(differences: Array, error: float) -> tuple[Array, Array]:
    """Return the bounds of the mean after the first 1, 2, ... differences: both (..., n), as `differences`.

    Each is the narrowest so far: what held once, holds.
    """
    n = np.arange(1, differences.shape[-1] + 1)
    start = differences[..., :1]
    shifted = differences - start  # a mean far from 0 must not cost the deviation its digits
    mean = shifted.cumsum(axis=-1) / n
    variance = ((shifted**2).cumsum(axis=-1) - n * mean**2).clip(0) / np.maximum(n - 1, 1)
    half = np.where(_enough(n, error), np.sqrt(variance) * _factors(n, error), np.inf)
    low = np.maximum.accumulate(start + mean - half, axis=-1)
    high = np.minimum.accumulate(start + mean + half, axis=-1)
    return low, high


def decide(differences: Array, margins: Array, error: float) -> tuple[Array, Array]:
    """Return the outcome of comparisons and the number of differences after which each is known: both (...).

    `differences`, (..., n), are by how much the first is better; `margins`, of that shape, within how much a mean is a
    tie by then, 0 for never. An outcome is 1 where the first is better, -1 where the second is, 0 for a tie, and nan
    where n differences do not decide.
    """
    low, high = bounds(differences, error)
    ties = (margins > 0) & (low >= -margins) & (high <= margins)
    outcomes = np.select([ties, low > 0, high < 0], [0.0, 1.0, -1.0], np.nan)
    known = ~np.isnan(outcomes)
    first = np.where(known.any(axis=-1), known.argmax(axis=-1), differences.shape[-1] - 1)
    return np.take_along_axis(outcomes, first[..., None], axis=-1)[..., 0], first + 1


def fewest(error: float) -> int:
    """Return the least number of differences that can decide anything, however large they are."""
    return next(n for n in count(1) if _enough(np.array(n), error))


def _enough(n: Any, error: float) -> Any:
    return (n - 1) / 2 * np.log1p(n * SPREAD) > -np.log(error)


def _factors(n: Array, error: float) -> Array:
    """Return by how many deviations the mean may be off: where the likelihood ratio is 1 / error."""
    widened = 1 + n * SPREAD
    ratio = (np.sqrt(widened) / error) ** (2 / n)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.sqrt((ratio - 1) / (1 - ratio / widened) * (n - 1) / n)
