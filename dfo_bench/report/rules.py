"""What a comparison is made by; whoever shows one says so."""

from dataclasses import dataclass

from dfo_bench.report.comparisons import MARGIN
from dfo_bench.report.counting import Counting


@dataclass(frozen=True)
class Rules:
    """The metric, the budget at which losses are compared (None: the common one), failed runs, and what is a tie."""

    metric: str = "loss"
    budget: int | None = None
    counting: Counting = Counting.LAST
    margin: float = MARGIN

    @property
    def name(self) -> str:
        """Name the metric as people write it."""
        return self.metric.replace("_", " ")


STANDARD = Rules()
