"""The rows of a store's frames: pure functions of a run's summary and curve."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa

from dfo_bench import predicted
from dfo_bench.runs import columns, former, header, machine, measure, summary
from dfo_bench.runs import curve as curves
from dfo_bench.runs.header import PlannedRun
from dfo_bench.runs.machine import Provenance
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


@dataclass(frozen=True)
class Made:
    """What a run was made with: machine and versions, where they are known, and the digests of code and data."""

    provenance: Provenance | None
    digests: Mapping[str, str]

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Self:
        """Read what stands in the column `made` of FACTS."""
        return cls(Provenance(**plain["provenance"]) if plain["provenance"] else None, plain["digests"])


MEASURES = pa.schema(
    [
        ("key", pa.string()),
        ("evaluation", pa.int64()),
        ("split", pa.string()),
        ("metric", pa.string()),
        ("value", pa.float64()),
    ]
)

PREDICTIONS = pa.schema([(name, pa.string()) for name in columns.PREDICTIONS])
"""What a run predicted on a split: `rows` is the digest of its rows, the classes are packed (`dfo_bench.predicted`)."""

CURVES = curves.curve([]).schema.insert(0, pa.field("key", pa.string()))

_SOURCES = [
    Path(__file__),
    *(Path(str(module.__file__)) for module in (columns, curves, former, header, machine, measure, predicted, summary)),
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


def predictions(key: str, summary: Summary) -> pa.Table:
    """Return one row of PREDICTIONS per split and metric: of dev those of the candidate that dev selects."""
    kept = [m for m in summary.measurements if m.predicted]
    kept.sort(key=lambda m: measure.worth(m.metrics, summary.metric), reverse=True)
    last = {m.split: m.predicted for m in reversed(kept)}
    found = [
        (key, split, prefix + metric, one.rows, *classes)
        for split, one in last.items() if one
        for prefix in one.classes
        for metric, *classes in one.scored(prefix)
    ]  # fmt: skip
    return pa.table([list(column) for column in zip(*found, strict=True)] or [[]] * 6, schema=PREDICTIONS)


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
        calls = summary.evaluations - summary.repeats
        found |= {name: getattr(summary.cost, name) * calls for name in columns.CALLS}
        spent = [m.cost for m in summary.measurements]
        found |= {f"measuring_{name}": sum(getattr(cost, name) for cost in spent) for name in columns.CALLS}
    found |= {name: _number(getattr(summary, name)) for name in (*columns.MEMORY, *columns.SENT)}
    made = summary.provenance
    found |= {"backend": made.backend if made else "", "ended": made.ended if made else ""}
    found["data"] = _data(summary.digests)
    scored = {m.split: m.cost.examples for m in summary.measurements if m.cost.examples}
    rows = {"train": summary.cost.examples if summary.cost else 0, **scored}
    found |= {name: rows.get(name.partition("_")[0], 0) for name in columns.ROWS}
    found["checks"] = "\n".join(summary.checks)
    found |= {"repeats": summary.repeats, "prompt": summary.selected.text if summary.selected else ""}
    return found | {name: getattr(summary, name) for name in columns.TROUBLES}


_PROMPT = ("task:initial", "task:vocabulary", "task:clusters")
"""The contents that are part of a prompt."""

_WORDS = ", words of "
"""What follows it in the name of a model is part of a prompt, too: whose words an engine that takes text is sent."""


def _data(digests: Mapping[str, str]) -> str:
    """Return a digest of the contents that a task was made of, its prompt left out."""
    told = {name: digest for name, digest in digests.items() if name.startswith("task:") and name not in _PROMPT}
    named = {name: digest.partition(_WORDS)[0] for name, digest in told.items()}
    return hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()[:8] if named else ""


def _number(value: float | None) -> float:
    return math.nan if value is None else value
