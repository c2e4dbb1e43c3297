"""The matrix: every optimizer, each method of a library included, checked in a process of its own."""

import multiprocessing
import os
import resource
import signal
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from threading import Thread

from dfo_bench.core import Optimizer
from dfo_bench.errors import InputError
from dfo_bench.plugins.component import Component
from dfo_bench.plugins.plugin import resolve
from dfo_bench.plugins.registry import OPTIMIZERS
from dfo_bench.testing import observations
from dfo_bench.testing import optimizers as contract
from dfo_bench.testing.bowl import BUDGET, DIM
from dfo_bench.testing.checks import results, title

CPU_LIMIT_S, IDLE_LIMIT_S = 20, 60
"""How much CPU one may take, and how long it may use none; then it is stopped, and what it has shown is kept."""

CHECKED = tuple(
    check for check in contract.CHECKS if check not in (contract.repeats_in_another_process, contract.keeps_its_bounds)
)
"""The checks of the matrix: all but one that starts a process, and one of parameters that methods of a library share.

Each of these costs more than all others together.
"""


@dataclass
class Row:
    """What is known of one optimizer."""

    optimizer: Component
    broken: str = ""
    """What it breaks of its contract, or why that is not known; "" for nothing."""
    found: dict[str, str] = field(default_factory=dict)
    """What is reported of it, by title."""

    @property
    def verdict(self) -> str:
        """Whether it keeps its contract, in words."""
        return " ".join(self.broken.split()) or "kept"


def titles() -> list[str]:
    """Return the titles of what is reported."""
    return [title(report) for report in observations.REPORTS]


def variants(names: Sequence[str]) -> list[Component]:
    """Return these optimizers, and every method where one is the door to a library."""
    found: list[Component] = []
    for name in names:
        cls = OPTIMIZERS.load(name)
        known = cls.variants if issubclass(cls, Optimizer) else {}
        found += [Component(name, {key: value}) for key, values in known.items() for value in values] or [
            Component(name)
        ]
    return found


def rows(optimizers: Sequence[Component], workers: int = 1) -> Iterator[Row]:
    """Check optimizers, `workers` of them side by side, and yield what was found in their order."""
    # A server that has imported the libraries once: every child is a copy of it, and may hang or die.
    context = multiprocessing.get_context("forkserver")
    known = OPTIMIZERS.sources()
    modules = {known[one.name].module for one in optimizers if one.name in known}
    context.set_forkserver_preload([__name__, *sorted(modules)])
    with ThreadPoolExecutor(workers) as pool:
        yield from pool.map(partial(_row, context), optimizers)


def _row(context: ForkServerContext, optimizer: Component) -> Row:
    """Check one in a process of its own."""
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_check, args=(optimizer, theirs, IDLE_LIMIT_S), daemon=True)
    process.start()
    theirs.close()
    row, checked = Row(optimizer), False
    try:
        while True:
            title, text = ours.recv()
            if title:
                row.found[title] = text
            else:
                row.broken, checked = text, True
    except EOFError:
        process.join()
    if not checked:
        row.broken = _end(process.exitcode)
    return row


_IDLE = 75
"""The exit status of a process that has waited too long."""


def _end(status: int | None) -> str:
    """Say why a process has ended before all was checked."""
    if status == _IDLE:
        return f"it hangs: no CPU used for {IDLE_LIMIT_S} s"
    if status in (-signal.SIGKILL, -signal.SIGXCPU):
        return f"not checked within {CPU_LIMIT_S} s of CPU"
    return f"its process ended with {status}"


def _check(optimizer: Component, connection: Connection, idle_limit_s: float) -> None:
    """Send the first thing that it breaks under an empty title, then what is reported of it."""
    # What libraries print and warn of would stand between the lines of the matrix.
    with open(os.devnull, "w", encoding="utf-8") as nothing:
        os.dup2(nothing.fileno(), 1)
        os.dup2(nothing.fileno(), 2)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_LIMIT_S, CPU_LIMIT_S))
    Thread(target=_end_when_idle, args=(idle_limit_s,), daemon=True).start()
    try:
        resolved = resolve(OPTIMIZERS, optimizer)
        broken = next((p for _, p in results(CHECKED, resolved) if p), "")
        connection.send(("", broken))
        # What cannot be asked has nothing to report.
        if not broken:
            for found in results(observations.REPORTS, resolved):
                connection.send(found)
    except InputError as error:
        connection.send(("", str(error)))


def _end_when_idle(limit_s: float) -> None:
    """End the process once it waits for nothing; a limit on time would also stop one that a busy machine delays."""
    while True:
        before = time.process_time()
        time.sleep(limit_s)
        if time.process_time() - before < 0.001 * limit_s:
            os._exit(_IDLE)


def page(found: Sequence[Row], names: Sequence[str]) -> str:
    """Return the matrix as a Markdown page; `names` are the plugins it was asked for, none for all."""
    kept = [row for row in found if not row.broken]
    broken = [row for row in found if row.broken]
    command = " ".join(["dfo-bench check optimizer", *names, "--all --output docs/optimizers.md"])
    lines = [_HEAD.format(command=command, count=len(found), kept=len(kept), race=_race(kept))]
    if names:
        lines.append(
            f"This page covers {', '.join(names)} only. `dfo-bench check optimizer --all --output docs/optimizers.md` "
            "makes it of all.\n"
        )
    lines += ["## Those that keep their contract\n", _table("optimizer", *titles())]
    lines += [_line(f"`{row.optimizer}`", *(row.found.get(title, "-") for title in titles())) for row in kept]
    if broken:
        lines += ["\n## Those that do not, and why\n", _table("optimizer", "what was found")]
        lines += [_line(f"`{row.optimizer}`", row.verdict) for row in broken]
    return "\n".join(lines) + "\n"


_HEAD = f"""# Every optimizer, checked

Written by `{{command}}`; do not edit. {{kept}} of {{count}} keep their contract.

Each was checked in a process of its own of at most {CPU_LIMIT_S} s of CPU time. The contract here is that of
`dfo-bench check optimizer NAME`, but for the replay in a fresh process and the bounds of parameters: finite
points until the budget is spent, with bounds and without; a budget of one; the same points from the same seed;
global random states of Python, NumPy and torch left alone; what is told left unchanged; losses of +inf, equal
losses, and losses as large as floats get survived. All that at d = {DIM} and {BUDGET} evaluations.

What follows is reported, not judged. *Outside the box*: the share of points asked beyond the bounds of a box,
which the lift of an embedding would clip. *Random search*: the best of {observations.RACE_BUDGET} evaluations
of the sphere in [-1, 1]^d, its minimum drawn anew for each of {observations.RACE_SEEDS} runs, against 60 runs
of uniform random search, by a two-sided Mann-Whitney test at {observations.RACE_LEVEL:.0%}: of methods equal to
random search about one in twenty is called better or worse in each column. {{race}} `tests/test_optimizers.py`
races the built-in optimizers that learn, too, with as many evaluations as each needs, and there they must be
better. *Cost*: CPU time of an evaluation, over the first 40, construction included; "-" was not reached in
time.
"""


def _race(kept: Sequence[Row]) -> str:
    """Count the verdicts against random search."""
    verdicts = {
        name: [row.found.get(title(report)) for row in kept]
        for name, report in {
            "d = 2": observations.beats_random_search_in_2,
            "d = 10": observations.beats_random_search_in_10,
        }.items()
    }
    counts = (
        f"{name}: {given.count('better')} better, {given.count('equal')} equal, {given.count('worse')} worse"
        for name, given in verdicts.items()
    )
    return "; ".join(counts) + "."


def _table(*columns: str) -> str:
    return _line(*columns) + "\n" + _line(*("---" for _ in columns))


def _line(*cells: str) -> str:
    escaped = (" ".join(cell.split()).replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"
