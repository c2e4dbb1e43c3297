"""The loop of one run: ask, evaluate, tell, until the budget is spent; resumed by replay."""

import traceback

import pyarrow as pa

from dfo_bench.core import EmbeddingOptimizer
from dfo_bench.errors import ReplayError, RunError, StoreError, Unavailable, say
from dfo_bench.runs.assembly import Assembly
from dfo_bench.runs.curve import curve
from dfo_bench.runs.fitted import Fitted
from dfo_bench.runs.header import Header
from dfo_bench.runs.journal import Journal
from dfo_bench.runs.machine import peak_device_memory, peak_memory, provenance
from dfo_bench.runs.measure import Measurer
from dfo_bench.runs.meter import Meter, Progress
from dfo_bench.runs.spec import RunSpec, describe
from dfo_bench.runs.summary import Kept, Status, Summary, Totals, count_repaid, count_repeats, count_sent


def header(assembly: Assembly, checks: tuple[str, ...] = ()) -> Header:
    """Return what the first line of a run's journal says; `checks` were made before it."""
    return Header(
        assembly.key,
        assembly.spec,
        assembly.shown(),
        assembly.source_digests,
        assembly.task.optimum,
        assembly.task.metric,
        assembly.cost,
        assembly.baseline,
        assembly.sees,
        checks=checks,
        unit=assembly.unit,
    )


def changes(assembly: Assembly, header: Header) -> dict[str, str]:
    """Return the sources and data that are not those a run was made with, each with its digests then and now."""
    now, then = assembly.source_digests, header.digests
    return {name: f"digest {then.get(name)}, now {now[name]}" for name in now if now[name] != then.get(name)}


def mismatch(assembly: Assembly, header: Header) -> str:
    """Say in a line how a run was made with other sources or data than there are now; "" where it was not."""
    changed = [f"{name} ({digests})" for name, digests in changes(assembly, header).items()]
    if not changed:
        return ""
    run = f"run {assembly.key}, {describe({**header.shown, 'seed': header.spec.seed})}"
    return f"{run}, was begun with another {' and another '.join(changed)}"


def attempt(assembly: Assembly, journal: Journal, progress: Progress, discarded: int = 0) -> tuple[pa.Table, Summary]:
    """Replay what the journal holds, go on to the end, and return the curve and the summary.

    What fails inside the task or the optimizer ends as a summary of status "failed"; ReplayError and StoreError are
    raised, and so is Unavailable, after which the run goes on from its journal the next time. `discarded` is how many
    evaluations were paid for by attempts that could not be gone on with.
    """
    spec = assembly.spec
    meter = Meter(assembly.oracle, spec.budget, journal, progress)
    measurer = Measurer(assembly.task, journal, spec.selection)
    if isinstance(assembly.task, Fitted):
        assembly.task.progress = lambda share: progress(share, meter.best, False)
    status: Status = "finished"
    error = ""
    optimizer: EmbeddingOptimizer | None = None
    try:
        optimizer = assembly.optimizer()
        _search(optimizer, meter, measurer, spec)
        if meter.incumbent is None:
            parts = ", or of some of the examples only" if assembly.unit > 1 else ""
            reason = f"every loss is nan or infinite{parts}"
            raise RunError(f"no evaluation succeeded: {(meter.errors or [reason])[0]}")
        measurer.test(meter)
    except (Unavailable, KeyboardInterrupt):
        if meter.patience.waiting:
            journal.add_outage()
        raise
    except (ReplayError, StoreError):
        raise
    except (Exception, SystemExit) as exception:
        status, error = "failed", say(exception)
        meter.events.append(traceback.format_exc())
    events = map(str, optimizer.events) if optimizer else ()
    batches, log = meter.batches, journal.log
    sent_up, sent_down = count_sent(batches)
    return curve(batches, assembly.unit, meter.spent), Summary(
        **vars(journal.header),
        status=status,
        error=error,
        best_loss=meter.best,
        evaluations=meter.spent,
        incumbent=Kept.of(meter.incumbent, meter.found_at),
        selected=Kept.of(measurer.selected, measurer.selected_at, measurer.written),
        measurements=log.measurements,
        seconds=Totals.of(batches, log.measurements),
        peak_memory=peak_memory(),
        peak_device_memory=peak_device_memory(),
        sent_up=sent_up,
        sent_down=sent_down,
        repeats=count_repeats(batches, assembly.unit),
        attempts=log.attempts,
        repaid=count_repaid(batches, assembly.unit),
        discarded=discarded,
        lost=log.lost,
        events=[*meter.patience.events, *meter.events, *meter.errors, *assembly.task.events, *events],
        interrupted=False,
        provenance=provenance(assembly.task.backend),
    )


def _search(optimizer: EmbeddingOptimizer, meter: Meter, measurer: Measurer, spec: RunSpec) -> None:
    """Ask for points, evaluate them and tell the losses until the budget is spent, with dev scored on the way."""
    while meter.spent < spec.budget:
        before = meter.spent
        losses = meter.evaluate(optimizer.ask())
        if meter.spent // spec.dev_every > before // spec.dev_every or meter.spent == spec.budget:
            measurer.dev(meter)
            meter.rest()
        if losses is not None:
            optimizer.tell(losses, *meter.told)
