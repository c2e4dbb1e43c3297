"""The second table: what every method costs on every task, and whether it can be had as a service."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from dfo_bench.report.format import MISSING, count, seconds, size
from dfo_bench.report.page.tables import Cell
from dfo_bench.report.seed_tables.accuracy import accuracy, percent
from dfo_bench.report.seed_tables.methods import GRADIENT_BASED, group_of, ordered, task_of
from dfo_bench.report.seed_tables.published import METHODS, MODEL, TASKS
from dfo_bench.report.seed_tables.sheet import Sheet


def kib(number: float) -> str:
    """Bytes as the paper writes them, in units of 1,024: 256 -> 0.25 KB, 28049408 -> 27,392 KB; MISSING for nan."""
    return MISSING if math.isnan(number) else f"{number / 1024:,.2f}".rstrip("0").rstrip(".") + " KB"


COSTS: dict[str, tuple[str, Callable[[float], str]]] = {
    "fit_seconds": ("fit", seconds),
    "measuring_seconds": ("measuring", seconds),
    "peak_memory": ("process memory", size),
    "peak_device_memory": ("device memory", size),
    "bytes_up": ("up a query", kib),
    "bytes_down": ("down a query", kib),
    "evaluations": ("queries", count),
}
"""What a method costs: how a column is called, and how its numbers are written."""

HEADS = ["method", "sees", "as a service", "score", *(name for name, _ in COSTS.values())]


def costs(named: pd.DataFrame) -> pd.DataFrame:
    """Return a row per column and method, the mean of COSTS over its finished runs, from what `name_methods` returns.

    Bytes are those of one query, which is one evaluation of the whole train set, in fp32: what was really sent where
    there was a service, else what one without a memory would be sent. A method that sees gradients or weights asks no
    service and sends none: nan.
    """
    done = named[named["status"] == "finished"]
    asks = (done["sees"].map(group_of) != GRADIENT_BASED) & (done["evaluations"] > 0)
    queries, served = done["evaluations"].where(asks), done["sent_up"] > 0
    values = done.reindex(columns=["measuring_seconds", "peak_memory", "peak_device_memory", "evaluations"])
    values = values.astype(float).assign(
        fit_seconds=done["task_seconds"] + done["optimizer_seconds"],
        bytes_up=done["sent_up"].where(served, done["bytes_up_z"]) / queries,
        bytes_down=done["sent_down"].where(served, done["bytes_down"]) / queries,
    )
    return values[list(COSTS)].groupby([done["column"], done["method"]]).mean()


def cost_sheet(named: pd.DataFrame, *, paper: bool = False) -> Sheet:
    """Return the table, a group per task; `paper` adds the paper's own figures, in groups of their own."""
    table, spent = accuracy(named), costs(named)
    # A class bias costs nothing: it has no row of its own.
    rows = table.merge(spent, left_on=["column", "method"], right_index=True)
    groups = {
        column: [_row(row["method"], row["sees"], 1, row) for row in rows[rows["column"] == column].to_dict("records")]
        for column in ordered(rows["column"])
    }
    if paper:
        groups |= paper_groups(list(groups))
    return Sheet("Cost of one run", HEADS, groups, _NOTE)


def paper_groups(columns: list[str]) -> dict[str, list[list[Cell]]]:
    """Return the paper's rows, by task, for the tasks among these columns whose costs it states."""
    groups: dict[str, list[list[Cell]]] = {}
    for task in dict.fromkeys(task_of(column) for column in columns if task_of(column) in TASKS):
        for method in METHODS:
            if task in method.costs:
                group = f"{task}, the paper's figures on {MODEL} and one RTX 3090"
                row = {"mean": method.score(task), **vars(method.costs[task])}
                groups.setdefault(group, []).append(_row(method.name, method.sees, 2, row))
    return groups


def _row(method: str, sees: str, decimals: int, row: Mapping[Any, Any]) -> list[Cell]:
    written = MISSING if math.isnan(row["mean"]) else f"{percent(row['mean'], decimals)} %"
    service = Cell("no" if group_of(sees) == GRADIENT_BASED else "yes")
    spent = [(write, row.get(name, math.nan)) for name, (_, write) in COSTS.items()]
    return [Cell(method), Cell(sees), service, Cell(written, row["mean"]), *(Cell(write(v), v) for write, v in spent)]


_NOTE = (
    "Means over seeds. A service can offer what needs no gradients and no weights of its model. Fit is the time of "
    "task and method, measuring that of dev and test. Process memory is the peak of the process, with the runs that it "
    "made before, device memory that of its GPU; in the paper the user's and the server's. A query is the whole train "
    "set once: up go its texts and, for a search, z in fp32, if the service knows the projection; down come label "
    "logits, or features, in fp32. Of a run that asked a service, which keeps the texts, bytes are those really sent, "
    "headers apart. A KB is 1,024 bytes."
)
