"""Repeats: points that come to what was evaluated before, whose losses are known."""

from collections.abc import Sequence

import numpy as np

from dfo_bench.core import Array, Dense, Points
from dfo_bench.runs.oracle import Oracle, Told


class Repeats:
    """Evaluates each thing once; what was evaluated before a run was interrupted is known, too."""

    def __init__(self, oracle: Oracle) -> None:
        self._oracle = oracle
        self._known: dict[str, tuple[float, Told | None]] = {}

    def evaluate(self, points: Points) -> tuple[Array, Told | None, int]:
        """Return what `Oracle.evaluate` does, and how many points came to what was known."""
        names = self._name(points)
        if names is None:
            return *self._oracle.evaluate(points), 0
        first = {name: i for i, name in reversed(list(enumerate(names))) if name not in self._known}
        fresh = sorted(first.values())
        if fresh:
            some = points if len(fresh) == len(points) else Dense(points.dense()[fresh])
            some.examples = points.examples
            self._keep([names[i] for i in fresh], *self._oracle.evaluate(some))
        losses, told = zip(*(self._known[name] for name in names), strict=True)
        return np.array(losses), None if told[0] is None else np.array(told), len(names) - len(fresh)

    def remember(self, points: Points, losses: Sequence[float], told: Told | None) -> None:
        """Take in what a journal holds of points."""
        if (names := self._name(points)) is not None:
            self._keep(names, np.array(losses), told)

    def _name(self, points: Points) -> list[str] | None:
        """Return the names of points, with those of the examples."""
        names = self._oracle.task.identify(points)
        return [f"{name} on {points.examples}" for name in names] if names and points.examples else names

    def _keep(self, names: Sequence[str], losses: Array, told: Told | None) -> None:
        for i, name in enumerate(names):
            self._known[name] = float(losses[i]), None if told is None else told[i]
