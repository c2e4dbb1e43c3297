"""The estimate of a sweep, before it is paid: what is left of it in calls, tokens, bytes, time and money."""

import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from rich.filesize import decimal as size

from dfo_bench.core import Cost
from dfo_bench.errors import StoreError, count
from dfo_bench.plugins.component import Component
from dfo_bench.runs.assembly import Assembly
from dfo_bench.runs.header import PlannedRun
from dfo_bench.runs.journal import Log
from dfo_bench.store.filenames import JOURNAL
from dfo_bench.store.folder import read_summary
from dfo_bench.store.prices import MILLION, write_money
from dfo_bench.sweeps.checks import starts

_GRADIENT = 3
"""How many times as long an evaluation with its gradient takes: the pass back costs twice the one forward."""


@dataclass(frozen=True)
class Estimate:
    """What is left of a sweep, scores on dev and test included.

    At most so much: a candidate that dev has scored is not scored again. Tokens and bytes are nothing where a task is
    no service and no model. Bytes go up as texts and z (`bytes_up`), or with the whole prompt (`bytes_up_prompt`).
    """

    runs: int
    finished: int
    """How many of the runs have finished, and are not made again."""
    calls: int
    """Evaluations on train."""
    checks: int
    """Evaluations of starts on train by the checks before it, which no budget counts."""
    fits: int
    """Evaluations on train that a service is asked for anew, to fit the calibrations of scores; in no budget either."""
    scores: int
    """Scores on dev and test."""
    tokens: int
    bytes_up: int
    bytes_up_prompt: int
    bytes_down: int
    seconds: float
    """The time of the tasks on this machine, on all workers; that of optimizers, and of fitting, is not known."""
    workers: int
    untimed: int
    """How many runs are not in `seconds`, as nobody can say how long their task takes."""
    price: float | None
    """Per million tokens."""
    least: "Estimate | None" = None
    """Of a race, what it takes where all is decided as early as can be; the rest is what it takes at most."""
    known: Sequence[str] = ()
    """What there is to know of its tasks before any call, a line each; the checks of the sweep itself say it, too."""

    @property
    def money(self) -> float | None:
        """What the tokens cost, in the currency of the price; None without one."""
        return None if self.price is None else self.price * self.tokens / MILLION

    @property
    def lines(self) -> list[str]:
        """The estimate in words, each line of 80 characters at most."""
        if self.least:
            return ["at least:", *self.least.lines, "at most:", *replace(self, least=None).lines]
        left = self.runs - self.finished
        scores = f", up to {self.scores:,} dev/test scores" if self.scores else ""
        found = [f"{left:,} of {count(self.runs, 'run')} ahead: {self.calls:,} calls{scores}"]
        if self.checks:
            found.append(f"{count(self.checks, 'call')} more for the checks at the start, in no budget")
        if self.fits:
            found.append(f"up to {count(self.fits, 'call')} more on train for calibrations, in no budget")
        if self.tokens:
            whole = f" ({size(self.bytes_up_prompt)} with prompts)" if self.bytes_up_prompt > self.bytes_up else ""
            found.append(f"{self.tokens:,} tokens, {size(self.bytes_up)} up{whole}, {size(self.bytes_down)} down")
        if self.untimed < left:
            beside = f" with {self.workers} workers" if self.workers > 1 else ""
            but = f"; {count(self.untimed, 'run')} not timed" if self.untimed else ""
            found.append(f"about {timedelta(seconds=math.ceil(self.seconds))} here{beside}, models only{but}")
        if self.money is not None:
            found.append(f"money: {write_money(self.money)}, at {self.price:g} per million tokens")
        return found


def estimate_runs(
    runs: Sequence[PlannedRun], assemblies: Iterable[Assembly], store: Path, workers: int, price: float | None
) -> Estimate:
    """Return what is left of runs in a store that need not be there; `assemblies` are their parts, in that order."""
    finished = calls = scores = fits = untimed = 0
    spent: list[tuple[Cost, int]] = []
    starting: dict[Component, Cost] = {}
    took = 0.0
    for run, assembly in zip(runs, assemblies, strict=True):
        left, measured = _left(store / run.key, run.spec.budget)
        if not left and not measured:
            finished += 1
            continue
        if left == run.spec.budget:
            starting = dict.fromkeys(starts(run.spec.task), assembly.cost) | starting
        task = assembly.task
        measuring = {"dev": measured * math.ceil(left / run.spec.dev_every), "test": measured}
        costs = [(task.measuring_cost(split), times) for split, times in measuring.items() if split in task.splits]
        again = sum(measuring[split] for split in task.refits if split in task.splits) if task.traffic else 0
        calls, scores, fits = calls + left, scores + sum(times for _, times in costs), fits + again
        spent += [(assembly.cost, left + again), *costs]
        once = task.call_seconds(run.spec.backend)
        if math.isnan(once):
            untimed += 1
        else:
            # All tokens take alike, be they of train, dev or test.
            others = sum(cost.tokens * times for cost, times in costs) / assembly.cost.tokens
            took += once * (left * (_GRADIENT if assembly.sees == "gradients" else 1) + others)
    spent += [(cost, 1) for cost in starting.values()]
    workers = max(1, min(workers, len(runs) - finished))
    total = {name: sum(getattr(cost, name) * times for cost, times in spent) for name in vars(Cost())}
    return Estimate(
        runs=len(runs),
        finished=finished,
        calls=calls,
        checks=len(starting),
        fits=fits,
        scores=scores,
        tokens=total["tokens"],
        bytes_up=total["bytes_up_z"],
        bytes_up_prompt=total["bytes_up_prompt"],
        bytes_down=total["bytes_down"],
        seconds=took / workers,
        workers=workers,
        untimed=untimed,
        price=price,
    )


def _left(folder: Path, budget: int) -> tuple[int, int]:
    """Return how many evaluations of a run are left, and 1 unless it has finished, when nothing is to be scored."""
    # What is damaged is refused when its turn comes.
    with suppress(StoreError, FileNotFoundError, NotADirectoryError):
        summary = read_summary(folder)
        if summary and summary.status == "finished":
            return 0, 0
        return budget - Log.read(folder / JOURNAL).evaluations, 1
    return budget, 1
