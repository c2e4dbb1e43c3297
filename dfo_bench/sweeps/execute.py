"""A spec run in its folder of a store: locked, resumed or begun, and its results put in place."""

from pathlib import Path
from typing import Any

from dfo_bench.errors import InputError, ReplayError, StoreError
from dfo_bench.runs.assembly import assemble
from dfo_bench.runs.journal import Journal, Log
from dfo_bench.runs.loop import attempt, header, mismatch
from dfo_bench.runs.meter import Progress
from dfo_bench.runs.spec import RunSpec
from dfo_bench.store.filenames import JOURNAL
from dfo_bench.store.folder import read_summary, write_results
from dfo_bench.threads import single_threaded


def execute(spec: RunSpec, store: Path, progress: Progress = lambda spent, best, replayed: None) -> dict[str, Any]:
    """Run a spec in its folder of `store`, or go on with it where it stopped; return its summary.

    A run that has finished is left as it is. What fails inside the task or the optimizer ends as a summary of
    status "failed"; InputError, StoreError and BusyError are raised.
    """
    with single_threaded():
        assembly = assemble(spec)
        folder = store / assembly.key
        while True:
            summary = read_summary(folder)
            if summary and summary["status"] == "finished":
                (folder / JOURNAL).unlink(missing_ok=True)
                return summary
            try:
                folder.mkdir(exist_ok=True)
            except OSError as error:
                raise StoreError(f"{folder} cannot be written: {error.strerror}") from error
            journal = Journal(folder / JOURNAL, header(assembly))
            try:
                # Once more: another process may have finished it before this one had the journal.
                summary = read_summary(folder)
                if summary and summary["status"] == "finished":
                    journal.path.unlink(missing_ok=True)
                    return summary
                if difference := mismatch(assembly, journal.log.header):
                    if not summary:
                        raise InputError(difference)
                    # A failed run whose plugin was mended since: what it spent is kept, and counted as discarded.
                    _set_aside(folder)
                    continue
                # Whoever failed in order wrote a summary of as many attempts as the journal has.
                in_order = summary and summary["attempts"] == journal.log.attempts and not summary["interrupted"]
                journal.begin_attempt(retry=bool(in_order))
                discarded = sum(Log.read(path).evaluations for path in folder.glob("journal.*.jsonl"))
                table, summary = attempt(assembly, journal, progress, discarded)
                write_results(folder, table, summary)
                if summary["status"] == "finished":
                    # It may have been packed meanwhile.
                    journal.path.unlink(missing_ok=True)
                return summary
            except ReplayError:
                _set_aside(folder)
            finally:
                journal.close()


def _set_aside(folder: Path) -> None:
    """Keep a journal that cannot be gone on with beside the new one."""
    number = 1 + len(list(folder.glob("journal.*.jsonl")))
    (folder / JOURNAL).rename(folder / f"journal.{number}.jsonl")
