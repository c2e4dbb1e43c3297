"""The tables of the page: what each group of a task reached and cost, and which runs did not finish."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pandas as pd

from dfo_bench.report.format import MISSING, count, money, percent, precision, seconds, size, spread
from dfo_bench.report.labels import SERIES, Looks
from dfo_bench.report.stats.groups import COSTS, STATUSES, optimizer_share
from dfo_bench.report.stats.rows import score_half
from dfo_bench.runs.columns import ROWS, SPLITS


@dataclass(frozen=True)
class Cell:
    """A cell: its text, the number by which its column sorts (nan last), and a remark before the text.

    A download has the number, its deviation and the remark; a share, of 1, is drawn behind the text. The best of a
    column is bold.
    """

    text: str
    value: float = math.nan
    note: str = ""
    sd: float = math.nan
    share: float = math.nan
    best: bool = False


@dataclass(frozen=True)
class Table:
    """A table: named columns over rows, of which the first cell is the name.

    `groups` are the labels of the groups that each row is about, `tasks` their tasks and `heads` the groups of columns
    where these differ: a page hides what its reader has hidden. A folded table is opened by its caption. `note` says
    how to read it.
    """

    caption: str
    columns: list[str]
    rows: list[list[Cell]]
    groups: list[list[str]] = field(default_factory=list)
    tasks: list[str] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    folded: bool = False
    note: str = ""
    of_words: bool = False


COST_COLUMNS: dict[str, tuple[str, Callable[[float], str]]] = {
    "task_seconds": ("task time", seconds),
    "optimizer_seconds": ("optimizer time", seconds),
    "evaluations": ("evaluations", count),
    "repeats": ("of them no calls", count),
    "examples": ("examples", count),
    "tokens": ("tokens", count),
    "bytes_up_z": ("upload as z", size),
    "bytes_up_prompt": ("upload as prompt", size),
    "bytes_down": ("download", size),
    "money": ("money", money),
    "peak_memory": ("peak memory", size),
    "peak_device_memory": ("peak GPU memory", size),
}


def tabulate_results(groups: pd.DataFrame, look: Looks) -> Table:
    """Tabulate the scores of one task's groups, the rows of `groups.summarise`."""
    metrics = _headline(groups)
    columns = _scores(groups, {"best_loss": "train loss" if metrics else "loss"})
    for metric in metrics:
        names = {f"dev_{metric}": f"dev {metric}", f"test_{metric}": f"test {metric}"}
        columns |= _scores(groups, names | {f"gap_{metric}": f"gap in {metric}"})
    totals = groups[[("runs", status) for status in STATUSES]].sum(axis="columns")
    finished = zip(groups["runs", "finished"], totals, strict=True)
    columns["finished"] = [Cell(f"{n} of {total}", n) for n, total in finished]
    columns["failed"] = [Cell(str(n), n) for n in groups["runs", "failed"]]
    notes = [
        "In brackets the 95 % interval over seeds and rows." if _any(columns, " to ") else "",
        "The gap is dev minus test." if any(name.startswith("gap in") for name in columns) else "",
    ]
    return replace(_table("Results: mean ± sd over seeds", groups, look, columns), note=" ".join(filter(None, notes)))


def tabulate_costs(groups: pd.DataFrame, look: Looks) -> Table:
    """Tabulate what a run of each group cost on average."""
    columns = {}
    for cost in COSTS:
        name, unit = COST_COLUMNS[cost]
        if groups[cost, "mean"].any():
            columns[name] = [Cell(unit(mean), mean) for mean in groups[cost, "mean"]]
        if cost == "optimizer_seconds" and name in columns:
            columns["optimizer's share"] = [Cell(percent(one), one, share=one) for one in optimizer_share(groups)]
    return _table("Cost of one run: mean over seeds", groups, look, columns)


def tabulate_prompts(runs: pd.DataFrame, look: Looks) -> Table | None:
    """List the prompts of one task that are text, the best on dev first; None where there are none."""
    written = runs["prompt"].fillna("") if "prompt" in runs else pd.Series("", runs.index)
    some = runs[written != ""]
    if some.empty:
        return None
    metrics = [f"dev_{metric}" for metric in some["metric"].unique() if f"dev_{metric}" in some]
    rows = []
    for _, run in some.sort_values([*metrics, "best_loss"], ascending=[*[False] * len(metrics), True]).iterrows():
        scores = [Cell(MISSING if pd.isna(run[name]) else f"{run[name]:.3f}", run[name]) for name in metrics]
        name = Cell(look[tuple(run[SERIES])].label)
        rows.append([name, Cell(str(run["seed"]), run["seed"]), *scores, Cell(str(run["prompt"]).strip())])
    columns = ["optimizer · projection", "seed", *(name.replace("_", " ") for name in metrics), "prompt"]
    return Table("Prompts", columns, rows, [[row[0].text] for row in rows], folded=True, of_words=True)


def tabulate_troubles(runs: pd.DataFrame, look: Looks) -> Table | None:
    """List the runs that failed, with their error, and those that are unfinished; None where there is neither."""
    rows, groups, tasks = [], [], []
    for _, run in runs[runs["status"] != "finished"].sort_values(["status", "task", *SERIES, "seed"]).iterrows():
        evaluations, budget = int(run["evaluations"]), int(run["budget"])
        row = [
            Cell(run["status"]),
            Cell(run["task"]),
            Cell(look[tuple(run[SERIES])].label),
            Cell(str(run["seed"]), run["seed"]),
            Cell(f"{evaluations:,} of {budget:,}", evaluations),
            Cell(str(run.get("attempts", 1)), run.get("attempts", 1)),
            Cell(run["error"] or MISSING),
            Cell(run["key"]),
        ]
        rows.append(row)
        groups.append([row[2].text])
        tasks.append(row[1].text)
    columns = ["status", "task", "optimizer · projection", "seed", "evaluations", "attempts", "error", "run"]
    return Table("Runs that did not finish", columns, rows, groups, tasks, of_words=True) if rows else None


def _headline(groups: pd.DataFrame) -> list[str]:
    """Choose the metrics to show: those that are not the loss, which the curves show, where there is any."""
    columns = [c for c in groups.columns.get_level_values(0).unique() if _known(groups, c)]
    metrics = dict.fromkeys(c.partition("_")[2] for c in columns if c.startswith(("dev_", "test_")) and c not in ROWS)
    return [m for m in metrics if m != "loss"] or list(metrics)


def _any(columns: dict[str, list[Cell]], text: str) -> bool:
    return any(text in cell.text for cells in columns.values() for cell in cells)


def _known(groups: pd.DataFrame, column: str) -> bool:
    return (column, "n") in groups.columns and bool(groups[column, "n"].any())


def _scores(groups: pd.DataFrame, names: dict[str, str]) -> dict[str, list[Cell]]:
    """Write each mean in the precision of the first column; columns that no run has are left out.

    An accuracy or F1 on a known number of rows has its interval behind it, another score its deviation, unless all
    seeds have the same. Where not all runs that have begun have the value, or its seeds are not those of most groups,
    the cell names its seeds.
    """
    known = [column for column in names if _known(groups, column)]
    number = precision(groups[known[0], "mean"], groups[known[0], "sd"]) if known else count
    cells: dict[str, list[Cell]] = {names[column]: [] for column in known}
    for column in known:
        split, _, metric = column.partition("_")
        rows = groups[f"{split}_rows", "mean"] if split in SPLITS else pd.Series(0.0, groups.index)
        means = {
            name.removeprefix(f"{split}_"): groups[name, "mean"]
            for name in groups.columns.get_level_values(0).unique()
            if name.startswith(f"{split}_") and (name, "mean") in groups
        }
        scores = pd.DataFrame(means).to_dict("records")
        seeds = groups["seeds", column]
        usual = seeds[seeds != ""].mode().iloc[0]
        parts = [groups[column, part] for part in ("mean", "sd", "n")]
        for mean, sd, n, begun, own, of, by_name in zip(
            *parts, groups["runs", "begun"], seeds, rows, scores, strict=True
        ):
            note = own if n < begun or own != usual else ""
            half = score_half(metric, by_name, 0.0 if math.isnan(sd) else sd, n, of)
            cells[names[column]].append(Cell(f"{number(mean)}{_spread(mean, sd, half, number)}", mean, note, sd))
    return cells


def _spread(mean: float, sd: float, half: float, number: Callable[[float], str]) -> str:
    """Write what stands behind a mean: its interval where it has one, else its deviation if it has one."""
    if half > 0:
        return f" ({number(max(0.0, mean - half))} to {number(min(1.0, mean + half))})"
    return spread(sd, number)


def _table(caption: str, groups: pd.DataFrame, look: Looks, columns: dict[str, list[Cell]]) -> Table:
    named = groups.index.to_frame(index=False)[SERIES].itertuples(index=False, name=None)
    names = [Cell(look[group].label) for group in named]
    rows = [list(row) for row in zip(names, *columns.values(), strict=True)]
    return Table(caption, ["optimizer · projection", *columns], rows, [[cell.text] for cell in names])
