"""Dev on schedule and test once: what the search has found is worth on data that it does not see."""

import time
from collections.abc import Mapping, Sequence

from dfo_bench.core import Cost, Points, Scores, Task
from dfo_bench.errors import RunError
from dfo_bench.runs.columns import meets
from dfo_bench.runs.defaults import Selection
from dfo_bench.runs.journal import Journal, Measurement
from dfo_bench.runs.meter import Meter


def worth(metrics: Mapping[str, float], metric: str) -> tuple[float, float]:
    """Return what orders candidates on dev: the metric, higher is better, then the loss, lower is better."""
    return metrics.get(metric, 0.0), -metrics.get("loss", 0.0)


def best_on_dev(measurements: Sequence[Measurement], metric: str) -> dict[str, float]:
    """Return the scores on dev of the candidate that dev selects; {} where it has scored none."""
    dev = [measurement.metrics for measurement in measurements if measurement.split == "dev"]
    return max(dev, key=lambda metrics: worth(metrics, metric), default={})


class Measurer:
    """Scores a run's incumbent or current candidate on dev, and on test the one that dev likes best of them.

    `selected` is that candidate and `selected_at` the evaluation that found it.
    """

    def __init__(self, task: Task, journal: Journal, selection: Selection) -> None:
        self.task, self._journal, self._selection = task, journal, selection
        self.selected: Points | None = None
        self.selected_at = 0
        self._best = (-float("inf"), -float("inf"))
        self._scored: Mapping[str, float] | None = None
        self._scored_at = 0

    def dev(self, meter: Meter) -> None:
        """Score a candidate on dev, if there is one, and select it if it is better than all before."""
        incumbent = self._selection == "incumbent"
        candidate, found_at = (meter.incumbent, meter.found_at) if incumbent else (meter.current, meter.spent)
        if "dev" not in self.task.splits or candidate is None:
            return
        # The same candidate as last time has the same score, and a service would charge for asking again.
        known = self._scored if self._scored_at == found_at else None
        self._scored, self._scored_at = self._score(candidate, "dev", meter, known), found_at
        value = worth(self._scored, self.task.metric)
        if value > self._best:
            self._best, self.selected, self.selected_at = value, candidate, found_at

    def test(self, meter: Meter) -> None:
        """Score the selected candidate on test; the incumbent where dev has selected none."""
        if self.selected is None:
            self.selected, self.selected_at = meter.incumbent, meter.found_at
        if "test" in self.task.splits and self.selected is not None:
            self._score(self.selected, "test", meter)

    @property
    def written(self) -> str:
        """The selected candidate as text, "" where it is none."""
        return "" if self.selected is None else self.task.write(self.selected)

    def _score(
        self, point: Points, split: str, meter: Meter, known: Mapping[str, float] | None = None
    ) -> Mapping[str, float]:
        """Return the metrics: those in the journal, those known, or those measured now; the last two are journalled.

        What it predicts is journalled the first time.
        """
        evaluation = meter.spent
        for old in self._journal.log.measurements:
            if (old.split, old.evaluation) == (split, evaluation):
                return old.metrics
        begin = time.perf_counter()
        if known is None:
            scores = meter.patience.ask(lambda: self.task.score(point, split))
            begin, _ = meter.patience.asked
        else:
            scores = Scores(known, Cost())
        for metric in scores.metrics:
            if column := meets(metric):
                raise RunError(f"the task scores a metric {metric!r}, whose column {column} is taken; rename it")
        metrics = {name: float(value) for name, value in scores.metrics.items()}
        seconds = time.perf_counter() - begin
        self._journal.add_measurement(Measurement(evaluation, split, metrics, scores.cost, seconds, scores.predicted))
        return metrics
