"""The curve of a run: a table with one row per evaluation."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from dfo_bench.runs.calls import Calls
from dfo_bench.runs.journal import Batch


def curve(batches: Sequence[Batch], unit: int = 1, calls: int | None = None) -> pa.Table:
    """Return one row per evaluation: evaluation, loss, best, digest, and the seconds spent up to it.

    Where these are counted in more parts than one, `unit`, a row is what was complete by the end of a call, of `calls`
    in all: the last of them may be cut.
    """
    evaluated = [(batch.losses, batch.digests) for batch in batches]
    if unit > 1:
        whole = Calls(unit)
        rows = [whole.add(batch) for batch in batches]
        if calls is not None and sum(map(len, rows)) < calls:
            rows[-1].append(whole.cut())
        evaluated = [([row.loss for row in some], [row.digest for row in some]) for some in rows]
    losses = np.array([loss for some, _ in evaluated for loss in some], dtype=float)
    sizes = [len(some) for some, _ in evaluated]
    seconds = np.cumsum([batch.seconds for batch in batches], axis=0) if batches else np.empty((0, 4))
    counted = np.where(losses > -np.inf, losses, np.inf)
    return pa.table(
        {
            "evaluation": pa.array(np.arange(1, len(losses) + 1), pa.int32()),
            "loss": losses,
            "best": np.minimum.accumulate(counted) if len(losses) else counted,
            "digest": pa.array([digest for _, some in evaluated for digest in some], pa.string()),
            "task_seconds": np.repeat(seconds[:, 0], sizes),
            "optimizer_seconds": np.repeat(seconds[:, 2], sizes),
        }
    )
