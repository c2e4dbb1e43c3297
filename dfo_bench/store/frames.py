"""What a store's frames say of a run: pure functions of its summary and its curve, kept in the store's caches."""

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from dfo_bench.runs import measure, summary
from dfo_bench.runs.measure import worth
from dfo_bench.runs.spec import RunSpec
from dfo_bench.runs.summary import curve

IMPORTED = "imported"
"""What stands for the plugins of an imported run, and for its projection in every table."""

FACTS = pa.schema(
    [
        ("key", pa.string()),
        ("status", pa.string()),
        ("attempts", pa.int64()),
        ("row", pa.string()),
        ("made", pa.string()),
    ]
)
"""A run that ended: `row` is its row of the frame `runs`, `made` its provenance and digests, both as JSON."""

MEASURES = pa.schema(
    [
        ("key", pa.string()),
        ("evaluation", pa.int64()),
        ("split", pa.string()),
        ("metric", pa.string()),
        ("value", pa.float64()),
    ]
)

CURVES = curve([]).schema.insert(0, pa.field("key", pa.string()))

_SOURCES = [Path(__file__), *(Path(str(module.__file__)) for module in (summary, measure))]

VERSION = hashlib.sha256(b"".join(path.read_bytes() for path in _SOURCES)).hexdigest()
"""Names the code that makes these tables: a cache that other code has made is made again."""


def facts(key: str, summary: dict[str, Any]) -> pa.Table:
    """Return the one row of FACTS."""
    made = {name: summary[name] for name in ("provenance", "digests")}
    values = (key, summary["status"], summary["attempts"], json.dumps(row(summary)), json.dumps(made))
    return pa.table([[value] for value in values], schema=FACTS)


def measures(key: str, summary: dict[str, Any]) -> pa.Table:
    """Return a row of MEASURES a score on dev or test."""
    scores = [
        (m["evaluation"], m["split"], metric, value)
        for m in summary["measurements"]
        for metric, value in m["metrics"].items()
    ]
    columns = [list(column) for column in zip(*scores, strict=True)] or [[]] * 4
    return pa.table([[key] * len(scores), *columns], schema=MEASURES)


def evaluations(key: str, curve: pa.Table) -> pa.Table:
    """Return a row of CURVES an evaluation."""
    keyed = curve.add_column(0, CURVES.field("key"), pa.array([key] * len(curve), pa.string()))
    return keyed.select(CURVES.names).cast(CURVES)


def improvements(key: str, curve: pa.Table) -> pa.Table:
    """Return the rows of a curve at which the best falls."""
    best = curve["best"].to_numpy()
    return evaluations(key, curve.filter(best < np.concatenate([[np.inf], best[:-1]])))


def identity(header: dict[str, Any]) -> dict[str, Any]:
    """Return what names a run in the frame, from the header of its journal."""
    spec = {"selection": RunSpec.selection, **header["spec"]}
    settings = {name: spec[name] for name in ("dim", "budget", "seed", "dev_every", "selection")}
    return {"key": header["key"], **header["shown"], **settings}


def row(summary: dict[str, Any]) -> dict[str, Any]:
    """Return a run's row of the frame."""
    seconds = summary["seconds"]
    found = {
        **identity(summary),
        **{name: summary[name] for name in ("status", "error", "best_loss", "evaluations")},
        "optimum": _number(summary["optimum"]),
        # The first headers do not say it: there a budget of one evaluation was the rule.
        "baseline": summary.get("baseline", summary["spec"]["budget"] == 1),
    }
    dev = [m["metrics"] for m in summary["measurements"] if m["split"] == "dev"]
    test = [m["metrics"] for m in summary["measurements"] if m["split"] == "test"]
    if dev:
        selected = max(dev, key=lambda metrics: worth(metrics, summary["metric"]))
        found |= {f"dev_{name}": value for name, value in selected.items()}
    if test:
        found |= {f"test_{name}": value for name, value in test[-1].items()}
    found |= {
        "task_seconds": seconds["task_wall"],
        "optimizer_seconds": seconds["optimizer_wall"],
        "measuring_seconds": seconds["measuring_wall"],
        "task_cpu_seconds": seconds["task_cpu"],
        "optimizer_cpu_seconds": seconds["optimizer_cpu"],
    }
    found |= {name: value * summary["evaluations"] for name, value in summary["cost"].items()}
    measured = [m["cost"] for m in summary["measurements"]]
    found |= {f"measuring_{name}": sum(cost[name] for cost in measured) for name in summary["cost"]}
    # The first summaries have none.
    found |= {name: _number(summary.get(name)) for name in ("peak_memory", "peak_device_memory")}
    return found | {name: summary[name] for name in ("attempts", "repaid", "discarded")}


def _number(value: float | None) -> float:
    return math.nan if value is None else value
