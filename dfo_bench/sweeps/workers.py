"""Runs specs one after another in this process, or N side by side in processes of their own.

A worker that dies takes only the run it was at with it; that run is reported as an error and the rest goes on.
"""

import ctypes
import multiprocessing
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from dfo_bench.errors import DfoBenchError, say
from dfo_bench.runs.spec import RunSpec
from dfo_bench.store.folder import mark_failed
from dfo_bench.sweeps.execute import execute

_INTERVAL_S = 0.2
"""How often a run speaks of its progress."""


@dataclass(frozen=True)
class Advance:
    """How far a run is."""

    spec: RunSpec
    evaluations: int
    best: float
    replayed: bool


@dataclass(frozen=True)
class Ended:
    """A run that ended: with its summary, or with why there is none."""

    spec: RunSpec
    summary: dict[str, Any] | None
    error: str = ""


Event = Advance | Ended


def run_all(specs: Mapping[RunSpec, str], store: Path, workers: int, listen: Callable[[Event], None]) -> None:
    """Execute every spec, given with its key, and tell `listen` of every advance and end.

    KeyboardInterrupt stops all workers and leaves a store that resumes.
    """
    if workers == 1:
        for spec in specs:
            listen(_run(spec, store, listen))
    else:
        _run_side_by_side(specs, store, workers, listen)


def _run(spec: RunSpec, store: Path, listen: Callable[[Advance], None]) -> Ended:
    spoken = 0.0

    def progress(evaluations: int, best: float, replayed: bool) -> None:
        nonlocal spoken
        now = time.monotonic()
        if now - spoken > _INTERVAL_S:
            spoken = now
            listen(Advance(spec, evaluations, best, replayed))

    try:
        return Ended(spec, execute(spec, store, progress))
    except DfoBenchError as error:
        return Ended(spec, None, str(error))
    except Exception as error:
        return Ended(spec, None, say(error))


def _serve(connection: Connection, store: Path) -> None:
    """Work off specs from the connection until it closes."""
    # Ctrl-C reaches the whole process group; the parent decides, and ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with_parent()
    try:
        while True:
            connection.send(_run(connection.recv(), store, connection.send))
    except EOFError:
        return


def _die_with_parent() -> None:
    """Let the kernel end this process when its parent is killed: nobody else may write the runs meanwhile."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def _run_side_by_side(specs: Mapping[RunSpec, str], store: Path, workers: int, listen: Callable[[Event], None]) -> None:
    # Not fork: a forked copy of a process that has started threads (torch's) may hang.
    context = multiprocessing.get_context("spawn")
    at_work: dict[Connection, tuple[BaseProcess, RunSpec]] = {}
    waiting = iter(specs)

    def start() -> tuple[Connection, BaseProcess]:
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, store))
        with _ctrl_c_held_back():
            process.start()
        theirs.close()
        return ours, process

    def give(connection: Connection, process: BaseProcess) -> None:
        spec = next(waiting, None)
        if spec is None:
            connection.close()
        else:
            connection.send(spec)
            at_work[connection] = process, spec

    try:
        for _ in range(min(workers, len(specs))):
            give(*start())
        while at_work:
            for connection in wait(list(at_work)):
                assert isinstance(connection, Connection)
                process, spec = at_work[connection]
                try:
                    event: Event = connection.recv()
                except (EOFError, ConnectionResetError):
                    process.join()
                    error = f"its worker process died with exit code {process.exitcode}"
                    event = Ended(spec, mark_failed(store / specs[spec], error), error)
                listen(event)
                if isinstance(event, Ended):
                    del at_work[connection]
                    give(*((connection, process) if process.is_alive() else start()))
    finally:
        # Not terminate: a stopped process would never hear it. The journal is made to be cut off anywhere.
        for process, _ in at_work.values():
            process.kill()
        for process, _ in at_work.values():
            process.join()


@contextmanager
def _ctrl_c_held_back() -> Iterator[None]:
    """Let a process that starts here be born deaf to Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
