"""The verdict tables of one task: every method against the one of the best mean, and every pair."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from dfo_bench.report.format import MISSING, precision
from dfo_bench.report.page.tables import Cell, Table
from dfo_bench.report.scores import higher_is_better
from dfo_bench.report.stats.comparisons import differences
from dfo_bench.report.stats.rows import RowHits


def tabulate_verdicts(
    by_metric: dict[str, pd.DataFrame], names: dict[str, str], hits: RowHits | None = None
) -> list[Table]:
    """Tabulate the verdicts on one task: first against the best mean of each metric, then all pairs.

    `by_metric` maps metrics to what `scores.scores` returns of the task, `names` to their names on the page. Metrics
    of which fewer than two methods have a score are left out; so is a table without one. `hits` is what the runs
    predict, where it is kept.
    """
    known = {metric: frame for metric, frame in by_metric.items() if frame["method"].nunique() > 1}
    if not known:
        return []
    pairs = {metric: differences(frame, metric, hits=hits) for metric, frame in known.items()}
    against = {names[metric]: _against_best(frame, pairs[metric], metric) for metric, frame in known.items()}
    methods = list(dict.fromkeys(method for column in against.values() for method in column))
    rows = [[Cell(method), *(column.get(method, Cell(MISSING)) for column in against.values())] for method in methods]
    columns = ["optimizer · projection", *(f"in {name}" for name in against)]
    note = (
        "By how much it is behind the best mean, with the 95 % interval over paired seeds, of accuracies also over "
        "rows, for this comparison alone."
    )
    best = Table("Verdicts", columns, rows, [[method] for method in methods], note=note, of_words=True)
    return [best, *(_all_pairs(frame, names[metric]) for metric, frame in pairs.items())]


def _against_best(scored: pd.DataFrame, pairs: pd.DataFrame, metric: str) -> dict[str, Cell]:
    """Return each method's verdict against the best mean, the best first."""
    means = scored.groupby("method")["score"].mean().replace([np.inf, -np.inf], np.nan).dropna()
    ordered = list(means.sort_values(ascending=not higher_is_better(metric), kind="stable").index)
    if not ordered:
        return {}
    best = ordered[0]
    number = precision([pairs["advantage"].abs().max()])
    cells = {str(best): Cell("the best mean", 0.0)}
    for row in pairs[(pairs["first"] == best) | (pairs["second"] == best)].to_dict("records"):
        other = row["second"] if row["first"] == best else row["first"]
        turned = 1 if row["first"] == best else -1
        behind, low, high = (turned * row[bound] for bound in ("advantage", "low", "high"))
        cells[other] = Cell(row["words"], behind, _interval(behind, min(low, high), max(low, high), number))
    return {str(method): cells[method] for method in [*ordered, *(c for c in cells if c not in ordered)]}


def _all_pairs(pairs: pd.DataFrame, name: str) -> Table:
    number = precision([pairs["advantage"].abs().max()])
    kept = pairs.to_dict("records")
    rows = [
        [
            Cell(row["first"]),
            Cell(row["second"]),
            *(Cell(number(row[bound]), row[bound]) for bound in ("advantage", "low", "high")),
            Cell(str(row["n"]), row["n"]),
            Cell(row["words"]),
        ]
        for row in kept
    ]
    columns = ["first", "second", "first better by", "at least", "at most", "seeds in common", "verdict"]
    groups = [[row["first"], row["second"]] for row in kept]
    return Table(f"All pairs, in {name}", columns, rows, groups, folded=True, of_words=True)


def _interval(behind: float, low: float, high: float, number: Callable[[float], str]) -> str:
    if not np.isfinite(behind):
        return ""
    return f"{number(behind)} ({number(low)} to {number(high)})" if np.isfinite(low) else number(behind)
