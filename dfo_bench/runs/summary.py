"""The summary of a run: all that it came to, in one record."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from dfo_bench.points import Points, expand
from dfo_bench.runs.curve import curve
from dfo_bench.runs.header import Header
from dfo_bench.runs.journal import FORMAT, Batch, Log, Measurement, Seconds
from dfo_bench.runs.machine import Provenance, provenance

Status = Literal["finished", "failed", "unfinished"]


@dataclass(frozen=True)
class Kept:
    """A candidate that is kept, and the evaluation that found it; `dfo_bench.runs.rebuild` makes its point again."""

    evaluation: int
    recipe: Mapping[str, Any]
    text: str = ""
    """The candidate as text, where it is some."""

    @classmethod
    def of(cls, point: Points | None, evaluation: int, text: str = "") -> "Kept | None":
        """Keep a single candidate, if there is one."""
        return None if point is None else cls(evaluation, expand(point), text)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON, of which `Kept` makes an equal one."""
        return {"evaluation": self.evaluation, "recipe": self.recipe, **({"text": self.text} if self.text else {})}


@dataclass(frozen=True)
class Totals:
    """The wall and CPU seconds of a run's task and optimizer, and those of measuring; nan where they are not known."""

    task_wall: float
    task_cpu: float
    optimizer_wall: float
    optimizer_cpu: float
    measuring_wall: float

    @classmethod
    def of(cls, batches: Sequence[Batch], measurements: Sequence[Measurement]) -> "Totals":
        """Add up a run's seconds."""
        spent = Seconds(*(math.fsum(batch.seconds[i] for batch in batches) for i in range(4)))
        return cls(*spent, math.fsum(measured.seconds for measured in measurements))


@dataclass(frozen=True)
class Summary(Header):
    """A run as it ended, or, with status "unfinished", as far as its journal tells."""

    status: Status
    error: str
    best_loss: float
    evaluations: int
    incumbent: Kept | None
    selected: Kept | None
    """The candidate that was scored on test."""
    measurements: Sequence[Measurement]
    seconds: Totals
    provenance: Provenance | None
    """None of a run of another program."""
    peak_memory: int | None = None
    peak_device_memory: int | None = None
    sent_up: int | None = None
    """The bytes that its evaluations really sent to a service; None where they asked none. `sent_down` came back."""
    sent_down: int | None = None
    repeats: int = 0
    """How many evaluations came to what was known, and cost no call."""
    attempts: int = 1
    repaid: int = 0
    """How many evaluations may have been paid for in vain, and were paid for again."""
    discarded: int = 0
    """How many evaluations were paid for by attempts that could not be gone on with."""
    lost: int = 0
    """How many evaluations were never answered, and were asked for anew when the failed run was tried again."""
    events: Sequence[str] = ()
    interrupted: bool = False
    """Whether its last attempt was stopped from outside."""
    imported: Mapping[str, Any] | None = None
    """Where a run of another program came from, as plain JSON."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON, from which `from_json` makes an equal one."""
        imported = {"imported": dict(self.imported)} if self.imported else {}
        sent = {} if self.sent_up is None else {"sent_up": self.sent_up, "sent_down": self.sent_down}
        return {
            "format": FORMAT,
            **super().to_json(),
            "status": self.status,
            "error": self.error,
            "best_loss": self.best_loss,
            "evaluations": self.evaluations,
            "incumbent": self.incumbent.to_json() if self.incumbent else None,
            "selected": self.selected.to_json() if self.selected else None,
            "measurements": [measurement.to_json() for measurement in self.measurements],
            "seconds": asdict(self.seconds),
            "peak_memory": self.peak_memory,
            "peak_device_memory": self.peak_device_memory,
            **sent,
            **({"repeats": self.repeats} if self.repeats else {}),
            "attempts": self.attempts,
            "repaid": self.repaid,
            "discarded": self.discarded,
            "lost": self.lost,
            "events": list(self.events),
            "interrupted": self.interrupted,
            **imported,
            "provenance": asdict(self.provenance) if self.provenance else {},
        }

    @classmethod
    def _fields(cls, plain: Mapping[str, Any]) -> dict[str, Any]:
        same = ("status", "error", "best_loss", "evaluations", "attempts", "repaid", "discarded", "events")
        return {
            **super()._fields(plain),
            **{name: plain[name] for name in (*same, "interrupted")},
            "incumbent": Kept(**plain["incumbent"]) if plain["incumbent"] else None,
            "selected": Kept(**plain["selected"]) if plain["selected"] else None,
            "measurements": [Measurement.from_json(measurement) for measurement in plain["measurements"]],
            "seconds": Totals(**plain["seconds"]),
            # The first summaries have no memory, and what was not answered was not asked for anew.
            "lost": plain.get("lost", 0),
            "peak_memory": plain.get("peak_memory"),
            "peak_device_memory": plain.get("peak_device_memory"),
            "sent_up": plain.get("sent_up"),
            "sent_down": plain.get("sent_down"),
            "repeats": plain.get("repeats", 0),
            "provenance": Provenance(**plain["provenance"]) if plain["provenance"] else None,
            "imported": plain.get("imported"),
        }


def count_sent(batches: Sequence[Batch]) -> tuple[int | None, int | None]:
    """Return the bytes that batches really sent to a service, and got back; None where they asked none."""
    up, down = (sum(getattr(batch, way) for batch in batches) for way in ("up", "down"))
    return (up, down) if up else (None, None)


def count_repaid(batches: Sequence[Batch], unit: int) -> int:
    """Return how many evaluations may have been paid for in vain, and were paid for again."""
    return sum(len(batch.losses) * batch.size(unit) * batch.repaid for batch in batches) // unit


def count_repeats(batches: Sequence[Batch], unit: int) -> int:
    """Return how many evaluations came to what was known."""
    return sum(batch.size(unit) * batch.repeats for batch in batches) // unit


def in_progress(header: Header, log: Log, status: Status = "unfinished", error: str = "") -> Summary:
    """Return what the journal of a run says of it, which has not ended, or whose process died."""
    sent_up, sent_down = count_sent(log.batches)
    best = curve(log.batches, header.unit)["best"]
    return Summary(
        **vars(header),
        status=status,
        error=error,
        best_loss=best[-1].as_py() if len(best) else math.inf,
        evaluations=log.evaluations,
        incumbent=None,
        selected=None,
        measurements=log.measurements,
        seconds=Totals.of(log.batches, log.measurements),
        peak_memory=None,
        peak_device_memory=None,
        sent_up=sent_up,
        sent_down=sent_down,
        repeats=count_repeats(log.batches, header.unit),
        attempts=log.attempts,
        repaid=count_repaid(log.batches, header.unit),
        discarded=0,
        lost=log.lost,
        events=[],
        interrupted=True,
        provenance=replace(provenance(header.spec.backend), ended=log.written),
    )
