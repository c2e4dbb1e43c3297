"""The rule by which failed and unfinished runs count: one for all statistics, which can be switched."""

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


class Counting(StrEnum):
    """What a failed or unfinished run counts as beyond the evaluations that it made."""

    LAST = "last"
    """Its best so far, +inf before the first success; a metric that it was not measured on is missing."""
    WORST = "worst"
    """As bad as can be: a loss of +inf, a metric of -inf."""
    DROP = "drop"
    """Nothing, from its first evaluation on."""

    @property
    def words(self) -> str:
        """The rule as a clause."""
        return {
            "last": "failed and unfinished runs count with their best so far",
            "worst": "failed and unfinished runs count as the worst beyond their last evaluation",
            "drop": "failed and unfinished runs are left out",
        }[self]


def select_runs(runs: "pd.DataFrame", counting: Counting = Counting.LAST) -> "pd.DataFrame":
    """Return the runs that count: a failure is a result, a run that still waits for its turn is not."""
    if counting is Counting.DROP:
        return runs[runs["status"] == "finished"]
    return runs[(runs["evaluations"] > 0) | (runs["status"] == "failed")]
