"""The uncertainty that scores have of the rows they were scored on, beside that of the seeds.

Rows and seeds are crossed: a score is for rows like these and for seeds like these. The two parts of an interval are
independent, so their half widths add up as squares (Zou and Donner 2008). That of the seeds is Student's, that of the
rows is normal: as wide as a bootstrap over seeds and rows, but right for two seeds, too.

F1 = 2 t / (f + w), of the rows found, wanted, and both, is 2 s / (1 + s) of the share s = t / (f + w - t) of the rows
that are found or wanted. So its interval is that of a share, and differences are of what each row adds to it in the
first order (the delta method).
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache

import numpy as np
import pandas as pd
from scipy import stats

from dfo_bench.core import Array
from dfo_bench.predicted import unpack
from dfo_bench.report.stats.intervals import LEVEL

NORMAL = float(stats.norm.ppf((1 + LEVEL) / 2))

SHARES = ("accuracy", "calibrated_accuracy", "plain_accuracy")
"""The metrics that are shares of rows."""


def score_half(metric: str, scores: Mapping[str, float], sd: float, seeds: int, rows: float) -> float:
    """Return half the width of the interval of a mean of `metric` on `rows` rows over `seeds` seeds, of deviation `sd`.

    `scores` are the means of the metrics by name: how many rows are found or wanted follows from F1 and accuracy. nan
    where it cannot be said: the metric is neither of the two, an F1 is 1, or the number of rows is not known.
    """
    if metric in SHARES:
        return share_half(scores[metric], sd, seeds, rows)
    accuracy, f1 = metric.replace("f1", "accuracy"), scores.get(metric, np.nan)
    if metric == accuracy or accuracy not in SHARES or not (f1 < 1 and rows > 0):
        return np.nan
    share = f1 / (2 - f1)
    counted = (1 - scores[accuracy]) * rows / (1 - share)
    half = share_half(share, sd * (1 + share) ** 2 / 2, seeds, counted)
    ends = np.clip(_near(share, counted) + np.array([-half, half]), 0, 1)
    # Around F1 itself, as wide as the side that reaches farther: beside 0 and 1 the share's interval is not even.
    return float(abs(2 * ends / (1 + ends) - f1).max())


def share_half(share: float, sd: float, seeds: int, rows: float) -> float:
    """Return half the width of the interval of a mean share of `rows` rows over `seeds` seeds, of deviation `sd`.

    The rows have two hits and two misses more, as of Agresti and Coull (1998), so that no share is certain. Where the
    seeds predict different rows rightly the interval is wider than it need be. nan for no rows.
    """
    if not rows > 0:
        return np.nan
    near = _near(share, rows)
    of_rows = NORMAL * np.sqrt(near * (1 - near) / (rows + 4))
    of_seeds = stats.t.ppf((1 + LEVEL) / 2, seeds - 1) * sd / np.sqrt(seeds) if seeds > 1 else 0.0
    return float(np.hypot(of_rows, of_seeds))


def _near(share: float, rows: float) -> float:
    return (share * rows + 2) / (rows + 4)


def rows_half(better: Sequence[Array], *, same: bool, exact: bool = True) -> float:
    """Return half the width that the rows give to the interval of a mean difference, of one array per seed.

    Each array holds, per row, by how much the first of two methods is better there. With the `same` rows for all
    seeds, the part that the seeds' own deviation holds already is left out (the interaction in a two-way analysis of
    variance). There are two rows more, one half of each for either method (Agresti and Min 2005).
    `exact`: all are 1, 0 or -1, and the interval of one seed holds 0 wherever the exact test of McNemar cannot tell the
    two apart.
    """
    seeds = len(better)
    if not same:
        return float(np.sqrt(sum(_spread(one) ** 2 for one in better)) / seeds)
    found = np.asarray(better)
    half = _spread(found.mean(axis=0))
    if seeds == 1:
        undecided = exact and mcnemar(found[0]) >= 1 - LEVEL
        return max(half, abs(float(found.mean()))) if undecided else half
    rows = found.shape[1]
    rest = found - found.mean(axis=0) - found.mean(axis=1, keepdims=True) + found.mean()
    own = (rest**2).sum() / ((seeds - 1) * max(rows - 1, 1)) / (seeds * rows)
    return float(np.sqrt(max(half**2 - NORMAL**2 * own, 0.0)))


def mcnemar(better: Array) -> float:
    """Return the exact two-sided p of McNemar (1947): only rows count on which just one of two methods is right."""
    won, lost = int((better > 0).sum()), int((better < 0).sum())
    return float(stats.binomtest(won, won + lost).pvalue) if won + lost else 1.0


def _spread(better: Array) -> float:
    """Return half the width of the interval of a mean over rows, two rows more included."""
    rows = len(better) + 2
    variance = ((better**2).sum() + 1) / rows - (better.sum() / rows) ** 2
    return NORMAL * float(np.sqrt(variance / rows))


class RowHits:
    """Which rows each run predicts rightly: what `store.predictions()` holds."""

    def __init__(self, predictions: pd.DataFrame) -> None:
        names = zip(predictions["key"], predictions["split"] + "_" + predictions["metric"], strict=True)
        packed = zip(predictions["rows"], predictions["truth"], predictions["predicted"], strict=True)
        self._packed = dict(zip(names, packed, strict=True))

    def half(self, pairs: Iterable[tuple[str, str]], score: str) -> float:
        """Return `rows_half` of pairs of runs, the two of each seed, in a score such as "test_accuracy".

        nan where it cannot be said: the score is neither accuracy nor F1, or one of the runs has not kept what it
        predicted, or predicted other rows than the other.
        """
        better, digests = [], set()
        exact = not score.endswith("f1")
        by_row = _hits if exact else _parts_of_f1
        for one, other in pairs:
            if (one, score) not in self._packed or (other, score) not in self._packed:
                return np.nan
            (rows, *first), (others, *second) = self._packed[one, score], self._packed[other, score]
            if rows != others:
                return np.nan
            digests.add(rows)
            better.append(by_row(*first) - by_row(*second))
        return rows_half(better, same=len(digests) == 1, exact=exact) if better else np.nan


@cache
def _hits(truth: str, predicted: str) -> Array:
    return (unpack(truth) == unpack(predicted)).astype(float)


@cache
def _parts_of_f1(truth: str, predicted: str) -> Array:
    """Return numbers whose mean is F1 and whose deviation is that of it: what each row adds, in the first order."""
    wanted, found = unpack(truth), unpack(predicted)
    size = (wanted + found).mean()
    if not size:
        return np.zeros(len(wanted))
    f1 = 2 * (wanted * found).mean() / size
    parts: Array = f1 + (2 * wanted * found - f1 * (wanted + found)) / size
    return parts
