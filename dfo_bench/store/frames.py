"""The rows of a store's frames: pure functions of a run's summary and curve."""

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from dfo_bench.runs import columns, header, machine, measure, summary
from dfo_bench.runs import curve as curves
from dfo_bench.runs.header import PlannedRun
from dfo_bench.runs.measure import best_on_dev
from dfo_bench.runs.summary import Summary

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

CURVES = curves.curve([]).schema.insert(0, pa.field("key", pa.string()))

_SOURCES = [
    Path(__file__),
    *(Path(str(module.__file__)) for module in (columns, curves, header, machine, measure, summary)),
]

VERSION = hashlib.sha256(b"".join(path.read_bytes() for path in _SOURCES)).hexdigest()
"""Names the code that makes these tables: a cache that other code has made is made again."""


def facts(key: str, summary: Summary) -> pa.Table:
    """Return the one row of FACTS."""
    plain = summary.to_json()
    made = {name: plain[name] for name in ("provenance", "digests")}
    values = (key, summary.status, summary.attempts, json.dumps(row(summary)), json.dumps(made))
    return pa.table([[value] for value in values], schema=FACTS)


def measures(key: str, summary: Summary) -> pa.Table:
    """Return one row of MEASURES per score on dev or test."""
    scores = [(m.evaluation, m.split, *score) for m in summary.measurements for score in m.metrics.items()]
    columns = [list(column) for column in zip(*scores, strict=True)] or [[]] * 4
    return pa.table([[key] * len(scores), *columns], schema=MEASURES)


def evaluations(key: str, curve: pa.Table) -> pa.Table:
    """Return one row of CURVES per evaluation."""
    keyed = curve.add_column(0, CURVES.field("key"), pa.array([key] * len(curve), pa.string()))
    return keyed.select(CURVES.names).cast(CURVES)


def improvements(key: str, curve: pa.Table) -> pa.Table:
    """Return the rows of a curve at which the best falls."""
    best = curve["best"].to_numpy()
    return evaluations(key, curve.filter(best < np.concatenate([[np.inf], best[:-1]])))


def identity(run: PlannedRun) -> dict[str, Any]:
    """Return what names a run in the frame `runs`."""
    return {"key": run.key, **{name: run.shown.get(name, getattr(run.spec, name)) for name in columns.RUN}}


def row(summary: Summary) -> dict[str, Any]:
    """Return a run's row of the frame `runs`."""
    seconds = summary.seconds
    found = identity(summary) | {name: getattr(summary, name) for name in columns.STATE}
    found["optimum"] = _number(summary.optimum)
    test = [m.metrics for m in summary.measurements if m.split == "test"]
    found |= {f"dev_{name}": value for name, value in best_on_dev(summary.measurements, summary.metric).items()}
    if test:
        found |= {f"test_{name}": value for name, value in test[-1].items()}
    found |= {
        "task_seconds": seconds.task_wall,
        "optimizer_seconds": seconds.optimizer_wall,
        "measuring_seconds": seconds.measuring_wall,
        "task_cpu_seconds": seconds.task_cpu,
        "optimizer_cpu_seconds": seconds.optimizer_cpu,
    }
    if summary.cost:
        found |= {name: getattr(summary.cost, name) * summary.evaluations for name in columns.CALLS}
        spent = [m.cost for m in summary.measurements]
        found |= {f"measuring_{name}": sum(getattr(cost, name) for cost in spent) for name in columns.CALLS}
    found |= {name: _number(getattr(summary, name)) for name in columns.MEMORY}
    found["backend"] = summary.provenance.backend if summary.provenance else ""
    return found | {name: getattr(summary, name) for name in columns.TROUBLES}


def _number(value: float | None) -> float:
    return math.nan if value is None else value
