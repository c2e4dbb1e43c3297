"""Texts to classify: read from a file or a stream, with their other columns, and perhaps with labels."""

import reprlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from dfo_bench.errors import InputError
from dfo_bench.lm.data import READERS, Record, Records, Row, compose, decode, is_text, label_text, read_records

LINES = ".txt"
"""The end of the name of a file with one text a line."""

STREAM = "-"
"""What stands for standard input."""

FIELDS = {1: ("text",), 2: ("text_a", "text_b")}
"""The columns of the texts, by how many of them make a row."""

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
    blank: int
    """How many lines without a text were passed over."""

    @property
    def fields(self) -> int:
        """How many texts make a row."""
        return len(self.rows[0].texts)

    @property
    def labelled(self) -> bool:
        """Whether there is a column of labels."""
        return "label" in self.columns


def read_asked(name: str, stream: IO[bytes]) -> Asked:
    """Read texts: one per line of a .txt file, or the column text, or text_a and text_b, of .csv, .jsonl or .parquet.

    "-" reads lines from `stream`. Raise InputError with the file, and the row or the columns that are there.
    """
    path, suffix = Path(name), Path(name).suffix.lower()
    shown, blank = ("standard input" if name == STREAM else name), 0
    if name == STREAM:
        found = [(f"{shown}{place}", record) for place, record in _lines_of(stream.read(), shown)]
    elif suffix == LINES:
        found = list(read_records(path, lambda file: _lines_of(file.read_bytes(), shown), _WANTED))
    elif suffix in READERS:
        found = list(read_records(path, READERS[suffix], _WANTED))
    else:
        raise InputError(
            f"{name!r} is not read; name a file that ends in {', '.join([LINES, *READERS])}, or {STREAM} for lines "
            "from standard input"
        )
    if name == STREAM or suffix == LINES:
        written = [(where, record) for where, record in found if record["text"].strip()]
        found, blank = written, len(found) - len(written)
    if not found:
        raise InputError(f"{shown} holds no texts; each row or line has {_WANTED}")
    columns = list(dict.fromkeys(column for _, record in found for column in record))
    fields = FIELDS[2 if FIELDS[2][0] in columns else 1]
    if missing := [field for field in fields if field not in columns]:
        raise InputError(
            f"{shown}: no column {missing[0]!r} among {', '.join(columns)}; rename the column of the texts: {_WANTED}"
        )
    rows = [_row(record, fields, where) for where, record in found]
    return Asked(shown, columns, [record for _, record in found], rows, blank)


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


def _lines_of(raw: bytes, name: str) -> Records:
    # Not splitlines: it also splits where a text holds U+2028.
    for number, line in enumerate(decode(raw, name).removesuffix("\n").split("\n"), 1):
        yield f":{number}", {"text": line.rstrip("\r")}


def _row(record: Record, fields: Sequence[str], where: str) -> Row:
    for field in fields:
        if not is_text(record.get(field)):
            raise InputError(
                f"{where}: column {field!r} is {reprlib.repr(record.get(field))}; it must be text that is not empty"
            )
    label = label_text(record.get("label"))
    known = compose(label.strip()) if isinstance(label, str) else ""
    return Row(known, tuple(compose(record[field].strip()) for field in fields), where)
