"""Whole calls, made of parts: what evaluations on some of a task's examples come to, one row of the curve a call."""

from typing import NamedTuple

import numpy as np

from dfo_bench.core import Points
from dfo_bench.runs.journal import Batch


class Row(NamedTuple):
    """The best of the points that were complete by the end of a call: none has the loss nan and no digest."""

    loss: float = np.nan
    digest: str = ""
    point: Points | None = None


class Calls:
    """Adds up parts. A point is complete once its parts, none of them twice, are all there are.

    Its loss is their mean, and counts at the end of the call in which the last of them was spent.
    """

    def __init__(self, unit: int) -> None:
        """`unit` is how many parts a call has."""
        self._unit, self._spent, self._over = unit, 0, 0
        self._begun: dict[str, tuple[int, float]] = {}
        self._best = Row()

    def add(self, batch: Batch, points: Points | None = None) -> list[Row]:
        """Return a row for each call that is over with a batch; with the points of the batch each has its own."""
        size, rows = batch.size(self._unit), list[Row]()
        mask = sum(1 << example for example in batch.examples) or (1 << self._unit) - 1
        for i, (digest, loss) in enumerate(zip(batch.digests, batch.losses, strict=True)):
            self._spent += size
            # What is complete now counts in the call that this part belongs to, not in one that was over before.
            rows += self._end(self._spent - 1)
            whole = self._complete(digest, mask, size, loss)
            if whole is not None and -np.inf < whole and not whole >= self._best.loss:
                self._best = Row(whole, digest, None if points is None else points[i : i + 1])
            rows += self._end(self._spent)
        return rows

    def cut(self) -> Row:
        """End the call that was begun: what is left of it is less than what was asked for."""
        self._over += 1
        row, self._best = self._best, Row()
        return row

    def _complete(self, digest: str, mask: int, size: int, loss: float) -> float | None:
        """Return the loss of a point, if it is complete with a part."""
        if size == self._unit:
            return loss
        seen, total = self._begun.get(digest, (0, 0.0))
        if seen & mask:
            return None
        seen, total = seen | mask, total + size * loss
        if seen + 1 == 1 << self._unit:
            self._begun.pop(digest)
            return total / self._unit
        self._begun[digest] = seen, total
        return None

    def _end(self, spent: int) -> list[Row]:
        """Return a row for each call that is over when so much is spent; only the first of them can have a point."""
        rows = []
        while (self._over + 1) * self._unit <= spent:
            rows.append(self.cut())
        return rows
