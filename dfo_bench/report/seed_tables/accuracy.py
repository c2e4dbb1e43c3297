"""The first table: the score on test of every method on every task, and its mean over tasks."""

import math
from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd

from dfo_bench.report.format import MISSING, spread
from dfo_bench.report.page.tables import Cell
from dfo_bench.report.seed_tables.methods import GROUPS, group_of, ordered, setting, task_of
from dfo_bench.report.seed_tables.published import METHODS, MODEL, TASKS
from dfo_bench.report.seed_tables.sheet import Sheet

BIAS = " + bias"
"""What the name of a method ends in where its scores are those after a class bias."""

ACCURACY = ["column", "method", "sees", "group", "baseline", "mean", "sd", "n"]


def accuracy(named: pd.DataFrame) -> pd.DataFrame:
    """Return a row per column and method, with the columns ACCURACY, from what `name_methods` returns.

    `mean` and `sd` are of shares of 1, over the `n` runs that have a score. A method whose runs were scored after a
    class bias, too, is there twice; the bias is fitted on the train outputs, so that it sees these at least. Methods
    are in the order of the tables: baselines first, the plain scores first, then by their mean rank over the columns.
    """
    biased = named[named["biased"].notna()]
    biased = biased.assign(
        method=biased["method"] + BIAS, score=biased["biased"], sees=biased["sees"].replace("losses", "outputs")
    )
    scored = pd.concat([named.assign(plain=True), biased.assign(plain=False)])
    scored["group"] = scored["sees"].map(group_of)
    names = ["column", "method", "sees", "group", "baseline", "plain"]
    table = scored.groupby(names)["score"].agg(mean="mean", sd="std", n="count").reset_index()
    rank = table.groupby("column")["mean"].rank(ascending=False).groupby(table["method"]).mean()
    table = table.assign(rank=table["method"].map(rank))
    return table.sort_values(["plain", "baseline", "rank"], ascending=[False, False, True], kind="stable")[ACCURACY]


def accuracy_sheet(named: pd.DataFrame, *, paper: bool = False) -> Sheet:
    """Return the table; `paper` adds the paper's own figures, in groups of their own."""
    table = accuracy(named)
    columns, most = ordered(table["column"]), int(table["n"].max())
    means = table.pivot(index="method", columns="column", values="mean")[columns]
    whole = means.where(table.pivot(index="method", columns="column", values="n")[columns] == most)
    best, best_average = whole.max(), whole.mean(axis="columns", skipna=False).max()
    groups: dict[str, list[list[Cell]]] = {group: [] for group in GROUPS}
    for method in table["method"].unique():
        rows = {row["column"]: row for row in table[table["method"] == method].to_dict("records")}
        sees, (group,) = ({row[name] for row in rows.values()} for name in ("sees", "group"))
        cells = [_cell(rows[c], most, best[c]) if c in rows else Cell(MISSING) for c in columns]
        cells += [_average(means.loc[method], best_average)] if len(columns) > 1 else []
        groups[group].append([Cell(method), Cell(", ".join(sorted(sees))), *cells])
    groups = {group: members for group, members in groups.items() if members}
    note = _note(named, most)
    if paper:
        theirs = paper_groups(columns)
        groups |= theirs
        note += "" if theirs else f" The paper has no figures for these tasks; its tasks are {', '.join(TASKS)}."
    heads = ["method", "sees", *columns, *(["average"] if len(columns) > 1 else [])]
    return Sheet("Score on test", heads, groups, note)


def paper_groups(columns: list[str]) -> dict[str, list[list[Cell]]]:
    """Return the paper's rows for these columns, by group; the average is that of these columns.

    None where the paper has none of their tasks.
    """
    groups: dict[str, list[list[Cell]]] = {}
    if not any(task_of(column) in TASKS for column in columns):
        return groups
    for method in METHODS:
        scores = [method.score(task_of(column)) for column in columns]
        scores += [float(np.mean(scores))] if len(columns) > 1 else []
        cells = [Cell(percent(share, 2), share) for share in scores]
        group = f"{group_of(method.sees)}, the paper's figures on {MODEL}"
        groups.setdefault(group, []).append([Cell(method.name), Cell(method.sees), *cells])
    return groups


def missing(named: pd.DataFrame) -> list[str]:
    """Name the scores that are not there, on each column of every seed that any method has there.

    Methods that lack the same are named together.
    """
    lacking: dict[str, list[str]] = {}
    for method in sorted(named["method"].unique()):
        own, said = named[named["method"] == method], []
        for column in ordered(named["column"]):
            there = own[own["column"] == column]
            status = dict(zip(there["seed"], there["status"], strict=True))
            seeds = set(named.loc[named["column"] == column, "seed"]) - set(there.loc[there["score"].notna(), "seed"])
            if there.empty:
                said.append(column)
            elif seeds:
                words = [f"{seed} {status[seed]}" if seed in status else str(seed) for seed in sorted(seeds)]
                said.append(f"{column} (seed {', '.join(words)})")
        if said:
            lacking.setdefault(", ".join(said), []).append(method)
    return [f"{', '.join(methods)} on {columns}" for columns, methods in lacking.items()]


def _cell(row: dict[Hashable, Any], most: int, best: float) -> Cell:
    """Write mean and deviation, and the number of seeds where it is not that of most cells."""
    mean, sd, n = row["mean"], row["sd"], row["n"]
    return Cell(
        f"{percent(mean)}{spread(sd, percent)}",
        mean,
        f"n = {n}" if 0 < n < most else "",
        sd,
        best=n == most and mean == best,
    )


def _average(means: pd.Series, best: float) -> Cell:
    """Write the mean over tasks of a method, where it has every task."""
    if means.isna().any():
        return Cell(MISSING, note=f"{means.count()} of {len(means)} tasks")
    mean = float(means.mean())
    return Cell(percent(mean), mean, best=mean == best)


def percent(share: float, decimals: int = 1) -> str:
    """0.8539 -> 85.4; MISSING for nan."""
    return MISSING if math.isnan(share) else f"{100 * share:.{decimals}f}"


def _note(named: pd.DataFrame, most: int) -> str:
    """Say what the table shows, and what is missing in it."""
    f1 = ordered(named.loc[named["metric"] == "f1", "column"])
    same, lacking = setting(named), missing(named)
    sentences = [
        f"Accuracy in %{', F1 on ' + ', '.join(f1) if f1 else ''}, of the point that dev selects",
        f"; {same}" if same else "",
        f"; mean ± standard deviation over {most} seeds" if most > 1 else "; one seed",
        ". An average is there where a method has every task" if named["column"].nunique() > 1 else "",
        "; in bold the best means of all seeds.",
        " A row + bias is scored after a class bias, fitted on the train outputs of the same point: no further call."
        if named["biased"].notna().any()
        else "",
        f" Missing: {'; '.join(lacking)}." if lacking else "",
    ]
    return "".join(sentences)
