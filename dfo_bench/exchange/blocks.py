"""Files of rows: a line of words begins every run, and a line of numbers follows for every evaluation logged."""

from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dfo_bench.core import Array
from dfo_bench.errors import InputError

Columns = Callable[[str], tuple[Sequence[int], range]]
"""Takes a run's first line; returns the columns to read, the evaluation first, and how many cells the rows may have.

A column of -1 is not given, and read as nan. InputError is raised where the columns cannot be read.
"""


@dataclass(frozen=True)
class Block:
    """The rows of one run."""

    header: str
    rows: Array
    """Shape (n, columns): evaluations ascend, and each stands in one row."""
    end: int = 0
    """The last evaluation that was logged, 0 without rows; `rows` need not hold it."""
    fault: str = ""
    """Why the run cannot be read, empty where it can."""
    cut: bool = False
    """The file ends in the middle of the run's last line."""
    source: dict[str, Any] = field(default_factory=dict)
    """What the summary of the run should say of it, as plain JSON."""


def read_blocks(path: Path, begins: Callable[[str], bool], columns: Columns) -> Iterator[Block]:
    """Yield the runs of a file, in order; raise OSError where it cannot be opened."""
    run, line = None, "\n"
    # What is no text has no numbers either, and is said to have none.
    with path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            if begins(line):
                if run:
                    yield run.block()
                run = _Run(line, columns)
            elif line.strip() and not line.startswith("%"):
                run = run or _Run("", columns)
                run.add(number, line)
    if run:
        yield run.block(cut=not line.endswith("\n"))


def distinct(rows: Array) -> Array:
    """Return the last row of every evaluation."""
    kept: Array = rows[np.diff(rows[:, 0], append=np.inf) > 0]
    return kept


def changes(rows: Array) -> Array:
    """Return the first row, and those whose second column, a best so far, is not that of the row before."""
    kept = np.ones(len(rows), bool)
    kept[1:] = rows[1:, 1] != rows[:-1, 1]
    changed: Array = rows[kept]
    return changed


class _Run:
    """A run that is being read."""

    def __init__(self, header: str, columns: Columns) -> None:
        self.header, self.fault, self.cells = header, "", array("d")
        self.columns: Sequence[int] = [0, 0]
        self.width = range(0)
        try:
            self.columns, self.width = columns(header)
        except InputError as error:
            self.fault = str(error)
        self.given = [at for at in self.columns if at >= 0]

    def add(self, number: int, line: str) -> None:
        """Read one line; of a run that cannot be read only the first fault is kept."""
        if self.fault:
            return
        words = line.split()
        if len(words) not in self.width:
            self.fault = f"line {number} has {len(words)} cells, not {self.width.start}"
            return
        if not self.cells:
            # All rows of a run have as many as its first.
            self.width = range(len(words), len(words) + 1)
        try:
            for at in self.given:
                # IOHexperimenter writes None where there is no value to write.
                self.cells.append(np.nan if words[at] == "None" else float(words[at]))
        except ValueError:
            self.fault = f"line {number} has a cell that is no number"

    def block(self, *, cut: bool = False) -> Block:
        """Return what was read."""
        empty = np.empty((0, len(self.columns)))
        if self.fault:
            return Block(self.header, empty, fault=self.fault)
        read = np.array(self.cells).reshape(-1, len(self.given))
        rows = np.full((len(read), len(self.columns)), np.nan)
        rows[:, [at >= 0 for at in self.columns]] = read
        evaluation = rows[:, 0]
        if not (np.diff(evaluation, prepend=1) >= 0).all() or (evaluation % 1 != 0).any():
            return Block(self.header, empty, fault="its evaluations are not whole numbers from 1 that ascend")
        rows = distinct(rows)
        return Block(self.header, rows, int(rows[-1, 0]) if len(rows) else 0, cut=cut)
