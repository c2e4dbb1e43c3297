"""A run of another program, in the form of a run of this one, and always told apart from it.

Its projection is called `imported`, in every table and figure; its spec names no plugin, and its key rests on its
curve, so a sweep never takes it for one of its own. It has no digests of points, no costs and no provenance of this
machine: what is not known is nan, {} or None, and where it came from stands under `imported` in its summary.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from dfo_bench.core import Array, Index
from dfo_bench.errors import writing
from dfo_bench.plugins.component import Component
from dfo_bench.runs.curve import curve
from dfo_bench.runs.journal import Batch, Seconds
from dfo_bench.runs.spec import RunSpec
from dfo_bench.runs.summary import Summary, Totals
from dfo_bench.store.folder import read_summary, write_results
from dfo_bench.store.frames import IMPORTED


@dataclass(frozen=True)
class ImportedRun:
    """A run as another program logged it; where it logged only improvements, the curve has only these."""

    function: str
    algorithm: str
    dim: int
    budget: int
    seed: int
    spent: int
    """Evaluations to its end, which may lie after the last one logged."""
    source: dict[str, Any]
    """Where it comes from, as plain JSON."""
    evaluation: Index
    """Shape (n,), ascending from 1 or later."""
    loss: Array
    """Shape (n,), lower is better, nan where it failed."""
    seconds: Array
    """Shape (n, 2): those of the task and of the optimizer up to each evaluation; nan where they are not known."""
    optimum: float | None = None

    @cached_property
    def spec(self) -> RunSpec:
        """What names the run: two that differ in their curve alone are two runs."""
        curve = np.column_stack([self.evaluation, self.loss, self.seconds]).astype("<f8")
        curve[np.isnan(curve)] = np.nan  # there are many nan, which differ in their bits alone
        data = hashlib.sha256(curve.tobytes()).hexdigest()[:16]
        task = Component(IMPORTED, {"function": self.function, "data": data})
        optimizer = Component(IMPORTED, {"algorithm": self.algorithm})
        return RunSpec(task, optimizer, Component(IMPORTED), self.dim, self.budget, self.seed)

    def write(self, store: Path) -> bool:
        """Write the run's folder; return whether it was new."""
        folder = store / self.spec.key()
        if read_summary(folder):
            return False
        with writing(folder):
            folder.mkdir(exist_ok=True)
        write_results(folder, self._table(), self._summary())
        return True

    def _table(self) -> pa.Table:
        """Return the curve as one batch, with the evaluations and seconds that were logged."""
        table = curve([Batch(0, self.loss.tolist(), [""] * len(self.loss), Seconds(*[np.nan] * 4))])
        logged = {"evaluation": self.evaluation, **dict(zip(_SECONDS, self.seconds.T, strict=True))}
        for name, values in logged.items():
            at = table.column_names.index(name)
            table = table.set_column(at, name, pa.array(values, table.schema.field(at).type, from_pandas=False))
        return table

    def _summary(self) -> Summary:
        best = np.where(self.loss > -np.inf, self.loss, np.inf).min()
        task_wall, optimizer_wall = self.seconds[-1].tolist()
        return Summary(
            key=self.spec.key(),
            spec=self.spec,
            shown={"optimizer": self.algorithm, "task": self.function, "projection": IMPORTED},
            digests={},
            optimum=self.optimum,
            metric="loss",
            cost=None,
            baseline=False,
            sees="losses",
            status="finished",
            error="",
            best_loss=float(best),
            evaluations=self.spent,
            incumbent=None,
            selected=None,
            measurements=[],
            seconds=Totals(task_wall, np.nan, optimizer_wall, np.nan, np.nan),
            provenance=None,
            imported=self.source,
        )


_SECONDS = ("task_seconds", "optimizer_seconds")
