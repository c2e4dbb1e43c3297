"""Texts to classify: read from a file or a stream, with their other columns, and perhaps with labels."""

import reprlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from dfo_bench.errors import InputError
from dfo_bench.lm.columns import Columns, Named, find_columns
from dfo_bench.lm.data import Row, compose, is_text, label_text
from dfo_bench.lm.records import LINES, READERS, Record, parse_records, read_records

STREAM = "-"
"""What stands for standard input."""

_WANTED = "text, or text_a and text_b for pairs"


@dataclass(frozen=True)
class Asked:
    """The texts of a file."""

    name: str
    columns: Sequence[str]
    """Those of the file, in their order."""
    records: Sequence[Record]
    rows: Sequence[Row]
    """One per record; a label that is missing is ""."""
    found: Columns
    """Those that were read."""
    blank: int
    """How many lines or rows that hold nothing were passed over."""
    notes: Sequence[str] = ()
    """How the file was read, where that was not plain."""

    @property
    def fields(self) -> int:
        """How many texts make a row."""
        return len(self.rows[0].texts)

    @property
    def labelled(self) -> bool:
        """Whether there is a column of labels."""
        return self.found.label is not None


def read_asked(name: str, stream: IO[bytes], text: Named = None, label: str | None = None) -> Asked:
    """Read the texts of any file that a task reads, or of a .txt file, one per line; "-" reads lines from `stream`.

    `text` and `label` name the columns; None finds them by their usual names, and there need be no labels. Raise
    InputError with the file, and the row or the columns that are there.
    """
    shown = "standard input" if name == STREAM else name
    read = parse_records(stream.read(), shown, LINES) if name == STREAM else read_records(Path(name), _WANTED, READERS)
    if not read.rows:
        raise InputError(f"{shown} holds no texts; each row or line has {_WANTED}")
    found = find_columns(shown, read.columns, text, label, labelled=False)
    rows = [_row(record, found, where) for where, record in read.rows]
    notes = [*read.notes, *([] if found.usual else [f"{shown}: {found}"])]
    return Asked(shown, read.columns, [record for _, record in read.rows], rows, found, len(read.blank), notes)


def rows_of(texts: Sequence[Any], fields: int) -> list[Row]:
    """Return texts as rows: strings, or pairs of strings where a task has two `fields`; raise InputError for others."""
    if isinstance(texts, str):
        raise InputError(f"texts is one text, {reprlib.repr(texts)}; pass a list of texts")
    rows = []
    for number, given in enumerate(texts):
        parts = (given,) if isinstance(given, str) else tuple(given) if isinstance(given, list | tuple) else ()
        if len(parts) != fields or not all(map(is_text, parts)):
            wanted = "a string that is not empty" if fields == 1 else "a pair of strings that are not empty"
            raise InputError(f"texts[{number}] is {reprlib.repr(given)}; each must be {wanted}")
        rows.append(Row("", tuple(compose(part.strip()) for part in parts), f"texts[{number}]"))
    return rows


def _row(record: Record, found: Columns, where: str) -> Row:
    for column in found.texts:
        if not is_text(record.get(column)):
            raise InputError(
                f"{where}: column {column!r} is {reprlib.repr(record.get(column))}; it must be text that is not empty"
            )
    label = label_text(record.get(found.label)) if found.label else None
    known = compose(label.strip()) if isinstance(label, str) else ""
    return Row(known, tuple(compose(record[column].strip()) for column in found.texts), where)
