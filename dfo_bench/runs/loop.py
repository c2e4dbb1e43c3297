"""The loop of one run: ask, evaluate, tell, until the budget is spent; resumed by replay."""

import traceback
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from dfo_bench.core import Points
from dfo_bench.errors import ReplayError, RunError, StoreError, say
from dfo_bench.points import expand
from dfo_bench.runs.assembly import Assembly
from dfo_bench.runs.journal import FORMAT, Journal
from dfo_bench.runs.machine import peak_device_memory, peak_memory, provenance
from dfo_bench.runs.measure import Measurer
from dfo_bench.runs.meter import Meter, Progress
from dfo_bench.runs.summary import curve, repaid, seconds


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


def attempt(
    assembly: Assembly, journal: Journal, progress: Progress, discarded: int = 0
) -> tuple[pa.Table, dict[str, Any]]:
    """Replay what the journal holds, go on to the end, and return the curve and the summary.

    What fails inside the task or the optimizer ends as a summary of status "failed"; ReplayError and StoreError are
    raised. `discarded` is how many evaluations were paid for by attempts that could not be gone on with.
    """
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
        status, error = "failed", say(exception)
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
        "seconds": seconds(meter.batches, journal.log.measurements),
        "peak_memory": peak_memory(),
        "peak_device_memory": peak_device_memory(),
        "attempts": journal.log.attempts,
        "repaid": repaid(meter.batches),
        "discarded": discarded,
        "events": [*meter.events, *meter.errors, *assembly.task.events, *map(str, events())],
        "interrupted": False,
        "provenance": provenance(),
    }
    return curve(meter.batches), summary


def _kept(point: Points | None, evaluation: int) -> dict[str, Any] | None:
    return None if point is None else {"evaluation": evaluation, "recipe": expand(point)}
