"""The verdict on two methods in words: one better, a tie, or undecided and how many more seeds would settle it."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from dfo_bench.core import Array
from dfo_bench.report.stats.intervals import LEVEL, mean_interval, share_interval

POWER = 0.8
"""With this probability the number of seeds that is asked for settles it."""

FEWEST = 3
"""Below this number of seeds a standard deviation says too little: that of two is 0.03 to 2.2 times the true one."""

MOST = 1000
"""Above this number of seeds nobody would try."""

Outcome = Literal["first", "second", "tie", "undecided", "incomparable"]


@dataclass(frozen=True)
class Verdict:
    """What n pairs of runs say of two methods.

    `advantage` is by how much the first is better on average, between `low` and `high`, in the metric's units,
    over the pairs of which both runs have a loss; `lossless` counts the others. `more` is the number of further
    seeds that would settle it where it is undecided; None where no number below MOST would, or the spread of fewer than
    FEWEST seeds says too little.
    """

    outcome: Outcome
    advantage: float
    low: float
    high: float
    n: int
    lossless: int
    margin: float
    more: int | None
    rows: bool = False
    """Whether more seeds would settle nothing: the rows are too few."""

    def words(self, first: str, second: str) -> str:
        """Say it: "cma better", "tie", "undecided: about 4 more seeds would settle it"."""
        if self.outcome in ("first", "second"):
            return f"{first if self.outcome == 'first' else second} better{' on one seed' if self.n == 1 else ''}"
        if self.outcome == "tie":
            return "tie"
        if self.outcome == "incomparable":
            return "no seed in common"
        if self.lossless:
            return "undecided: runs without a loss allow no mean, and the wins alone do not settle it"
        if self.rows:
            return "undecided: the rows are too few for a difference this small"
        if self.n == 1:
            return "undecided: one seed shows no spread"
        if self.n < FEWEST:
            return f"undecided: {self.n} seeds show too little of the spread to say how many more would settle it"
        if self.more is None:
            return f"undecided: not even {MOST:,} seeds would settle a difference this small"
        tie = " as a tie" if abs(self.advantage) < self.margin else ""
        return f"undecided: about {self.more} more seed{'s' * (self.more > 1)} would settle it{tie}"


def judge(better: Array, margin: float, rows: float = np.nan) -> Verdict:
    """Judge by how much the first of two methods was better in each block, nan where it cannot be said: (n,).

    `rows` is half the width that the rows give to the interval (`rows.rows_half`), nan where scores have none: of a
    single block there is no interval then.

    A tie is a mean that is surely within the margin, at the level of the interval; better is one whose interval
    leaves out 0. Where a run has no loss, `better` is infinite, and the exact interval of the share of wins decides.
    Intervals are for one comparison each: they are not adjusted for the number of comparisons that a page makes.
    """
    pairs = better[~np.isnan(better)]
    finite = pairs[np.isfinite(pairs)]
    lossless = len(better) - len(finite)
    advantage, low, high = (float(bound[0]) for bound in mean_interval(finite[:, None]))
    too_few = False
    if not np.isnan(rows):
        half = np.hypot(0.0 if len(finite) == 1 else high - advantage, rows)
        low, high, too_few = advantage - half, advantage + half, rows >= abs(advantage)
    outcome: Outcome = "undecided"
    more = None
    if not len(better):
        outcome = "incomparable"
    elif lossless:
        wins = (better > 0).sum() + np.isnan(better).sum() / 2 + (better == 0).sum() / 2
        at_least, at_most = share_interval(wins, len(better))
        outcome = "first" if at_least > 0.5 else "second" if at_most < 0.5 else "undecided"
    elif low >= -margin and high <= margin:
        outcome = "tie"
    elif low > 0 or high < 0:
        outcome = "first" if low > 0 else "second"
    elif len(finite) >= FEWEST and not too_few:
        needed = seeds_needed(advantage, float(finite.std(ddof=1)), margin)
        more = max(1, needed - len(finite)) if needed else None
    return Verdict(outcome, advantage, low, high, len(better), lossless, margin, more, bool(too_few))


def seeds_needed(mean: float, sd: float, margin: float) -> int | None:
    """Return the least number of seeds that settles a difference as large and as scattered as the one seen.

    It is settled when the paired t test finds it (power by the noncentral t distribution) or, within the margin, when
    two one-sided tests do (power by their normal approximation); None above MOST seeds.
    """
    n = np.arange(2, MOST + 1)
    critical = stats.t.ppf((1 + LEVEL) / 2, n - 1)
    root = np.sqrt(n) / sd
    power = stats.nct.sf(critical, n - 1, abs(mean) * root)
    tie = stats.norm.cdf((margin - abs(mean)) * root - critical) - stats.norm.cdf(
        critical - (margin + abs(mean)) * root
    )
    enough = np.flatnonzero(np.maximum(power, tie) >= POWER)
    return int(n[enough[0]]) if len(enough) else None
