"""The logs of other programs: the runs that an index lists are paired with the rows of its files, and imported.

The runs of one function, algorithm and dimension share a budget, that of the longest. Their seeds are those that the
index gives, else the instances minus one, else their order, whichever first tells them apart. A run that was cut off,
or that cannot be read, is left out and named.
"""

import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from dfo_bench.core import Array
from dfo_bench.errors import InputError, count
from dfo_bench.exchange.blocks import Block
from dfo_bench.exchange.imported import ImportedRun
from dfo_bench.store.store import Store

_MOST = 2**31 - 1
"""The most evaluations of a run."""

_ROUNDING = 1e-9
"""How far the loss of a row may lie from that in the index, which has more digits: rows have ten decimals."""


@dataclass(frozen=True)
class Entry:
    """A run as an index lists it."""

    instance: int
    evaluations: int = 0
    """Up to its best or its end; 0 where the index does not know."""
    seed: object = None
    best: tuple[int, float] | None = None
    """The evaluation of the best loss, and the loss to all digits."""
    finished: bool = True


@dataclass(frozen=True)
class Log:
    """The runs of one algorithm on one function in one dimension that stand in one file of rows."""

    path: Path
    name: str
    """The file, and how messages and summaries name it."""
    function: str
    algorithm: str
    dim: int
    maximised: bool
    """Losses are minimised here, so those of the file are negated, and the name of the task says so."""
    entries: list[Entry]
    blocks: Callable[[], Iterator[Block]]
    """Reads the file: per run (n, 4), its evaluations, losses, and the seconds of the task and of the optimizer."""
    source: dict[str, Any]
    """What the summaries of its runs should say of where they come from, as plain JSON."""
    optimum: float | None = None

    @property
    def task(self) -> str:
        """The name of the task."""
        return f"{self.function} (negated)" if self.maximised else self.function

    @property
    def group(self) -> tuple[str, str, int]:
        """Which runs are compared as one."""
        return self.task, self.algorithm, self.dim


@dataclass(frozen=True)
class Root:
    """A folder that is read, and how messages and summaries name the files in it."""

    path: Path
    """Absolute."""
    archive: str = ""
    """The archive that was unpacked here, empty where it is a user's folder."""

    def name(self, path: Path) -> str:
        """Name a file."""
        return str(Path(self.archive, path.relative_to(self.path)))

    def name_folder(self, index: Path) -> str:
        """Name the folder of an index: algorithms without a name of their own are called by it."""
        return self.archive if self.archive and index.parent == self.path else index.parent.name

    def locate(self, index: Path, written: str) -> Path:
        """Return the file that an index names; raise InputError where that leads out of the folder."""
        # Some indices were written on Windows. Links are followed: they are the user's own, none is unpacked.
        path = Path(os.path.abspath(index.parent / written.replace("\\", "/")))
        if not path.is_relative_to(self.path):
            raise InputError(f"it names {written!r}, which lies outside of the folder")
        return path


def collect(
    root: Root, indices: Iterable[Path], read: Callable[[Root, Path], Iterator[Log]]
) -> tuple[list[Log], list[str]]:
    """Return the logs that the indices of a folder list, and what is wrong with any."""
    logs: dict[Path, Log] = {}
    faults = []
    for index in indices:
        try:
            for log in read(root, index):
                # Where an experiment went on, its index may name a file again.
                known = logs.setdefault(log.path, log)
                if known.group != log.group:
                    raise InputError(f"it names {log.name}, which holds runs of {known.algorithm} on {known.task}")
                if known is not log:
                    known.entries.extend(log.entries)
        except InputError as error:
            faults.append(f"{root.name(index)}: {error}")
    return list(logs.values()), faults


@dataclass(frozen=True)
class _Whole:
    """A run that is whole: its place in the index, from 1, and its last evaluation."""

    number: int
    entry: Entry
    end: int


def import_logs(logs: list[Log], faults: list[str], folder: Path, store: Path) -> list[str]:
    """Write every whole run into a store; return what a user should know of it.

    `faults` are those that were found already. Raise InputError, before anything is written, where no run is whole.
    """
    # Files are read twice rather than kept in memory: the budget is known after the last.
    surveyed = [_survey(log, faults) for log in logs]
    if not any(surveyed):
        more = [f"{len(faults) - 3} more"] if len(faults) > 3 else []
        why = "; ".join([*faults[:3], *more]) or "its indices list none"
        raise InputError(f"{folder} has no whole run: {why}; log it again, or name another folder")
    budgets: dict[tuple[str, str, int], int] = {}
    listed: dict[tuple[str, str, int], list[Entry]] = {}
    for log, whole in zip(logs, surveyed, strict=True):
        listed.setdefault(log.group, []).extend(log.entries)
        budgets[log.group] = max([budgets.get(log.group, 0), *(run.end for run in whole.values())])
    seeds = {group: iter(_choose_seeds(entries)) for group, entries in listed.items()}
    opened = Store.create(store)
    new = []
    for log, whole in zip(logs, surveyed, strict=True):
        own = [next(seeds[log.group]) for _ in log.entries]
        for number, block in enumerate(log.blocks() if whole else ()):
            if number in whole:
                run = whole[number]
                new.append(_build_run(log, block, run, own[run.number - 1], budgets[log.group]).write(opened.path))
    known = len(new) - sum(new)
    negated = sorted({log.function for log in logs if log.maximised})
    return [
        f"imported: {count(sum(new), 'run')}",
        *([f"left as they were: {count(known, 'run')} from before"] if known else []),
        *([f"negated, because they are maximised: {', '.join(negated)}"] if negated else []),
        *(f"left out: {fault}" for fault in faults),
    ]


def _survey(log: Log, faults: list[str]) -> dict[int, _Whole]:
    """Return the whole runs of a file by the number of their block; add to `faults` what is wrong with the others."""
    try:
        # Without the rows: all runs of a file may be more than memory holds.
        blocks = [(at, b.end, b.fault, b.cut) for at, b in enumerate(log.blocks())]
    except OSError as error:
        faults.append(f"{log.name} cannot be read: {error.strerror}")
        return {}
    runs = list(enumerate(log.entries, 1))
    # A run without evaluations leaves a line of words, or an entry, or both.
    if len(blocks) != len(runs):
        blocks = [block for block in blocks if block[1] or block[2]]
    if len(blocks) < len(runs):
        runs = [(number, entry) for number, entry in runs if entry.evaluations or not entry.finished]
    whole = {}
    unlisted = len(log.entries)
    for run, block in zip_longest(runs, blocks):
        if run is None:
            unlisted += 1
            faults.append(f"{log.name}, run {unlisted}: its index does not list it, so it was not finished")
            continue
        number, entry = run
        at, end, fault, cut = block or (0, 0, "", False)
        if fault := fault or _name_fault(entry, end, cut):
            faults.append(f"{log.name}, run {number}: {fault}")
        else:
            whole[at] = _Whole(number, entry, max(end, entry.evaluations))
    return whole


def _name_fault(entry: Entry, end: int, cut: bool) -> str:
    """Say what a run lacks to be whole."""
    if not entry.finished:
        return "it was not finished"
    if not end:
        return "it has no rows"
    if cut and end < entry.evaluations:
        return "its last line is cut off"
    return "" if max(end, entry.evaluations) <= _MOST else f"it has more than {_MOST} evaluations"


def _build_run(log: Log, block: Block, run: _Whole, seed: int, budget: int) -> ImportedRun:
    rows = _refine(block.rows, run.entry.best)
    source = {"file": log.name, "run": run.number, "instance": run.entry.instance, "negated": log.maximised}
    return ImportedRun(
        function=log.task,
        algorithm=log.algorithm,
        dim=log.dim,
        budget=budget,
        seed=seed,
        spent=run.end,
        source=source | log.source | block.source,
        optimum=log.optimum,
        evaluation=rows[:, 0].astype(np.int64),
        loss=-rows[:, 1] if log.maximised else rows[:, 1],
        seconds=rows[:, 2:],
    )


def _refine(rows: Array, best: tuple[int, float] | None) -> Array:
    """Give the row of the best evaluation all digits of its loss, and return the rows."""
    if best:
        evaluation, loss = best
        for at in np.flatnonzero(rows[:, 0] == evaluation):
            if math.isclose(rows[at, 1], loss, rel_tol=0, abs_tol=_ROUNDING):
                rows[at, 1] = loss
    return rows


def _choose_seeds(runs: list[Entry]) -> list[int]:
    """Return one seed per run, all different."""
    given = [run.seed if isinstance(run.seed, int) else -1 for run in runs]
    for seeds in (given, [run.instance - 1 for run in runs]):
        if len(set(seeds)) == len(seeds) and all(0 <= seed < 2**63 for seed in seeds):
            return seeds
    return list(range(len(runs)))


def make_printable(name: str) -> str:
    """Return a name without what would steer a terminal."""
    return "".join(c if c.isprintable() else "?" for c in name)
