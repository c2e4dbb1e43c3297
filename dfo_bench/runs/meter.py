"""The only road to a task: counts, cuts at the budget, journals, and remembers the incumbent."""

import time
from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from dfo_bench.core import Array, Points, Traffic
from dfo_bench.errors import ReplayError, RunError, Unavailable, count, say
from dfo_bench.runs.calls import Calls, Row
from dfo_bench.runs.journal import Batch, Journal, Seconds
from dfo_bench.runs.oracle import Oracle
from dfo_bench.runs.outage import Patience
from dfo_bench.runs.repeats import Repeats

MAX_ERRORS = 3
"""A run fails after this many batches in a row whose evaluation raised."""

MIN_IN_VAIN = 100
"""A run fails after this many evaluations, and a tenth of its budget, and MAX_ERRORS batches, without a finite loss.

A task of which one point in ten can be evaluated is wronged by that in three runs of 100,000; one of which it is one in
a hundred, at the default budget, in three of 10,000.
"""

Progress = Callable[[float, float, bool], None]
"""Called after every batch with the evaluations, the best loss, and whether it was a replay.

While a reference is fitted it is called with the share of that, its one evaluation.
"""


class Meter:
    """Evaluates a task's points within a budget, each batch journalled before its losses are known to anybody.

    Batches that the journal already holds are answered from it, after a check that they are the same points.
    The state of the run: `spent` evaluations, the `best` loss, the `incumbent` (one candidate, None before the
    first success), `found_at` which evaluation it was, the `current` candidate, the last one evaluated (None where
    that failed), and what the oracle `told` of the last batch beside its losses. Where evaluations come in parts, all
    of these are of calls that are over, and of points that were complete by then.
    """

    def __init__(self, oracle: Oracle, budget: int, journal: Journal, progress: Progress) -> None:
        """Begin to meter; what `journal` already holds is replayed first.

        Where processes were stopped at unknown moments since, the batch then in flight is paid again, and counted so.
        """
        self.oracle, self.budget = oracle, budget
        self.spent, self.best, self.found_at = 0, np.inf, 0
        self.incumbent: Points | None = None
        self.current: Points | None = None
        self.told: tuple[Array, ...] = ()
        self.events: list[str] = []
        self._journal, self._progress, self._repeats = journal, progress, Repeats(oracle)
        self.patience = Patience(oracle.task.patience_s)
        self._recorded, self._taken = len(journal.log.batches), 0
        self._stopped = journal.log.stopped
        self._in_a_row = 0
        self._tried_at, self._tried_after = 0, 0
        self._unit, self._parts, self._answered = journal.header.unit, 0, False
        self._calls = Calls(self._unit) if self._unit > 1 else None
        self.rest()

    def evaluate(self, points: Points) -> Array | None:
        """Return the losses, shape (n,), failures as +inf; None for a batch that crossed the budget and was cut."""
        if not isinstance(points, Points) or points.dim != self.oracle.task.space.dim or not len(points):
            raise RunError(f"ask returned {points!r}; it must return Points of the task's space, at least one")
        examples, left = points.examples, self.budget * self._unit - self._parts
        size = len(examples) or self._unit
        cut = len(points) * size > left
        if cut:
            if self._parts == 0:
                self.events.append(f"budget {self.budget} is smaller than the first batch of {len(points)}")
            # One point at least, if on fewer examples.
            points, examples = points[: max(1, left // size)], examples[:left]
            points.examples = examples
        digests = points.digests()
        replayed = self._taken < self._recorded
        batch = self._remember(points) if replayed else self._pay(points, digests)
        if batch.digests != digests or batch.examples != examples:
            raise ReplayError(f"evaluation {self.spent + 1} is not the point that the journal holds")
        losses = np.array(batch.losses)
        # -inf would win every comparison for good, so it is a failure like nan.
        losses[~(losses > -np.inf)] = np.inf
        first = int(np.argmin(losses))
        self._answered |= losses[first] < np.inf
        self._parts += len(losses) * batch.size(self._unit)
        if self._calls:
            self._count(self._calls.add(batch, points))
            if cut and self.spent < self.budget:
                self._count([self._calls.cut()])
        else:
            if losses[first] < self.best:
                self.best, self.incumbent = float(losses[first]), points[first : first + 1]
                self.found_at = self.spent + first + 1
            self.current = points[len(points) - 1 : len(points)] if losses[-1] < np.inf else None
            self.spent += len(losses)
        self._taken += 1
        self._progress(self.spent, self.best, replayed)
        self._give_up(batch)
        self.rest()
        return None if cut else losses

    def _count(self, calls: Iterable[Row]) -> None:
        """Count calls that were made of parts."""
        for loss, _, point in calls:
            self.spent += 1
            self.current = point or self.current
            if loss < self.best:
                self.best, self.incumbent, self.found_at = loss, point, self.spent

    def _give_up(self, batch: Batch) -> None:
        """Fail the run whose task only raises, or gives no finite loss; one that is tried again has as many tries anew.

        What the journal holds beyond is replayed first.
        """
        self._in_a_row = self._in_a_row + 1 if batch.error else 0
        if self._taken in self._journal.log.retried_at:
            self._in_a_row, self._tried_at, self._tried_after = 0, self.spent, self._taken
        if self._in_a_row == MAX_ERRORS:
            raise RunError(f"the task raised {MAX_ERRORS} times in a row, at last {batch.error}")
        if self._answered or self._taken < self._recorded:
            return
        tried = self.spent - self._tried_at >= max(MIN_IN_VAIN, self.budget // 10)
        if tried and self._taken - self._tried_after >= MAX_ERRORS:
            raise RunError(
                f"none of {self.spent} evaluations gave a finite loss, the last was {batch.losses[-1]}; the task, or "
                "its model in this precision, cannot be evaluated at these points"
            )

    @property
    def batches(self) -> list[Batch]:
        """The batches of this attempt so far, those that were replayed included."""
        return self._journal.log.batches[: self._taken]

    @property
    def errors(self) -> list[str]:
        """What the task raised, each with how often and where first."""
        begins: dict[str, list[int]] = {}
        for batch in self.batches:
            if batch.error:
                begins.setdefault(batch.error, []).append(batch.begin)
        return [
            f"{error} (first at evaluation {at[0] // self._unit + 1}, in {count(len(at), 'batch', 'batches')})"
            for error, at in begins.items()
        ]

    def _remember(self, points: Points) -> Batch:
        """Return the next batch that the journal holds."""
        batch = self._journal.log.batches[self._taken]
        told = self._journal.told(batch) if self.oracle.width else None
        if told is not None:
            self.told = self.oracle.spread(told)
        if not batch.error:
            self._repeats.remember(points, batch.losses, told)
        return batch

    def _pay(self, points: Points, digests: list[str]) -> Batch:
        """Evaluate and journal; what raises costs the whole batch, but an outage costs nothing, no time either."""
        wall, cpu = time.perf_counter(), time.process_time()
        error, sent, repeats = "", replace(self.oracle.task.traffic or Traffic()), 0
        try:
            losses, told, repeats = self.patience.ask(lambda: self._repeats.evaluate(points))
            losses = np.asarray(losses, dtype=float)
            if losses.shape != (len(points),):
                raise RunError(f"the task returned losses of shape {losses.shape} for {len(points)} points")
        except Unavailable:
            raise
        except (Exception, SystemExit) as exception:
            losses, told = self.oracle.failure(len(points))
            error = say(exception)
        seconds = Seconds(
            time.perf_counter() - self.patience.asked[0],
            time.process_time() - self.patience.asked[1],
            wall - self._rested[0],
            cpu - self._rested[1],
        )
        now = self.oracle.task.traffic or sent
        beside = {"repeats": repeats, "up": now.up - sent.up, "down": now.down - sent.down}
        batch = Batch(
            self._parts,
            losses.tolist(),
            digests,
            seconds,
            error,
            repaid=self._stopped,
            examples=points.examples,
            **beside,
        )
        self._stopped = 0
        self._journal.add_batch(batch, told)
        if told is not None:
            self.told = self.oracle.spread(told)
        return batch

    def rest(self) -> None:
        """Begin to count the optimizer's time from here: `evaluate` does, and whoever spends time that is nobody's."""
        self._rested = (time.perf_counter(), time.process_time())
