"""The only road to a task: counts, cuts at the budget, journals, and remembers the incumbent."""

import time
from collections.abc import Callable

import numpy as np

from dfo_bench.core import Array, Points, Task
from dfo_bench.errors import ReplayError, RunError, say
from dfo_bench.runs.journal import Batch, Journal

MAX_ERRORS = 3
"""A run fails after this many batches in a row whose evaluation raised."""

Progress = Callable[[int, float, bool], None]
"""Called after every batch with the evaluations, the best loss, and whether it was a replay."""


class Meter:
    """Evaluates a task's points within a budget, each batch journalled before its losses are known to anybody.

    Batches that the journal already holds are answered from it, after a check that they are the same points.
    The state of the run: `spent` evaluations, the `best` loss, the `incumbent` (one candidate, None before the
    first success), `found_at` which evaluation it was, and the `current` candidate, the last one evaluated (None
    where that failed).
    """

    def __init__(self, task: Task, budget: int, journal: Journal, progress: Progress) -> None:
        """Begin to meter; what `journal` already holds is replayed first.

        Where processes were stopped at unknown moments since, the batch then in flight is paid again, and counted so.
        """
        self.task, self.budget = task, budget
        self.spent, self.best, self.found_at = 0, np.inf, 0
        self.incumbent: Points | None = None
        self.current: Points | None = None
        self.batches: list[Batch] = []
        self.events: list[str] = []
        self._journal, self._progress = journal, progress
        self._recorded, self._retried_at = list(journal.log.batches), journal.log.retried_at
        self._stopped = journal.log.stopped
        self._in_a_row = 0
        self.rest()

    def evaluate(self, points: Points) -> Array | None:
        """Return the losses, shape (n,), failures as +inf; None for a batch that crossed the budget and was cut."""
        if not isinstance(points, Points) or points.dim != self.task.space.dim or not len(points):
            raise RunError(f"ask returned {points!r}; it must return Points of the task's space, at least one")
        left = self.budget - self.spent
        cut = len(points) > left
        if cut:
            if self.spent == 0:
                self.events.append(f"budget {self.budget} is smaller than the first batch of {len(points)}")
            points = points[:left]
        digests = points.digests()
        replayed = len(self.batches) < len(self._recorded)
        batch = self._recorded[len(self.batches)] if replayed else self._pay(points, digests)
        if batch.digests != digests:
            raise ReplayError(f"evaluation {self.spent + 1} is not the point that the journal holds")
        losses = np.array(batch.losses)
        # -inf would win every comparison for good, so it is a failure like nan.
        losses[~(losses > -np.inf)] = np.inf
        first = int(np.argmin(losses))
        if losses[first] < self.best:
            self.best, self.incumbent = float(losses[first]), points[first : first + 1]
            self.found_at = self.spent + first + 1
        self.current = points[len(points) - 1 : len(points)] if losses[-1] < np.inf else None
        self.spent += len(losses)
        self.batches.append(batch)
        self._progress(self.spent, self.best, replayed)
        self._give_up_after_errors(batch)
        return None if cut else losses

    def _give_up_after_errors(self, batch: Batch) -> None:
        """Fail the run after MAX_ERRORS failed batches in a row; one that is tried again may have as many anew."""
        self._in_a_row = self._in_a_row + 1 if batch.error else 0
        if len(self.batches) in self._retried_at:
            self._in_a_row = 0
        if self._in_a_row == MAX_ERRORS:
            raise RunError(f"the task raised {MAX_ERRORS} times in a row, at last {batch.error}")

    @property
    def errors(self) -> list[str]:
        """What the task raised, each with how often and where first."""
        counts: dict[str, list[int]] = {}
        for batch in self.batches:
            if batch.error:
                counts.setdefault(batch.error, []).append(batch.begin + 1)
        return [f"{error} ({len(at)} batches, first at evaluation {at[0]})" for error, at in counts.items()]

    def _pay(self, points: Points, digests: list[str]) -> Batch:
        """Evaluate and journal; what raises costs the whole batch."""
        wall, cpu = time.perf_counter(), time.process_time()
        error = ""
        try:
            losses = np.asarray(self.task.evaluate(points), dtype=float)
            if losses.shape != (len(points),):
                raise RunError(f"the task returned losses of shape {losses.shape} for {len(points)} points")
        except (Exception, SystemExit) as exception:
            losses = np.full(len(points), np.nan)
            error = say(exception)
        seconds = [
            time.perf_counter() - wall,
            time.process_time() - cpu,
            wall - self._rested[0],
            cpu - self._rested[1],
        ]
        batch = Batch(self.spent, losses.tolist(), digests, seconds, error, repaid=self._stopped)
        self._stopped = 0
        self._journal.add_batch(batch)
        return batch

    def rest(self) -> None:
        """Begin to count the optimizer's time from here."""
        self._rested = (time.perf_counter(), time.process_time())
