"""The standings: mean scores per method and task, and which methods cannot be told from the best; a paper's table."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from dfo_bench.errors import InputError
from dfo_bench.report.format import MISSING, precision, spread
from dfo_bench.report.markup import OPEN, escape_latex, escape_markdown, latex_row, latex_table, markdown_table
from dfo_bench.report.rules import STANDARD, Rules
from dfo_bench.report.scores import higher_is_better, scores
from dfo_bench.report.stats.comparisons import differences
from dfo_bench.report.stats.rows import RowHits

STANDINGS = ["task", "method", "mean", "sd", "n", "of", "best", "open"]


def standings(
    runs: pd.DataFrame, curves: pd.DataFrame, rules: Rules = STANDARD, hits: RowHits | None = None
) -> pd.DataFrame:
    """Return a row per task and method, with the columns STANDINGS; `hits` is what runs predict, where it is kept.

    `n` of the `of` runs that count have a score; mean and deviation are over them. `best` is the method of the best
    mean among those whose runs all have one; `open` are the others that the verdict of paired differences does not
    call worse than it, see `verdict.judge`. A task's rows are sorted, the best first. Raises InputError where no run
    has a score.
    """
    scored = scores(runs, curves, metric=rules.metric, budget=rules.budget, counting=rules.counting)
    finite = scored["score"].where(np.isfinite(scored["score"]))
    if finite.isna().all():
        raise InputError(f"nothing to show: none of the {len(scored)} runs that count has a {rules.name}")
    names = [scored["task"], scored["method"]]
    table = finite.groupby(names).agg(mean="mean", sd="std", n="count").reset_index()
    table["of"] = scored.groupby(names).size().to_numpy()
    parts = [_ranked(_marked(members, scored, rules, hits), rules) for _, members in table.groupby("task", sort=True)]
    return pd.concat(parts, ignore_index=True)[STANDINGS]


def _marked(table: pd.DataFrame, scored: pd.DataFrame, rules: Rules, hits: RowHits | None) -> pd.DataFrame:
    """Say of a task's methods which is the best, and which are open."""
    whole = table.loc[(table["n"] == table["of"]) & (table["n"] > 0)].set_index("method")["mean"]
    if whole.empty:
        return table.assign(best=False, open=False)
    best = str(whole.idxmax() if higher_is_better(rules.metric) else whole.idxmin())
    own = scored[scored["task"] == table["task"].iloc[0]]
    return table.assign(best=table["method"] == best, open=_open(own, best, table["method"], rules, hits))


def _ranked(table: pd.DataFrame, rules: Rules) -> pd.DataFrame:
    return table.sort_values(["best", "mean"], ascending=[False, not higher_is_better(rules.metric)], kind="stable")


def _open(scored: pd.DataFrame, best: str, methods: pd.Series, rules: Rules, hits: RowHits | None) -> list[bool]:
    """Say of each method of a task whether the best is not surely better."""
    marks = []
    for method in methods:
        pair = scored[scored["method"].isin([best, method])]
        found = differences(pair, rules.metric, margin=rules.margin, hits=hits) if method != best else None
        outcomes = [] if found is None else found["outcome"].to_list()
        better = "first" if best < method else "second"
        marks.append(method != best and outcomes != [better])
    return marks


def note(rules: Rules, table: pd.DataFrame) -> str:
    """Say what the table shows, below or above it."""
    at = f" within {rules.budget:,} evaluations" if rules.budget else ""
    return (
        f"{rules.name}{at}, mean ± standard deviation over {_runs(table)}; in bold the best, {OPEN} what the paired "
        f"95% interval does not tell from it or shows within {100 * rules.margin:.3g}% of it; {rules.counting.words}"
    )


def cells(table: pd.DataFrame) -> pd.DataFrame:
    """Write each cell as text, methods x tasks, the best mean rank first; tasks have a precision each."""
    written = {}
    for task, members in table.groupby("task", sort=True):
        number = precision(members["mean"], members["sd"])
        full = int(members["of"].max())
        written[task] = pd.Series([_cell(row, number, full) for row in members.itertuples()], members["method"])
    return pd.DataFrame(written).reindex(order(table)).fillna(MISSING)


def order(table: pd.DataFrame) -> list[str]:
    """Return the methods, those of the best mean rank over tasks first."""
    rank = table.assign(rank=table.groupby("task").cumcount()).groupby("method")["rank"].mean()
    return list(rank.sort_values(kind="stable").index)


def to_markdown(table: pd.DataFrame, rules: Rules) -> str:
    """Return the table as GitHub reads it."""
    shown = cells(table)
    rows = []
    for method, row in shown.iterrows():
        best = [_best(table, str(task), str(method)) for task in shown]
        rows.append([escape_markdown(str(method)), *(f"**{t}**" if b else t for t, b in zip(row, best, strict=True))])
    head = ["method", *map(escape_markdown, shown.columns)]
    return markdown_table(head, rows, f"{escape_markdown(note(rules, table))}.")


def to_latex(table: pd.DataFrame, rules: Rules) -> str:
    """Return a `tabular` of booktabs in a `table`."""
    shown = cells(table)
    lines = []
    for method, row in shown.iterrows():
        texts = [escape_latex(text) for text in row]
        best = [_best(table, str(task), str(method)) for task in shown]
        marked = (rf"\textbf{{{t}}}" if b else t for t, b in zip(texts, best, strict=True))
        lines.append(latex_row([escape_latex(str(method)), *marked]))
    head = ["method", *(escape_latex(str(task)) for task in shown)]
    return latex_table(head, lines, f"{escape_latex(note(rules, table))}.")


def to_csv(table: pd.DataFrame, rules: Rules) -> str:
    """Return the rows of `standings` with all their digits, and the metric."""
    return str(table.assign(metric=rules.metric)[["metric", *STANDINGS]].to_csv(index=False))


WRITERS: dict[str, Callable[[pd.DataFrame, Rules], str]] = {"tex": to_latex, "md": to_markdown, "csv": to_csv}
"""What writes a table as text, by the suffix of its file."""


def _best(table: pd.DataFrame, task: str, method: str) -> bool:
    return bool(table.loc[(table["task"] == task) & (table["method"] == method), "best"].any())


def _cell(row: Any, number: Callable[[float], str], full: int) -> str:
    """Write mean, deviation, how many runs have a score where not all do, and the mark."""
    few = "" if row.n == row.of == full else f" ({row.n} of {row.of})"
    return f"{number(row.mean)}{spread(row.sd, number)}{few}{' ' + OPEN if row.open else ''}"


def _runs(table: pd.DataFrame) -> str:
    few, many = int(table["of"].min()), int(table["of"].max())
    return f"{few} to {many} runs" if few != many else f"{many} run{'s' * (many > 1)}"
