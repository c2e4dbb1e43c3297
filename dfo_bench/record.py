"""What a run leaves in its folder when it ends: a Parquet curve and a JSON summary, put in place atomically."""

import json
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import dfo_bench
from dfo_bench import packs
from dfo_bench.errors import StoreError
from dfo_bench.journal import FORMAT, Batch, Log, Measurement, plain_json, refuse_newer

JOURNAL, CURVE, SUMMARY = "journal.jsonl", "curve.parquet", "summary.json"

_FORMAT_KEY = b"dfo-bench format"

pretty_json = json.JSONEncoder(indent=1, default=plain_json.default)

_REPORTED = ("numpy", "scipy", "torch", "transformers", "cma", "optuna", "nevergrad")


def curve(batches: Iterable[Batch]) -> pa.Table:
    """Return one row an evaluation: evaluation, loss, best, digest, and the seconds spent up to it."""
    kept = list(batches)
    losses = np.array([loss for batch in kept for loss in batch.losses], dtype=float)
    sizes = [len(batch.losses) for batch in kept]
    seconds = np.cumsum([batch.seconds for batch in kept], axis=0) if kept else np.empty((0, 4))
    counted = np.where(losses > -np.inf, losses, np.inf)
    return pa.table(
        {
            "evaluation": pa.array(np.arange(1, len(losses) + 1), pa.int32()),
            "loss": losses,
            "best": np.minimum.accumulate(counted) if len(losses) else counted,
            "digest": pa.array([digest for batch in kept for digest in batch.digests], pa.string()),
            "task_seconds": np.repeat(seconds[:, 0], sizes),
            "optimizer_seconds": np.repeat(seconds[:, 2], sizes),
        }
    )


def seconds(batches: Iterable[Batch], measurements: Iterable[Measurement]) -> dict[str, float]:
    """Return the wall and CPU seconds of the task and of the optimizer, and those of measuring."""
    kept = list(batches)
    names = ("task_wall", "task_cpu", "optimizer_wall", "optimizer_cpu")
    totals = {name: sum(batch.seconds[i] for batch in kept) for i, name in enumerate(names)}
    return {**totals, "measuring_wall": sum(measurement.seconds for measurement in measurements)}


def repaid(batches: Iterable[Batch]) -> int:
    """Return how many evaluations may have been paid for in vain, and were paid for again."""
    return sum(len(batch.losses) * batch.repaid for batch in batches)


def peak_memory() -> int:
    """Return the most memory this process has held so far, in bytes: the runs that it made before count, too."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    # On Linux only the second choice: there it begins at what the parent held when it started this process.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def peak_device_memory() -> int | None:
    """Return the same of tensors on the CUDA device; None where there is none in use."""
    torch = sys.modules.get("torch")
    peak: int | None = torch.cuda.max_memory_allocated() if torch and torch.cuda.is_initialized() else None
    return peak


def in_progress(log: Log) -> dict[str, Any]:
    """Return what is known of a run that has not ended, in the form of a summary."""
    table = curve(log.batches)
    return {
        **log.header,
        "status": "unfinished",
        "error": "",
        "best_loss": min(table["best"].to_pylist(), default=float("inf")),
        "evaluations": log.evaluations,
        "measurements": [vars(m) for m in log.measurements],
        "seconds": seconds(log.batches, log.measurements),
        "peak_memory": None,
        "peak_device_memory": None,
        "attempts": log.attempts,
        "repaid": repaid(log.batches),
        "discarded": 0,
        "incumbent": None,
        "selected": None,
        "events": [],
        "interrupted": True,
        "provenance": provenance(),
    }


def bury(folder: Path, error: str) -> dict[str, Any] | None:
    """End a run whose process died as failed, with what its journal holds; None where it had not begun."""
    path = folder / JOURNAL
    log = Log.read(path) if path.exists() else Log()
    ended = read(folder)
    if ended and ended["attempts"] >= log.attempts:
        return ended
    if not log.header:
        return None
    summary = {**in_progress(log), "status": "failed", "error": error, "interrupted": True}
    write(folder, curve(log.batches), summary)
    return summary


def write(folder: Path, table: pa.Table, summary: dict[str, Any]) -> None:
    """Put the curve in place, then the summary: a run has ended when its summary is there."""
    try:
        unfinished = folder / f"{CURVE}.tmp"
        table = table.replace_schema_metadata({_FORMAT_KEY: str(FORMAT)})
        # Random digests and nearly random losses: dictionaries would only add their own size.
        pq.write_table(table, unfinished, compression="zstd", use_dictionary=False)
        os.replace(unfinished, folder / CURVE)
        unfinished = folder / f"{SUMMARY}.tmp"
        unfinished.write_text(pretty_json.encode(summary) + "\n")
        os.replace(unfinished, folder / SUMMARY)
    except OSError as error:
        raise StoreError(f"{folder} cannot be written: {error.strerror}; free space and run again") from error


def read(folder: Path) -> dict[str, Any] | None:
    """Return a run's summary, None where it has not ended."""
    data = file(folder, SUMMARY)
    if data is None:
        return None
    try:
        summary: dict[str, Any] = json.loads(data)
        version = int(summary["format"])
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{folder / SUMMARY} is damaged; delete the folder to run it again") from error
    refuse_newer(folder / SUMMARY, version)
    return summary


def read_curve(folder: Path) -> pa.Table:
    """Return the curve of a run that has ended."""
    data = file(folder, CURVE)
    try:
        table = pq.ParquetFile(pa.BufferReader(data or b"")).read(use_threads=False)
        metadata = table.schema.metadata or {}
        # The first curves have none.
        version = int(metadata.get(_FORMAT_KEY, FORMAT))
    except (OSError, ValueError, pa.ArrowInvalid) as error:
        raise StoreError(f"{folder / CURVE} is missing or damaged; delete the folder to run it again") from error
    refuse_newer(folder / CURVE, version)
    return table.replace_schema_metadata()


def file(folder: Path, name: str) -> bytes | None:
    """Return a file of a run that has ended, from its pack or its folder; None where there is none."""
    data = packs.read(folder, name)
    if data is not None:
        return data
    try:
        return (folder / name).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        # It may have been packed between the two looks.
        return packs.read(folder, name)
    except OSError as error:
        raise StoreError(f"{folder / name} cannot be read: {error.strerror}") from error


def provenance() -> dict[str, Any]:
    """Return what this process runs on: versions, hardware, git revision."""
    root = Path(dfo_bench.__file__).resolve().parent.parent
    versions = {"python": platform.python_version(), "dfo-bench": dfo_bench.__version__}
    versions |= {name: version(name) for name in _REPORTED if name in sys.modules}
    return {
        "versions": versions,
        "platform": platform.platform(),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "git": _git(root) if (root / "setup.cfg").is_file() else None,
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
    }


@cache
def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


@cache
def _git(root: Path) -> str | None:
    """Return the revision of a checkout, with "+" where it has uncommitted changes."""
    try:
        revision = subprocess.run(["git", "-C", root, "rev-parse", "HEAD"], capture_output=True, text=True)
        changes = subprocess.run(["git", "-C", root, "status", "--porcelain", "-uno"], capture_output=True, text=True)
    except OSError:
        return None
    return revision.stdout.strip() + ("+" if changes.stdout.strip() else "") if revision.returncode == 0 else None
