"""The worker on a node of a cluster: it works off runs, and tells the driver all that their journals take."""

import queue
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from dfo_bench.errors import InputError
from dfo_bench.runs.assembly import assemble
from dfo_bench.runs.header import PlannedRun
from dfo_bench.runs.loop import header
from dfo_bench.runs.meter import Progress
from dfo_bench.runs.summary import Summary
from dfo_bench.store.filenames import CURVE, JOURNAL, SUMMARY
from dfo_bench.sweeps.cluster.freight import Parcel, unpack
from dfo_bench.sweeps.events import Advance, Ended
from dfo_bench.sweeps.execute import carry_out
from dfo_bench.sweeps.workers import watch
from dfo_bench.threads import single_threaded

_PAUSE_S = 1.0
"""How long a word of progress waits for something to be written, with which it travels."""


@dataclass(frozen=True)
class Piece:
    """What stands in a file of the run from a place on, in bytes; what was beyond it is gone."""

    name: str
    begin: int
    data: bytes


@dataclass(frozen=True)
class Results:
    """How a run ended, and the files that say so, in the order in which they are put in place."""

    ended: Ended
    files: Mapping[str, bytes]


Message = Advance | Piece | Results


class Slot:
    """Works off one run at a time in a folder of its own, by `run`, while the driver asks `hear` again and again.

    A line of a journal stands in the driver's store before the run goes on: what is lost with a node is what it was
    just computing, as in a process that is killed.
    """

    def __init__(self) -> None:
        self._said: queue.SimpleQueue[tuple[Message, threading.Event]] = queue.SimpleQueue()
        self._heard: list[tuple[Message, threading.Event]] = []

    def run(self, run: PlannedRun, files: Mapping[str, bytes], freight: Mapping[str, Parcel]) -> None:
        """Begin a run, or go on with that of `files`, whose paths lead to what `freight` holds; end with Results."""
        results: dict[str, bytes] = {}

        def go(progress: Progress) -> Summary:
            with TemporaryDirectory(prefix="dfo-bench-") as scratch, single_threaded():
                folder = Path(scratch)
                for name, data in files.items():
                    (folder / name).write_bytes(data)
                assembly = assemble(unpack(run.spec, freight))
                if assembly.key != run.key:
                    raise InputError(
                        f"run {run.key} would be another, {assembly.key}, on this node of the cluster: it has other "
                        "data, or another model, of that name; name them by paths, which travel"
                    )
                # The paths of this node concern nobody.
                head = replace(header(assembly, run.checks), spec=run.spec, shown=run.shown)
                summary = carry_out(assembly, head, folder, progress, self._copy)
                results.update({name: (folder / name).read_bytes() for name in (CURVE, SUMMARY)})
                return summary

        self._say(Results(watch(run, go, self._say), results))

    def hear(self) -> list[Message]:
        """Return what is to be heard, in order, at least one message; the driver has written what it heard before."""
        for _, written in self._heard:
            written.set()
        self._heard = [self._said.get()]
        until = time.monotonic() + _PAUSE_S
        with suppress(queue.Empty):
            while isinstance(self._heard[-1][0], Advance):
                self._heard.append(self._said.get(timeout=max(0.0, until - time.monotonic())))
        while not self._said.empty():
            self._heard.append(self._said.get())
        return [message for message, _ in self._heard]

    def _say(self, message: Message) -> None:
        self._said.put((message, threading.Event()))

    def _copy(self, name: str, begin: int, data: bytes) -> None:
        written = threading.Event()
        self._said.put((Piece(name, begin, data), written))
        if name == JOURNAL:
            written.wait()
