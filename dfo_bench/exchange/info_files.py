"""Index files in three lines a dimension, `.info`: those of COCO, and those of IOHprofiler before 2022.

The first line names the function, the dimension and the algorithm, the second is a comment, the third lists files of
rows and, after each, its runs: INSTANCE:EVALUATIONS|LOSS; of a run that was not finished, its INSTANCE alone.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

from dfo_bench.errors import InputError
from dfo_bench.exchange.logs import Entry

# A quoted value ends at the quote before the next key: names may hold commas, and quotes.
_PAIR = re.compile(r"""(\w+)\s*=\s*(?:"(.*?)"|'(.*?)'|([^,]*?))\s*(?=,\s*\w+\s*=|,?\s*$)""")
_RUN = re.compile(r"(\d+)\s*(?::\s*(\d+)\|)?")


@dataclass
class Listed:
    """A part of an index: what its first line says, its comment, and the runs of every file of rows."""

    header: dict[str, str]
    comment: str = ""
    files: dict[str, list[Entry]] = field(default_factory=dict)

    @property
    def function(self) -> str:
        """The number of the function, or a word."""
        return self._value("funcId")

    @property
    def dim(self) -> int:
        """The dimension."""
        value = self._value("DIM")
        if not value.isdecimal() or value == "0":
            raise InputError(f"it is no index: DIM is {value!r}")
        return int(value)

    def _value(self, name: str) -> str:
        if not self.header.get(name):
            raise InputError(f"it is no index: a part has no {name}")
        return self.header[name]


def read_info(path: Path) -> list[Listed]:
    """Return the parts of an index; raise InputError where it is none."""
    try:
        # A crash of the file system leaves zeros.
        text = path.read_text(encoding="utf-8", errors="replace").replace("\0", "")
    except OSError as error:
        raise InputError(f"it cannot be read: {error.strerror}") from error
    parts: list[Listed] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        if line.startswith("%") and parts:
            parts[-1].comment = line.lstrip("% ")
        elif pairs := dict(_pairs(line)):
            parts.append(Listed(pairs))
        elif parts:
            _list_runs(parts[-1].files, line)
    if not parts:
        raise InputError("it is no index: no line says what its runs are of")
    return parts


def _pairs(line: str) -> list[tuple[str, str]]:
    return [(name, "".join(values)) for name, *values in _PAIR.findall(line)]


def _list_runs(files: dict[str, list[Entry]], line: str) -> None:
    """Add what a third line lists."""
    runs: list[Entry] = []
    for word in map(str.strip, line.split(",")):
        if word.endswith("dat"):
            runs = files.setdefault(word, [])
        elif run := _RUN.match(word):
            runs.append(Entry(int(run[1]), int(run[2] or 0), finished=run[2] is not None))
