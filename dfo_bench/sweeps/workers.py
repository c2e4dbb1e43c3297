"""The runs of a sweep, worked off one after another in this process, or N side by side in processes of their own.

A worker that dies takes only the run it was at with it; that run is reported as an error and the rest goes on.
"""

import ctypes
import multiprocessing
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType

from dfo_bench.errors import BusyError, DfoBenchError, Unavailable, say
from dfo_bench.runs.header import PlannedRun
from dfo_bench.runs.meter import Progress
from dfo_bench.runs.summary import Summary
from dfo_bench.store.folder import mark_failed
from dfo_bench.sweeps.events import Advance, Ended, Event
from dfo_bench.sweeps.execute import execute

_INTERVAL_S = 0.2
"""How often a run speaks of its progress."""


def run_all(runs: Sequence[PlannedRun], store: Path, hear: Callable[[Event], None], *, workers: int) -> None:
    """Execute every run, and tell `hear` of every advance and end.

    KeyboardInterrupt stops all workers and leaves a store that resumes.
    """
    if workers == 1:
        for run in runs:
            hear(_run(run, store, hear))
    else:
        _run_side_by_side(runs, store, workers, hear)


def _run(run: PlannedRun, store: Path, hear: Callable[[Advance], None]) -> Ended:
    return watch(run, lambda progress: execute(run.spec, store, progress, run.checks), hear)


def watch(run: PlannedRun, go: Callable[[Progress], Summary], hear: Callable[[Advance], None]) -> Ended:
    """Return how a run ends that `go` makes, whatever that raises, and tell `hear` how far it is meanwhile."""
    spoken = 0.0

    def progress(evaluations: float, best: float, replayed: bool) -> None:
        nonlocal spoken
        now = time.monotonic()
        if now - spoken > _INTERVAL_S:
            spoken = now
            hear(Advance(run.key, evaluations, best, replayed))

    try:
        return Ended(run.key, go(progress))
    except BusyError:
        return Ended(run.key, None, "under way in another process", elsewhere=True)
    except Unavailable as error:
        return Ended(run.key, None, f"interrupted, its task is unavailable: {error}", interrupted=True)
    except DfoBenchError as error:
        return Ended(run.key, None, str(error))
    except Exception as error:
        return Ended(run.key, None, say(error))


def _serve(connection: Connection, store: Path) -> None:
    """Work off runs from the connection until it closes."""
    # Ctrl-C reaches the whole process group; the parent decides, and ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent()
    try:
        while True:
            connection.send(_run(connection.recv(), store, connection.send))
    except EOFError:
        return


def die_with_parent() -> None:
    """Let the kernel end this process when its parent is killed: nobody else may write the runs meanwhile."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def _run_side_by_side(runs: Sequence[PlannedRun], store: Path, workers: int, hear: Callable[[Event], None]) -> None:
    # Not fork: a forked copy of a process that has started threads (torch's) may hang.
    context = multiprocessing.get_context("spawn")
    at_work: dict[Connection, tuple[BaseProcess, PlannedRun]] = {}
    waiting = iter(runs)

    def start() -> tuple[Connection, BaseProcess]:
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, store))
        with _ctrl_c_held_back(), _main_left_out():
            process.start()
        theirs.close()
        return ours, process

    def give(connection: Connection, process: BaseProcess) -> None:
        run = next(waiting, None)
        if run is None:
            connection.close()
        else:
            connection.send(run)
            at_work[connection] = process, run

    try:
        for _ in range(min(workers, len(runs))):
            give(*start())
        while at_work:
            for connection in wait(list(at_work)):
                assert isinstance(connection, Connection)
                process, run = at_work[connection]
                try:
                    event: Event = connection.recv()
                except (EOFError, ConnectionResetError):
                    process.join()
                    error = f"its worker process died with exit code {process.exitcode}"
                    event = Ended(run.key, mark_failed(store / run.key, error), error)
                hear(event)
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


@contextmanager
def _main_left_out() -> Iterator[None]:
    """Let a process that starts here not import the program that asks for it.

    A worker needs nothing of it, and a program that comes from standard input, or calls `sweep` without asking whether
    it is the main one, cannot be imported.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
