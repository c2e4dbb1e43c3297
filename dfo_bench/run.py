"""One run, from its spec to its folder: ask, evaluate, tell, until the budget is spent; resumed by replay."""

import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dfo_bench import record
from dfo_bench.assemble import Assembly, assemble
from dfo_bench.core import Points
from dfo_bench.errors import InputError, ReplayError, RunError, StoreError
from dfo_bench.journal import FORMAT, Journal, Log
from dfo_bench.measure import Measurer
from dfo_bench.meter import Meter, Progress
from dfo_bench.points import expand
from dfo_bench.spec import RunSpec
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
            summary = record.read(folder)
            if summary and summary["status"] == "finished":
                (folder / record.JOURNAL).unlink(missing_ok=True)
                return summary
            try:
                folder.mkdir(exist_ok=True)
            except OSError as error:
                raise StoreError(f"{folder} cannot be written: {error.strerror}") from error
            journal = Journal(folder / record.JOURNAL, header(assembly))
            try:
                # Once more: another process may have finished it before this one had the journal.
                summary = record.read(folder)
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
                return _attempt(assembly, folder, journal, progress)
            except ReplayError:
                _set_aside(folder)
            finally:
                journal.close()


def header(assembly: Assembly) -> dict[str, Any]:
    """Return what the first line of a run's journal says."""
    return {
        "format": FORMAT,
        "key": assembly.key,
        "spec": assembly.spec.to_json(),
        "shown": assembly.shown(),
        "digests": assembly.source_digests(),
        "optimum": assembly.task.optimum,
        "metric": assembly.task.metric,
        "cost": asdict(assembly.cost),
    }


def changes(assembly: Assembly, header: dict[str, Any]) -> dict[str, str]:
    """Return the sources and data that are not those a run was made with, each with its digests then and now."""
    now, then = assembly.source_digests(), header["digests"]
    return {name: f"{then.get(name)} is now {now[name]}" for name in now if now[name] != then.get(name)}


def mismatch(assembly: Assembly, header: dict[str, Any]) -> str:
    """Say in a line how a run was made with other sources or data than there are now; "" where it was not."""
    changed = [f"{name} {digests}" for name, digests in changes(assembly, header).items()]
    if not changed:
        return ""
    run = f"run {assembly.key} ({assembly.spec.optimizer.name} on {assembly.spec.task.name})"
    return f"{run} was begun with another {'; '.join(changed)}"


def _attempt(assembly: Assembly, folder: Path, journal: Journal, progress: Progress) -> dict[str, Any]:
    """Replay what the journal holds, go on to the end, and write the folder's files."""
    spec = assembly.spec
    meter = Meter(assembly.task, spec.budget, journal, progress)
    measurer = Measurer(assembly.task, journal, spec.selection)
    status, error = "finished", ""
    events: Callable[[], list[str]] = list
    try:
        optimizer, events = assembly.optimizer()
        while meter.spent < spec.budget:
            before = meter.spent
            losses = meter.evaluate(optimizer.ask())
            if meter.spent // spec.dev_every > before // spec.dev_every or meter.spent == spec.budget:
                measurer.dev(meter)
            meter.rest()
            if losses is not None:
                optimizer.tell(losses)
        if meter.incumbent is None and meter.errors:
            raise RunError(f"no evaluation succeeded: {meter.errors[0]}")
        measurer.test(meter)
    except (ReplayError, StoreError):
        raise
    except (Exception, SystemExit) as exception:
        status, error = "failed", f"{type(exception).__name__}: {exception}"
        meter.events.append(traceback.format_exc())
    summary = {
        **journal.log.header,
        "status": status,
        "error": error,
        "best_loss": meter.best,
        "evaluations": meter.spent,
        "incumbent": _kept(meter.incumbent, meter.found_at),
        "selected": _kept(measurer.selected, measurer.selected_at),
        "measurements": [vars(measurement) for measurement in journal.log.measurements],
        "seconds": record.seconds(meter.batches, journal.log.measurements),
        "peak_memory": record.peak_memory(),
        "peak_device_memory": record.peak_device_memory(),
        "attempts": journal.log.attempts,
        "repaid": record.repaid(meter.batches),
        "discarded": sum(Log.read(path).evaluations for path in folder.glob("journal.*.jsonl")),
        "events": [*meter.events, *meter.errors, *assembly.task.events, *map(str, events())],
        "interrupted": False,
        "provenance": record.provenance(),
    }
    record.write(folder, record.curve(meter.batches), summary)
    if status == "finished":
        # It may have been packed meanwhile.
        journal.path.unlink(missing_ok=True)
    return summary


def _set_aside(folder: Path) -> None:
    """Keep a journal that cannot be gone on with beside the new one."""
    number = 1 + len(list(folder.glob("journal.*.jsonl")))
    (folder / record.JOURNAL).rename(folder / f"journal.{number}.jsonl")


def _kept(point: Points | None, evaluation: int) -> dict[str, Any] | None:
    return None if point is None else {"evaluation": evaluation, "recipe": expand(point)}
