"""Progress of a sweep on standard error: bars on a terminal, one plain line per ended run elsewhere."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import rich.progress
from rich.console import Console

from dfo_bench.errors import count
from dfo_bench.runs.header import PlannedRun
from dfo_bench.runs.spec import describe
from dfo_bench.sweeps.checks import said
from dfo_bench.sweeps.estimate import Estimate
from dfo_bench.sweeps.events import Advance, Ended, Event, Listener

_BESIDE = 45
"""The characters that a line of progress has beside its name: a bar, calls of five digits, the loss, the time left."""


class ProgressBars(Listener):
    """Shows how far each run and the whole sweep are; `ended` is how runs ended so far."""

    def __init__(self) -> None:
        self.ended: list[Ended] = []
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._bars = rich.progress.Progress(
            rich.progress.TextColumn("{task.description}", markup=False),
            rich.progress.BarColumn(bar_width=10),
            rich.progress.MofNCompleteColumn(),
            rich.progress.TextColumn("{task.fields[note]}", markup=False),
            rich.progress.TimeRemainingColumn(compact=True),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._runs: dict[str, PlannedRun] = {}
        self._running: dict[str, rich.progress.TaskID] = {}

    def expect(self, estimate: Estimate) -> None:
        """Say what is ahead."""
        for line in estimate.lines:
            self._console.print(line, markup=False)

    @contextmanager
    def begin(self, runs: Sequence[PlannedRun]) -> Iterator[None]:
        """Show the checks, then the bars."""
        self._runs = {run.key: run for run in runs}
        self._total = self._bars.add_task("runs", total=len(runs), note="")
        for line in said(runs):
            self._console.print(line, markup=False)
        with self._bars:
            yield

    def hear(self, event: Event) -> None:
        """Move the bar of a run, or put a line in its place when it has ended."""
        run = self._runs[event.key]
        name = describe({**run.shown, "seed": run.spec.seed})
        if isinstance(event, Advance):
            if event.key not in self._running:
                self._running[event.key] = self._bars.add_task(
                    shorten(name, max(20, self._console.width - _BESIDE)), total=run.spec.budget, note=""
                )
            note = "replaying" if event.replayed else f"loss {event.best:.4g}" if event.evaluations >= 1 else "fitting"
            self._bars.update(self._running[event.key], completed=event.evaluations, note=note)
            return
        self.ended.append(event)
        if event.key in self._running:
            self._bars.remove_task(self._running.pop(event.key))
        self._bars.update(self._total, advance=1)
        self._console.print(f"[{len(self.ended)}/{len(self._runs)}] {name}: {outcome(event)}", markup=False)

    def tell(self, line: str) -> None:
        """Print a line of what was decided on the way."""
        self._console.print(line, markup=False)


def shorten(name: str, width: int) -> str:
    """Return a name in at most so many characters, its middle left out: what tells runs apart is at both ends."""
    if len(name) <= width:
        return name
    front = (width - 1) // 2
    return f"{name[:front]}…{name[len(name) - (width - 1 - front) :]}"


def outcome(event: Ended) -> str:
    """Say in a line how a run ended."""
    if event.summary is None:
        return event.error
    summary = event.summary
    if summary.status == "failed":
        return f"failed: {summary.error}"
    words = [f"best {summary.best_loss:.6g} in {count(summary.evaluations, 'evaluation')}"]
    for measurement in summary.measurements:
        if measurement.split == "test":
            words += [f"test {name} {value:.4g}" for name, value in measurement.metrics.items()]
    seconds = summary.seconds
    words.append(f"{seconds.task_wall:.1f} s task, {seconds.optimizer_wall:.1f} s optimizer")
    if summary.events:
        more = len(summary.events) - 1
        words.append(summary.events[0] + (f" (and {count(more, 'more event')})" if more else ""))
    if summary.repaid:
        words.append(f"{count(summary.repaid, 'evaluation')} paid twice after interruptions")
    if summary.lost:
        words.append(f"{count(summary.lost, 'evaluation')} never answered, asked for anew")
    if summary.discarded:
        words.append(f"{count(summary.discarded, 'evaluation')} discarded")
    return ", ".join(words)
