"""What a run comes to: its curve, its totals, and its summary."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa

from dfo_bench.runs.journal import Batch, Log, Measurement
from dfo_bench.runs.machine import provenance


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
