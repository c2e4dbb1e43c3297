"""The append-only file of a run in progress: one JSON record a line, each flushed before anybody learns of it."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from dfo_bench.core import Cost, Predicted
from dfo_bench.errors import BusyError, ReplayError, StoreError, unwritable, writing
from dfo_bench.runs.growing import Copy, append, open_growing
from dfo_bench.runs.header import Header
from dfo_bench.runs.lock import lock
from dfo_bench.runs.oracle import Told
from dfo_bench.runs.sidecar import Sidecar, checksum

FORMAT = 1
"""The version of the files of a run; a newer one is refused, not guessed at."""

plain_json = json.JSONEncoder(default=lambda value: value.item() if isinstance(value, np.generic) else str(value))
"""Writes what plugins hand over: their NumPy scalars as numbers, anything else as its text."""


def refuse_newer(path: Path, version: int) -> None:
    """Raise StoreError for a file of a later version."""
    if version > FORMAT:
        raise StoreError(f"{path} has format {version}, newer than {FORMAT}; update dfo-bench")


class Seconds(NamedTuple):
    """The wall and CPU seconds of the task and of the optimizer."""

    task_wall: float
    task_cpu: float
    optimizer_wall: float
    optimizer_cpu: float


@dataclass(frozen=True)
class Batch:
    """One batch of evaluations: losses (nan where it failed), digests of the points, and what it took.

    `begin` is how many came before it, in the parts in which its run counts. The optimizer's seconds are those since
    the last batch.
    """

    begin: int
    losses: list[float]
    digests: list[str]
    seconds: Seconds
    error: str = ""
    repaid: int = 0
    """How often this batch may have been evaluated before, by processes that were stopped before they could write."""
    told: int = 0
    """The checksum of what it told beside its losses, which stands elsewhere; 0 where it told nothing."""
    up: int = 0
    """The bytes that went up to a service for it; `down` those that came back."""
    down: int = 0
    repeats: int = 0
    """How many of its evaluations came to what was known, and cost no call."""
    examples: tuple[int, ...] = ()
    """The examples that its losses are the means of; () for all."""

    def size(self, unit: int) -> int:
        """Return how many parts each of its evaluations is, of the `unit` of a whole one."""
        return len(self.examples) or unit


@dataclass(frozen=True)
class Measurement:
    """One candidate scored on a split after `evaluation` evaluations."""

    evaluation: int
    split: str
    metrics: dict[str, float]
    cost: Cost
    seconds: float
    predicted: Predicted | None = None
    """What it predicted, the first time that it was scored, where it predicts a class for every row."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON, from which `from_json` makes an equal one."""
        plain = asdict(self)
        return plain if self.predicted else {name: value for name, value in plain.items() if name != "predicted"}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "Measurement":
        """Read what `to_json` made."""
        predicted = Predicted(**plain["predicted"]) if "predicted" in plain else None
        return cls(**{**plain, "cost": Cost(**plain["cost"]), "predicted": predicted})


@dataclass
class Log:
    """What a journal holds."""

    header: Header | None = None
    attempts: int = 0
    retried_at: set[int] = field(default_factory=set)
    """After how many batches a run that had failed was tried again."""
    lost: int = 0
    """How many evaluations were never answered, and were asked for anew when the failed run was tried again."""
    outage: bool = False
    """Whether its last process ended as the task was unavailable, with nothing in flight."""
    stopped: int = 0
    """How many processes were stopped since the last batch, each maybe while the next was in flight."""
    batches: list[Batch] = field(default_factory=list)
    measurements: list[Measurement] = field(default_factory=list)
    size: int = 0
    """Bytes up to the end of the last whole record."""
    written: str = ""
    """When the file was last written to, in UTC, in ISO 8601."""

    @classmethod
    def read(cls, path: Path) -> "Log":
        """Read a journal, which somebody else may be writing; half a line at its end is passed over."""
        log = cls()
        with path.open("rb") as lines:
            written = datetime.fromtimestamp(os.fstat(lines.fileno()).st_mtime, UTC)
            log.written = written.isoformat(timespec="seconds")
            for line in lines:
                if not line.endswith(b"\n"):
                    break
                try:
                    record = json.loads(line)
                    if not log.size:
                        refuse_newer(path, int(record["header"].get("format", FORMAT)))
                    log._take(record)
                except StoreError:
                    raise
                except (ValueError, KeyError, TypeError) as error:
                    raise StoreError(f"{path} is damaged at byte {log.size}; move it away to start anew") from error
                log.size += len(line)
        return log

    def _take(self, record: dict[str, Any]) -> None:
        if "header" in record:
            self.header = Header.from_json(record["header"])
        elif "outage" in record:
            self.outage = True
        elif "attempt" in record:
            # Of a line written twice the second holds nothing new, here and below.
            if record["attempt"] > self.attempts:
                self.attempts = record["attempt"]
                if record["retry"]:
                    self._lose(record.get("lost", 0))
                    self.retried_at.add(len(self.batches))
                elif self.attempts > 1 and not self.outage:
                    self.stopped += 1
                self.outage = False
        elif "begin" in record:
            if record["begin"] == self.spent:
                text = record.pop("digests")
                digests = [text[i : i + 16] for i in range(0, len(text), 16)]
                seconds, examples = Seconds(*record.pop("seconds")), tuple(record.pop("examples", ()))
                self.batches.append(Batch(digests=digests, seconds=seconds, examples=examples, **record))
                self.stopped = 0
        elif (measurement := Measurement.from_json(record)) not in self.measurements:
            self.measurements.append(measurement)

    def _lose(self, batches: int) -> None:
        """Forget the last batches, which were never answered."""
        before = self.evaluations
        del self.batches[len(self.batches) - batches :]
        self.lost += before - self.evaluations

    @property
    def unanswered(self) -> int:
        """How many batches at the end raised: nobody knows their losses, and nothing rests on them."""
        return next((i for i, batch in enumerate(reversed(self.batches)) if not batch.error), len(self.batches))

    @property
    def unit(self) -> int:
        """The parts in which an evaluation is counted."""
        return self.header.unit if self.header else 1

    @property
    def spent(self) -> int:
        """How many parts of evaluations the journal holds."""
        if not self.batches:
            return 0
        last = self.batches[-1]
        return last.begin + len(last.losses) * last.size(self.unit)

    @property
    def evaluations(self) -> int:
        """How many whole evaluations these are."""
        return self.spent // self.unit


class Journal:
    """A run's journal, opened for its one writer until the context ends."""

    def __init__(
        self, path: Path, header: Header, told: Path | None = None, width: int = 0, copy: Copy | None = None
    ) -> None:
        """Open or create; raise BusyError where another process has it open, StoreError where it cannot be written.

        `log` is all that the file holds, what an earlier attempt left included; a new journal begins with `header`.
        Where an optimizer is told `width` numbers of an evaluation beside its loss, the file `told` holds these.
        `copy` is told of all that is written to either, before anybody else learns of it.
        """
        self.path, self._copy = path, copy
        self._told: Sidecar | None = None
        self._fd = open_locked(path)
        try:
            self.log = Log.read(path)
            # A kill in the middle of a write leaves half a line: nobody was told of it, so it never happened.
            os.ftruncate(self._fd, self.log.size)
            self._size = self.log.size
            self.header = self.log.header or header
            if not self.log.header:
                self.log.header = header
                self._append({"header": {"format": FORMAT, **header.to_json()}})
            if told and width:
                self._told = Sidecar(told, width, self.log.evaluations, copy)
        except BaseException:
            os.close(self._fd)
            raise

    def __enter__(self) -> Self:
        """Return the journal."""
        return self

    def __exit__(self, *failure: object) -> None:
        """Give the run free for another writer."""
        self.close()

    def begin_attempt(self, *, retry: bool = False) -> None:
        """Note that a process begins or goes on with this run, or tries it again after it failed.

        Then what was not answered at its end is asked for anew.
        """
        attempt = {"attempt": self.log.attempts + 1, "retry": retry}
        if retry:
            attempt["lost"] = self.log.unanswered
        self._append(attempt)
        self.log._take(attempt)
        if self._told:
            self._told.cut(self.log.evaluations)

    def add_outage(self) -> None:
        """Note that this process ends while the task is unavailable: what it asked for last was not answered."""
        self._append({"outage": self.log.attempts})
        self.log.outage = True

    def add_batch(self, batch: Batch, told: Told | None = None) -> None:
        """Write a batch of evaluations; first what it told beside the losses, where it did."""
        if told is not None:
            assert self._told
            self._told.append(batch.begin, told)
            batch = replace(batch, told=checksum(told))
        record = {**vars(batch), "digests": "".join(batch.digests)}
        if not batch.up:
            # Most tasks ask no service.
            del record["up"], record["down"]
        for name in ("repeats", "examples"):
            if not record[name]:
                del record[name]
        self._append(record)
        self.log.batches.append(batch)

    def told(self, batch: Batch) -> Told:
        """Return what a batch told beside its losses, shape (n, width); raise ReplayError where that is damaged.

        Other points than the journal's would tell of it, too, but not after the last batch.
        """
        assert self._told
        told = self._told.read(batch.begin, len(batch.losses))
        if checksum(told) != batch.told:
            raise ReplayError(f"{self._told.path} holds something else than evaluation {batch.begin + 1} told")
        return told

    def add_measurement(self, measurement: Measurement) -> None:
        """Write a measurement."""
        self._append(measurement.to_json())
        self.log.measurements.append(measurement)

    def _append(self, record: dict[str, Any]) -> None:
        line = plain_json.encode(record).encode() + b"\n"
        try:
            append(self._fd, line)
        except OSError as error:
            # Not in a context, which would take longer than the writing, for every batch of a run.
            raise unwritable(self.path, error) from error
        if self._copy:
            self._copy(self.path.name, self._size, line)
        self._size += len(line)

    def close(self) -> None:
        """Give the run free for another writer."""
        if self._told:
            self._told.close()
        os.close(self._fd)


def open_locked(path: Path) -> int:
    """Open and lock a journal, which another process may unlink or rename at any moment; return its descriptor.

    Raise BusyError where another process writes the run.
    """
    while True:
        with writing(path):
            fd = open_growing(path)
        try:
            if not lock(fd, path):
                raise BusyError(f"{path.parent} is being written by another process")
            if os.path.samestat(os.fstat(fd), os.stat(path)):
                return fd
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(fd)
            raise
        # What was locked is no longer the run's journal.
        os.close(fd)
