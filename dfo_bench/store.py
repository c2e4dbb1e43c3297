"""A folder of runs, read as data frames; merged by copying one store's run folders into another."""

import json
import math
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from dfo_bench import record
from dfo_bench.errors import StoreError
from dfo_bench.journal import Log
from dfo_bench.measure import worth
from dfo_bench.spec import RunSpec

MARKER = "dfo-bench.json"
"""The file that makes a folder a store."""

_KEY = re.compile(r"[0-9a-f]{16}")
_ORDER = ["task", "optimizer", "projection", "dim", "budget", "dev_every", "selection", "seed"]


class Store:
    """The runs of a folder.

    >>> store = Store("results/demo")
    >>> store.runs()[["optimizer", "best_loss"]]
    """

    def __init__(self, path: str | Path) -> None:
        """Open a store; raise StoreError where the folder is none."""
        self.path = Path(path)
        try:
            found, exists = (self.path / MARKER).is_file(), self.path.exists()
        except OSError as error:
            raise StoreError(f"{self.path} cannot be read: {error.strerror}; name another folder") from error
        if not found:
            what = "is not a dfo-bench store" if exists else "does not exist"
            raise StoreError(f"{self.path} {what}; make one with: dfo-bench sweep --store {self.path} ...")

    @classmethod
    def create(cls, path: str | Path) -> "Store":
        """Open a store, made now if the folder is new or empty; raise StoreError where it cannot be."""
        path = Path(path)
        try:
            if not (path / MARKER).exists():
                if path.exists() and (not path.is_dir() or any(path.iterdir())):
                    raise StoreError(f"{path} exists and is not a dfo-bench store; name a new or an empty folder")
                path.mkdir(parents=True, exist_ok=True)
                (path / MARKER).write_text(json.dumps({"format": record.FORMAT}) + "\n")
            probe = path / f".{MARKER}.{os.getpid()}"
            probe.touch()
            probe.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"{path} cannot be written: {error.strerror}; name another folder") from error
        return cls(path)

    def __repr__(self) -> str:
        """Show the folder."""
        return f"Store({str(self.path)!r})"

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys of all runs, sorted."""
        yield from sorted(p.name for p in self.path.iterdir() if _KEY.fullmatch(p.name) and p.is_dir())

    def summary(self, key: str) -> dict[str, Any] | None:
        """Return the summary of a run that finished or failed, else None."""
        return record.read(self.path / key)

    def runs(self) -> pd.DataFrame:
        """Return one row a run; of an unfinished one what its journal says so far."""
        rows = [_row(summary) for key in self if (summary := self._summary(key))]
        if not rows:
            return pd.DataFrame(columns=["key", *_ORDER, "status", "error", "best_loss", "evaluations"])
        frame: pd.DataFrame = pd.DataFrame(rows).sort_values(_ORDER, ignore_index=True)
        return frame

    def curves(self, keys: Iterable[str] | None = None, improvements: bool = False) -> pd.DataFrame:
        """Return one row an evaluation (or an improvement): key, evaluation, loss, best, digest and seconds."""
        frames = []
        for key in self if keys is None else keys:
            table = self._curve(key)
            if table is not None:
                frame = table.to_pandas()
                frame.insert(0, "key", key)
                improved = frame["best"] < frame["best"].shift(fill_value=float("inf"))
                frames.append(frame[improved] if improvements else frame)
        if not frames:
            return pd.DataFrame(columns=["key", *record.curve([]).column_names])
        joined: pd.DataFrame = pd.concat(frames, ignore_index=True)
        return joined

    def measures(self) -> pd.DataFrame:
        """Return one row a score on dev or test: key, evaluation, split, metric, value."""
        rows = [
            (key, m["evaluation"], m["split"], metric, value)
            for key in self
            if (summary := self._summary(key))
            for m in summary["measurements"]
            for metric, value in m["metrics"].items()
        ]
        return pd.DataFrame(rows, columns=["key", "evaluation", "split", "metric", "value"])

    def _summary(self, key: str) -> dict[str, Any] | None:
        """Return a run's summary, made up from the journal while it has not ended; None before it has begun."""
        summary, log = self.summary(key), self._log(key)
        # A failed run that is being tried again is under way.
        if log and (summary is None or log.attempts > summary["attempts"]):
            return record.in_progress(log)
        return summary

    def _log(self, key: str) -> Log | None:
        path = self.path / key / record.JOURNAL
        log = Log.read(path) if path.exists() else None
        return log if log and log.header else None

    def _curve(self, key: str) -> pa.Table | None:
        if (self.path / key / record.SUMMARY).exists():
            return record.read_curve(self.path / key)
        log = self._log(key)
        return record.curve(log.batches) if log else None


def _row(summary: dict[str, Any]) -> dict[str, Any]:
    """Return a run's row of the frame."""
    spec, seconds = {"selection": RunSpec.selection, **summary["spec"]}, summary["seconds"]
    row = {
        "key": summary["key"],
        **summary["shown"],
        **{name: spec[name] for name in ("dim", "budget", "seed", "dev_every", "selection")},
        **{name: summary[name] for name in ("status", "error", "best_loss", "evaluations")},
        "optimum": _number(summary["optimum"]),
    }
    dev = [m["metrics"] for m in summary["measurements"] if m["split"] == "dev"]
    test = [m["metrics"] for m in summary["measurements"] if m["split"] == "test"]
    if dev:
        selected = max(dev, key=lambda metrics: worth(metrics, summary["metric"]))
        row |= {f"dev_{name}": value for name, value in selected.items()}
    if test:
        row |= {f"test_{name}": value for name, value in test[-1].items()}
    row |= {
        "task_seconds": seconds["task_wall"],
        "optimizer_seconds": seconds["optimizer_wall"],
        "measuring_seconds": seconds["measuring_wall"],
        "task_cpu_seconds": seconds["task_cpu"],
        "optimizer_cpu_seconds": seconds["optimizer_cpu"],
    }
    row |= {name: value * summary["evaluations"] for name, value in summary["cost"].items()}
    measured = [m["cost"] for m in summary["measurements"]]
    row |= {f"measuring_{name}": sum(cost[name] for cost in measured) for name in summary["cost"]}
    # The first summaries have none.
    row |= {name: _number(summary.get(name)) for name in ("peak_memory", "peak_device_memory")}
    return row | {name: summary[name] for name in ("attempts", "repaid", "discarded")}


def _number(value: float | None) -> float:
    return math.nan if value is None else value
