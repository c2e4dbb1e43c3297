"""The rules of a comparison; whatever shows one says by which rules."""

from dataclasses import dataclass

from dfo_bench.errors import InputError, UnknownNameError
from dfo_bench.report.counting import Counting
from dfo_bench.runs.defaults import MARGIN


@dataclass(frozen=True)
class Axis:
    """A cost that a curve is drawn against: its name, and the unit behind its numbers."""

    name: str
    unit: str


AXES = {
    "evaluation": Axis("calls", "calls"),
    "examples": Axis("examples", "examples"),
    "tokens": Axis("tokens", "tokens"),
    "bytes_up_z": Axis("bytes up, as z", "B"),
    "bytes_up_prompt": Axis("bytes up, as prompts", "B"),
    "bytes_down": Axis("bytes down", "B"),
    "task_seconds": Axis("task seconds", "s"),
    "total_seconds": Axis("total seconds", "s"),
}
"""Every cost that a curve can be drawn against; total seconds are the task's and the optimizer's."""


@dataclass(frozen=True)
class Rules:
    """The metric, the budget at which losses are compared (None: the common one), failed runs, and what is a tie.

    `against` is the cost that curves are drawn against, one of AXES; `reference` is whose losses a speedup is to reach.
    """

    metric: str = "loss"
    budget: int | None = None
    counting: Counting = Counting.LAST
    margin: float = MARGIN
    against: str = "evaluation"
    reference: str = "cma"

    @property
    def name(self) -> str:
        """The metric as people write it."""
        return self.metric.replace("_", " ")


STANDARD = Rules()


def parse_rules(
    *,
    metric: str | None = None,
    budget: int | None = None,
    counting: str | None = None,
    margin: float | None = None,
    against: str | None = None,
    reference: str | None = None,
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
        reference or STANDARD.reference,
    )
