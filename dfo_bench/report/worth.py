"""Was it worth it? One table per question: what needs no search beside the searches, and what the best of them adds.

A question is a task with its data: its prompt, template, mode, loss and model are how it is answered. Best is what dev
likes best on average, among methods of the same seeds as far as there are; test then says what that is worth.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dfo_bench import errors
from dfo_bench.errors import InputError
from dfo_bench.plugins.component import Component, parse
from dfo_bench.predicted import unpack
from dfo_bench.report.format import MISSING, count, money, precision, seconds, spread, write_seeds
from dfo_bench.report.page.tables import Cell, Table
from dfo_bench.report.seed_tables.accuracy import percent
from dfo_bench.report.seed_tables.methods import OF_METHOD, name_methods
from dfo_bench.report.stats.rows import RowHits, score_half
from dfo_bench.report.stats.verdict import judge
from dfo_bench.runs.columns import MONEY
from dfo_bench.runs.columns import scores as score_columns
from dfo_bench.runs.titles import ANSWER

HEADS = ["method", "test", "dev", "train loss", "calls", "time", "tokens", "money"]
"""What matters first, as a terminal may have no room for the last."""


@dataclass(frozen=True)
class Worth:
    """A question, its table, and the answer in words."""

    task: str
    tasks: frozenset[str]
    """The tasks of the runs that it is about, as the store names them."""
    table: Table
    answer: str


def worth(runs: pd.DataFrame, predictions: pd.DataFrame) -> list[Worth]:
    """Return the table of each question of a store's frames, whose searches and references have scores on test.

    Both `runs` and `predictions` are frames of a store; runs of several versions of the data are told apart already.
    """
    try:
        named = name_methods(runs)
    except InputError:
        return []
    named = named[named["score"].notna()]
    split = {task: _question(task) for task in named["task"].unique()}
    named = named.assign(
        question=[split[task][0] for task in named["task"]], how=[split[task][1] for task in named["task"]]
    )
    found = []
    for question, members in named.groupby("question", sort=True):
        baseline = members["baseline"].astype(bool)
        if baseline.any() and not baseline.all():
            found.append(_answered(str(question), _by_method(members), predictions))
    return found


def _question(task: str) -> tuple[str, str]:
    """Return a task without how it is answered, prompts aside, and that; `name_methods` has read its prompt."""
    read = parse(task)
    how = {name: value for name, value in read.params.items() if name in ANSWER - OF_METHOD}
    question = {name: value for name, value in read.params.items() if name not in ANSWER | OF_METHOD}
    return str(Component(read.name, question)), str(Component(read.name, how)).partition(":")[2]


def _by_method(members: pd.DataFrame) -> pd.DataFrame:
    """Name the methods within their question: also by how they answer it, where there are several ways."""
    several = members["how"].nunique() > 1
    method = members["method"] + (" · " + members["how"]).where(several & (members["how"] != ""), "")
    dev = pd.Series(np.nan, members.index)
    for metric in members["metric"].unique():
        if f"dev_{metric}" in members:
            dev = dev.where(members["metric"] != metric, members[f"dev_{metric}"].astype(float))
    spent = members[["task_seconds", "optimizer_seconds", "measuring_seconds"]].sum(axis="columns")
    tokens = members["tokens"] + members["measuring_tokens"]
    return members.assign(method=method, dev=dev, spent=spent, all_tokens=tokens, money=members.get(MONEY, np.nan))


def _answered(question: str, members: pd.DataFrame, predictions: pd.DataFrame) -> Worth:
    methods = members.groupby("method").agg(
        baseline=("baseline", "first"), dev=("dev", "mean"), loss=("best_loss", "mean"), test=("score", "mean")
    )
    order = methods.sort_values(["baseline", "dev"], ascending=[False, False], kind="stable")
    number = precision(members["best_loss"].replace([np.inf, -np.inf], np.nan).dropna(), [])
    seeds = members.groupby("method")["seed"].agg(lambda own: write_seeds(sorted(set(own))))
    rows = _without_model(members, predictions)
    for name in order.index:
        others = "" if seeds[name] == seeds.mode().iloc[0] else seeds[name]
        rows.append(_row(str(name), members[members["method"] == name], number, others))
    sizes = {split: int(members[f"{split}_rows"].max()) for split in ("train", "dev", "test")}
    heads = [f"{head}, {sizes[head.split()[0]]:,} rows" if head.split()[0] in sizes else head for head in HEADS]
    if members[MONEY].isna().all():
        heads, rows = heads[:-1], [row[:-1] for row in rows]
    metrics = " and ".join(sorted(members["metric"].unique()))
    note = (
        f"Dev and test: {metrics} in %, mean over seeds, of test with the 95 % interval over seeds and rows. Calls, "
        "tokens and time are of one run, dev and test included in tokens and time."
    )
    table = Table(question, heads, rows, note=note)
    search, reference = (_best(members[members["baseline"].astype(bool) == of]) for of in (False, True))
    answer = _words(members, search, reference, sizes["test"], predictions)
    return Worth(question, frozenset(members["task"]), table, answer)


def _best(members: pd.DataFrame) -> str:
    """Return the method that dev likes best on average, of equals that of the lowest train loss."""
    means = members.groupby("method")[["dev", "best_loss"]].mean()
    return str(means.sort_values(["dev", "best_loss"], ascending=[False, True], kind="stable").index[0])


def _row(name: str, own: pd.DataFrame, number: Callable[[float], str], seeds: str) -> list[Cell]:
    loss, dev, test = (own[column].astype(float) for column in ("best_loss", "dev", "score"))
    scores = {column.removeprefix("test_"): own[column].mean() for column in score_columns(map(str, own), "test")}
    deviation = float(test.std(ddof=1)) if len(test) > 1 else 0.0
    half = score_half(own["metric"].iloc[0], scores, deviation, len(test), float(own["test_rows"].min()))
    behind = (
        f" ({percent(max(0.0, test.mean() - half))} to {percent(min(1.0, test.mean() + half))})" if half > 0 else ""
    )
    return [
        Cell(name),
        Cell(f"{percent(test.mean())}{behind}", test.mean(), seeds, float(test.std())),
        Cell(percent(dev.mean()), dev.mean()),
        Cell(number(loss.mean()) + spread(loss.std(), number), loss.mean()),
        *(
            Cell(write(own[column].mean()), own[column].mean())
            for column, write in (("evaluations", count), ("spent", seconds), ("all_tokens", count), (MONEY, money))
        ),
    ]


def _without_model(members: pd.DataFrame, predictions: pd.DataFrame) -> list[list[Cell]]:
    """Return the rows of what needs no model: the class that test has most of, and guessing."""
    own = predictions[predictions["key"].isin(members["key"]) & (predictions["split"] == "test")]
    metric = members["metric"].iloc[0]
    truth = own.loc[own["metric"] == metric, "truth"]
    if truth.empty or members["metric"].nunique() > 1:
        return []
    of_class = np.bincount(unpack(truth.iloc[0]))
    classes = int(max(max(unpack(text).max() for text in own[name].unique()) for name in ("truth", "predicted"))) + 1
    most, guessed = of_class.max() / of_class.sum(), 1 / classes
    if metric == "f1":
        # The positive class is 1; it is found everywhere or nowhere, and by a guess in so many cases.
        share = of_class[1:].sum() / of_class.sum()
        most, guessed = (2 * share / (1 + share) if share > 0.5 else 0.0), 2 * share * guessed / (share + guessed)
    said = {
        "majority class": (most, math.nan),
        f"guessing one of {classes}": (guessed, math.log(classes)),
    }
    return [
        [
            Cell(name),
            Cell(percent(share), share),
            Cell(MISSING),
            Cell(f"{loss:.3f}" if loss == loss else MISSING, loss),
            *[Cell(MISSING)] * 4,
        ]
        for name, (share, loss) in said.items()
    ]


def _words(members: pd.DataFrame, search: str, reference: str, rows: int, predictions: pd.DataFrame) -> str:
    """Say what the best search adds to the best reference on test, on the seeds that both have."""
    pair = members[members["method"].isin([search, reference])].pivot_table(
        index="seed", columns="method", values=["score", "key"], aggfunc="first"
    )
    if not {("score", search), ("score", reference)} <= set(pair.columns) or (pair := pair.dropna()).empty:
        return f"The best search by dev, {search}, and the best reference, {reference}, have no seed in common."
    keys = zip(pair["key", search], pair["key", reference], strict=True)
    better = (pair["score", search] - pair["score", reference]).to_numpy(dtype=float)
    metric = members.loc[members["method"] == search, "metric"].iloc[0]
    verdict = judge(better, 0.0, RowHits(predictions).half(keys, f"test_{metric}"))
    one, other = (f"{percent(pair['score', name].astype(float).mean())} %" for name in (search, reference))
    facts = f"the best search by dev, {search}, has {one} on test, the best reference by dev, {reference}, {other}"
    # Of a loss it is said how much; its sign is in the word.
    sign, mark = (-1 if verdict.outcome == "second" else 1), ("" if verdict.outcome in ("first", "second") else "+")
    gain, *ends = (100 * sign * value for value in (verdict.advantage, verdict.low, verdict.high))
    low, high = sorted(ends)
    known = f" (95 % interval {low:{mark}.1f} to {high:{mark}.1f})" if np.isfinite(verdict.low) else ""
    points = f"{gain:{mark}.1f} points{known}"
    if verdict.outcome == "first":
        return f"Yes: {facts}. The search adds {points}."
    if verdict.outcome == "second":
        return f"No: {facts}. The search loses {points}."
    seeds = errors.count(verdict.n, "seed")
    return f"Not shown: {facts}. That is {points}, nothing that {rows:,} test rows and {seeds} can show."
