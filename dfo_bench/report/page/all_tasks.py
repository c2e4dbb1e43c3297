"""The comparison over all tasks: ranks, wins, run times, scores on one scale, and the sources of the scatter.

What the runs do not allow is said in a sentence in its place.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from dfo_bench.errors import InputError
from dfo_bench.report.counting import Counting
from dfo_bench.report.format import MISSING, percent
from dfo_bench.report.page.panels import Panel, pack
from dfo_bench.report.page.tables import Cell, Table
from dfo_bench.report.rules import STANDARD
from dfo_bench.report.stats.comparisons import win_matrix
from dfo_bench.report.stats.ranks import Friedman, friedman, ranks_over_budget
from dfo_bench.report.stats.scale import normalise
from dfo_bench.report.stats.speedup import mean_speedups, speedups, tabulate
from dfo_bench.report.stats.targets import hits, run_time_ecdf
from dfo_bench.report.stats.variance import variance_split
from dfo_bench.runs.defaults import MARGIN

ALPHA = 0.05


@dataclass
class Comparison:
    """The section: its first sentences, figures and tables, and why others are not there."""

    sentences: list[str] = field(default_factory=list)
    panels: list[Panel] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def compare_methods(
    runs: pd.DataFrame,
    curves: pd.DataFrame,
    by_metric: dict[str, pd.DataFrame],
    names: dict[str, str],
    counting: Counting,
) -> Comparison:
    """Compare the methods over all tasks; `by_metric` maps metrics to their scores, `names` to their names on the page.

    Never raises: what cannot be computed is named in `missing`, with the reason.
    """
    section = Comparison()

    def attempt(what: str, build: Callable[..., None], *given: Any) -> None:
        try:
            build(section, *given)
        except InputError as error:
            section.missing.append(f"{what}: {error}.")

    tests: dict[str, Friedman] = {}
    for metric, frame in by_metric.items():
        attempt(f"Ranks in {names[metric]}", _test, frame, metric, names[metric], tests)
    if tests:
        section.tables.append(_rank_table(tests))
    attempt("Ranks over the budget", _rank_panel, runs, curves, counting)
    attempt("Targets hit", _target_panel, runs, curves, counting)
    attempt(f"Calls to the losses of {STANDARD.reference}", _speedups, runs, curves, counting)
    for metric, frame in by_metric.items():
        attempt(f"Wins in {names[metric]}", _wins, frame, metric, names[metric])
    attempt("One scale", _one_scale, runs, curves, counting)
    if "loss" in by_metric:
        attempt("Where the scatter comes from", _scatter, by_metric["loss"], runs)
    return section


def _test(section: Comparison, scored: pd.DataFrame, metric: str, name: str, tests: dict[str, Friedman]) -> None:
    test = tests[name] = friedman(scored, metric)
    p = "p below 0.001" if test.p < 0.001 else f"p = {test.p:.3f}"
    says = "differ" if test.p < ALPHA else "cannot be told apart"
    left_out = f"; {test.left_out} without a score of every method are left out" if test.left_out else ""
    section.sentences.append(
        f"In {name} the methods {says}, by Friedman's test of their ranks in {test.n} blocks of task and seed ({p})"
        f"{left_out}."
    )


def _rank_table(tests: dict[str, Friedman]) -> Table:
    columns = ["optimizer · projection"]
    rows: dict[str, list[Cell]] = {}
    for name, test in tests.items():
        columns += [f"rank in {name}", "letters"]
        for method, rank in test.ranks.items():
            letters = "".join(_letter(i) for i, group in enumerate(test.groups) if method in group)
            rows.setdefault(method, [Cell(method)]).extend([Cell(f"{rank:.2f}", rank), Cell(letters or MISSING)])
    # Every method has every rank or is in no table: scores of a metric that some methods lack have no common blocks.
    whole = {method: cells for method, cells in rows.items() if len(cells) == len(columns)}
    apart = ", ".join(f"{test.critical:.2f} in {name}" for name, test in tests.items())
    note = f"Methods that share a letter cannot be told apart: their ranks differ by less than Nemenyi's {apart}."
    return Table("Mean ranks, 1 is best", columns, list(whole.values()), [[m] for m in whole], note=note)


def _letter(index: int) -> str:
    return chr(ord("a") + index) if index < 26 else f"({index + 1})"


def _rank_panel(section: Comparison, runs: pd.DataFrame, curves: pd.DataFrame, counting: Counting) -> None:
    ranks = ranks_over_budget(runs, curves, counting=counting).rename(columns={"rank": "middle"})
    axis = {"name": "share of the budget, %", "unit": "%"}
    data = _lines(ranks, 100 * ranks["share"], "mean rank", axis, "mean over {n} blocks")
    title = "Rank in loss over the budget, 1 is best"
    section.panels.append(Panel(title, "mean rank", {**data, "reversed": True}))


def _target_panel(section: Comparison, runs: pd.DataFrame, curves: pd.DataFrame, counting: Counting) -> None:
    shares = run_time_ecdf(hits(runs, curves, counting=counting)).rename(columns={"share": "middle"})
    axis = {"name": "calls", "unit": "calls"}
    data = _lines(shares, shares["evaluations"], "share of targets", axis, "mean over {n} runs")
    section.panels.append(Panel("Targets hit by then, of all tasks", "share of targets", data))


def _speedups(section: Comparison, runs: pd.DataFrame, curves: pd.DataFrame, counting: Counting) -> None:
    means = mean_speedups(speedups(runs, curves, counting=counting))
    reference = STANDARD.reference
    axis = {"name": f"share of {reference}'s budget, %", "unit": "%"}
    lines = means.rename(columns={"ratio": "middle"})
    data = _lines(lines, 100 * means["share"], "times fewer calls", axis, "geometric mean over {n} blocks")
    title = f"How many times fewer calls reach the loss that {reference} has by then"
    section.panels.append(Panel(title, "times fewer calls", data))
    heads, rows = tabulate(means)
    note = (
        f"Geometric means over tasks and seeds with bootstrap intervals, the worst task, and how often the loss of "
        f"{reference} was reached; where it was not, the ratio is at most 1. Of several runs of {reference} the best "
        "counts."
    )
    names = [[row[0]] for row in rows]
    cells = [[Cell(text) for text in row] for row in rows]
    section.tables.append(Table(f"Times fewer calls to the loss of {reference}", heads, cells, names, note=note))


def _lines(frame: pd.DataFrame, x: pd.Series, value: str, axis: dict[str, str], middle: str) -> dict[str, Any]:
    """Return the numbers of a panel whose axis is its own: a line per method, between the bounds of its mean."""
    groups = {}
    for method, rows in frame.assign(x=x).groupby("method", sort=True):
        kept = rows.iloc[np.unique(np.linspace(0, len(rows) - 1, 160).astype(int))]
        band = {"x": kept["x"], "lower": kept["low"], "median": kept["middle"], "upper": kept["high"]}
        drawn = {name: pack(column) for name, column in band.items()}
        groups[str(method)] = {"n": int(rows["n"].iloc[0]), "bands": {"own": drawn}}
    words = {"middle": middle, "edges": "95 % interval"}
    return {"value": value, "log": False, "axis": axis, "words": words, "groups": groups, "runs": []}


def _wins(section: Comparison, scored: pd.DataFrame, metric: str, name: str) -> None:
    wins = win_matrix(scored, metric)
    share = wins.groupby("first")["estimate"].mean().sort_values(ascending=False, kind="stable")
    methods = [str(method) for method in share.index]
    pairs = wins.to_dict("records")
    cells = {(row["first"], row["second"]): _win(row["estimate"], row["low"], row["high"]) for row in pairs}
    rows = [[Cell(m), *(cells.get((m, other), Cell("")) for other in methods)] for m in methods]
    note = (
        f"The share of blocks in which the row beats the column; what differs by less than {100 * MARGIN:g} % is a "
        "tie, half a win. * An even match is ruled out by the 95 % interval."
    )
    heads = ["optimizer · projection", *methods]
    table = Table(f"Wins in {name}", heads, rows, [[m] for m in methods], heads=["", *methods], note=note)
    section.tables.append(replace(table, folded=metric != "loss"))


def _win(share: float, low: float, high: float) -> Cell:
    if np.isnan(share):
        return Cell(MISSING)
    sure = "*" if low > 0.5 or high < 0.5 else ""
    return Cell(f"{100 * share:.0f} %{sure}", float(share), share=float(share))


def _one_scale(section: Comparison, runs: pd.DataFrame, curves: pd.DataFrame, counting: Counting) -> None:
    scored = normalise(runs, curves, counting=counting)
    table = scored.groupby(["method", "task"])["score"].mean().unstack("task")
    table = table.replace([np.inf, -np.inf], np.nan)
    mean = table.mean(axis="columns").where(table.notna().all(axis="columns"))
    if len(table.columns) > 1:
        table.insert(0, "mean over tasks", mean)
    table = table.loc[mean.sort_values(ascending=False, kind="stable").index]
    rows = [
        [Cell(str(method)), *(Cell(f"{v:z.2f}" if np.isfinite(v) else MISSING, v) for v in values)]
        for method, values in zip(table.index, table.to_numpy(dtype=float), strict=True)
    ]
    heads = ["optimizer · projection", *map(str, table.columns)]
    note = "0 is random search, 1 the best of all methods; means over seeds."
    section.tables.append(Table("Loss on one scale", heads, rows, [[str(m)] for m in table.index], note=note))


def _scatter(section: Comparison, scored: pd.DataFrame, runs: pd.DataFrame) -> None:
    searched = runs[~runs["baseline"]]["optimizer"]
    split = variance_split(scored[scored["optimizer"].isin(searched)])
    table = split.pivot(index="source", columns="task", values="share").reindex(split["source"].unique())
    rows = [
        [Cell(str(source)), *(Cell(percent(v), v, share=v) for v in values)]
        for source, values in zip(table.index, table.to_numpy(dtype=float), strict=True)
    ]
    note = "Shares of the variance of final losses, without baselines, by a mixed analysis of variance."
    section.tables.append(Table("Where the scatter comes from", ["source", *map(str, table.columns)], rows, note=note))
