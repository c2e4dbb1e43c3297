"""What a comparison is made by; whoever shows one says so."""

from dataclasses import dataclass

from dfo_bench.errors import InputError, UnknownNameError
from dfo_bench.report.counting import Counting
from dfo_bench.report.stats.comparisons import MARGIN
from dfo_bench.report.stats.costs import AXES


@dataclass(frozen=True)
class Rules:
    """The metric, the budget at which losses are compared (None: the common one), failed runs, and what is a tie.

    `against` is the cost that curves are drawn against, one of `costs.AXES`.
    """

    metric: str = "loss"
    budget: int | None = None
    counting: Counting = Counting.LAST
    margin: float = MARGIN
    against: str = "evaluation"

    @property
    def name(self) -> str:
        """Name the metric as people write it."""
        return self.metric.replace("_", " ")


STANDARD = Rules()


def parse_rules(
    *,
    metric: str | None = None,
    budget: int | None = None,
    counting: str | None = None,
    margin: float | None = None,
    against: str | None = None,
) -> Rules:
    """Return the rules that a user has written, None for the standard ones; raise InputError for what is none."""
    if counting is not None and counting not in list(Counting):
        raise UnknownNameError("rule of counting", counting, Counting)
    if against is not None and against not in AXES:
        raise UnknownNameError("cost", against, AXES)
    if margin is not None and not 0 <= margin < 1:
        raise InputError(f"margin must be a share from 0 to below 1, got {margin:g}")
    if budget is not None and budget < 1:
        raise InputError(f"budget must be at least 1, got {budget}")
    return Rules(
        metric or STANDARD.metric,
        budget,
        STANDARD.counting if counting is None else Counting(counting),
        STANDARD.margin if margin is None else margin,
        against or STANDARD.against,
    )
