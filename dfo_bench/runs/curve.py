"""The curve of a run: a table with one row per evaluation."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from dfo_bench.runs.journal import Batch


def curve(batches: Sequence[Batch]) -> pa.Table:
    """Return one row per evaluation: evaluation, loss, best, digest, and the seconds spent up to it."""
    losses = np.array([loss for batch in batches for loss in batch.losses], dtype=float)
    sizes = [len(batch.losses) for batch in batches]
    seconds = np.cumsum([batch.seconds for batch in batches], axis=0) if batches else np.empty((0, 4))
    counted = np.where(losses > -np.inf, losses, np.inf)
    return pa.table(
        {
            "evaluation": pa.array(np.arange(1, len(losses) + 1), pa.int32()),
            "loss": losses,
            "best": np.minimum.accumulate(counted) if len(losses) else counted,
            "digest": pa.array([digest for batch in batches for digest in batch.digests], pa.string()),
            "task_seconds": np.repeat(seconds[:, 0], sizes),
            "optimizer_seconds": np.repeat(seconds[:, 2], sizes),
        }
    )
