"""The events of a sweep, told to whoever listens to it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from dfo_bench.runs.header import PlannedRun
from dfo_bench.runs.summary import Summary
from dfo_bench.sweeps.estimate import Estimate


@dataclass(frozen=True)
class Advance:
    """How far the run of a key is."""

    key: str
    evaluations: float
    """A part of one evaluation while a reference is fitted."""
    best: float
    replayed: bool


@dataclass(frozen=True)
class Ended:
    """A run that ended: with its summary, or with why there is none.

    `elsewhere` says that another process is at work on it, which is no failure.
    """

    key: str
    summary: Summary | None
    error: str = ""
    elsewhere: bool = False
    interrupted: bool = False
    """Whether its task was unavailable for longer than it is waited for; the same sweep goes on with it."""

    @property
    def failed(self) -> bool:
        """Whether it has to be tried again."""
        return not self.elsewhere and not self.interrupted and (self.summary is None or self.summary.status == "failed")


Event = Advance | Ended


class Listener:
    """Listens to a sweep, in silence: a base for those that show or count what happens."""

    def expect(self, estimate: Estimate) -> None:
        """Be told, before the first run, what is ahead."""

    @contextmanager
    def begin(self, runs: Sequence[PlannedRun]) -> Iterator[None]:
        """Be there while these runs are worked off."""
        yield

    def hear(self, event: Event) -> None:
        """Be told of an event."""

    def tell(self, line: str) -> None:
        """Be told, in words, what was decided on the way: which opponents were taken over, how a race stands."""
