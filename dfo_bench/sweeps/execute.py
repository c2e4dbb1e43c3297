"""A spec run in its folder of a store: locked, begun or resumed, and its results put in place."""

from pathlib import Path

from dfo_bench.errors import InputError, ReplayError, writing
from dfo_bench.runs.assembly import Assembly, assemble
from dfo_bench.runs.growing import Copy
from dfo_bench.runs.header import Header
from dfo_bench.runs.journal import Journal, Log
from dfo_bench.runs.loop import attempt, header, mismatch
from dfo_bench.runs.meter import Progress
from dfo_bench.runs.spec import RunSpec
from dfo_bench.runs.summary import Summary
from dfo_bench.store.filenames import JOURNAL, TOLD
from dfo_bench.store.folder import read_summary, write_results
from dfo_bench.threads import single_threaded


def execute(
    spec: RunSpec,
    store: Path,
    progress: Progress = lambda spent, best, replayed: None,
    checks: tuple[str, ...] = (),
) -> Summary:
    """Run a spec in its folder of `store`, or go on with it where it stopped; return its summary.

    `checks` is what is known of its task beforehand.

    A run that has finished is left as it is. What fails inside the task or the optimizer ends as a summary of
    status "failed"; InputError, StoreError, BusyError and, of a task that stays so, Unavailable are raised.
    """
    with single_threaded():
        assembly = assemble(spec)
        return carry_out(assembly, header(assembly, checks), store / assembly.key, progress)


def carry_out(
    assembly: Assembly, header: Header, folder: Path, progress: Progress, copy: Copy | None = None
) -> Summary:
    """Do what `execute` says with a run whose parts are built; `copy` is told of what its journal takes."""
    try:
        return _go_on(assembly, header, folder, progress, copy)
    except ReplayError:
        # Its journal was set aside: the run begins anew.
        return _go_on(assembly, header, folder, progress, copy)


def _go_on(assembly: Assembly, header: Header, folder: Path, progress: Progress, copy: Copy | None) -> Summary:
    """Run to the end; set aside a journal that cannot be gone on with, and raise ReplayError."""
    if done := finished(folder):
        return done
    with writing(folder):
        folder.mkdir(exist_ok=True)
    with Journal(folder / JOURNAL, header, folder / TOLD, assembly.oracle.width, copy) as journal:
        # Once more: another process may have finished it before this one had the journal.
        if done := finished(folder):
            return done
        try:
            return _resume(assembly, folder, journal, progress)
        except ReplayError:
            set_aside(folder)
            raise


def _resume(assembly: Assembly, folder: Path, journal: Journal, progress: Progress) -> Summary:
    """Go on with a run whose journal is held; raise ReplayError where that cannot be."""
    failed = read_summary(folder)
    if difference := mismatch(assembly, journal.header):
        if not failed:
            raise InputError(difference)
        # A failed run whose plugin was mended since: what it spent is kept, and counted as discarded.
        raise ReplayError(difference)
    # Whoever failed in order wrote a summary of as many attempts as the journal has.
    in_order = failed is not None and failed.attempts == journal.log.attempts and not failed.interrupted
    spent = failed is not None and failed.evaluations >= assembly.spec.budget and not journal.log.unanswered
    if in_order and failed and failed.incumbent is None and spent:
        # A replay could only fail again: nothing is left to evaluate, as after the fit of a reference.
        raise ReplayError("its whole budget was spent on evaluations that failed")
    journal.begin_attempt(retry=in_order)
    discarded = sum(Log.read(path).evaluations for path in folder.glob("journal.*.jsonl"))
    table, summary = attempt(assembly, journal, progress, discarded)
    write_results(folder, table, summary)
    if summary.status == "finished":
        remove_journal(folder)
    return summary


def finished(folder: Path) -> Summary | None:
    """Return the summary of a run that has finished, whose journal has nothing more to say."""
    summary = read_summary(folder)
    if summary is None or summary.status != "finished":
        return None
    remove_journal(folder)
    return summary


def remove_journal(folder: Path) -> None:
    """Remove the journal and what was told, which may have been packed meanwhile."""
    for name in (JOURNAL, TOLD):
        (folder / name).unlink(missing_ok=True)


def set_aside(folder: Path) -> None:
    """Keep a journal that cannot be gone on with beside the new one.

    What was told beside the losses goes: nobody reads it again, and it may be large.
    """
    number = 1 + len(list(folder.glob("journal.*.jsonl")))
    (folder / JOURNAL).rename(folder / f"journal.{number}.jsonl")
    (folder / TOLD).unlink(missing_ok=True)
