"""Shows how far a sweep is: bars on a terminal, one plain line a finished run elsewhere."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from dfo_bench.runs.spec import RunSpec, describe
from dfo_bench.sweeps.workers import Advance, Ended, Event

Listener = Callable[[Sequence[RunSpec]], AbstractContextManager[Callable[[Event], None]]]
"""Given the specs of a sweep, a context whose value is told of every event."""


@contextmanager
def shown(specs: Sequence[RunSpec]) -> Iterator[Callable[[Event], None]]:
    """Show events on standard error."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    bars = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    running: dict[RunSpec, TaskID] = {}
    ended = 0
    with bars:
        total = bars.add_task("runs", total=len(specs), note="")

        def listen(event: Event) -> None:
            nonlocal ended
            spec = event.spec
            if isinstance(event, Advance):
                if spec not in running:
                    running[spec] = bars.add_task(describe(vars(spec)), total=spec.budget, note="")
                note = "replaying" if event.replayed else f"best {event.best:.4g}"
                bars.update(running[spec], completed=event.evaluations, note=note)
                return
            ended += 1
            if spec in running:
                bars.remove_task(running.pop(spec))
            bars.update(total, advance=1)
            console.print(f"[{ended}/{len(specs)}] {describe(vars(spec))}: {outcome(event)}", markup=False)

        yield listen


def outcome(event: Ended) -> str:
    """Say in a line how a run ended."""
    if event.summary is None:
        return event.error
    summary = event.summary
    if summary.status == "failed":
        return f"failed: {summary.error}"
    words = [f"best {summary.best_loss:.6g} in {summary.evaluations} evaluations"]
    for measurement in summary.measurements:
        if measurement.split == "test":
            words += [f"test {name} {value:.4g}" for name, value in measurement.metrics.items()]
    seconds = summary.seconds
    words.append(f"{seconds.task_wall:.1f} s task, {seconds.optimizer_wall:.1f} s optimizer")
    if summary.events:
        more = len(summary.events) - 1
        words.append(summary.events[0] + (f" (and {more} more events)" if more else ""))
    if summary.repaid:
        words.append(f"{summary.repaid} evaluations paid twice after interruptions")
    if summary.discarded:
        words.append(f"{summary.discarded} discarded")
    return ", ".join(words)
