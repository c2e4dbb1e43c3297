"""Records: what stands in a file of texts, one mapping of its columns a row, whatever its format and encoding."""

import codecs
import csv
import gzip
import io
import json
import reprlib
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dfo_bench.errors import InputError, count
from dfo_bench.lm.folders import refuse_pointer

Record = Mapping[str, Any]

DELIMITERS = ",;\t|"
"""What may separate the columns of a table of text; of equals the first."""

LINES = ".txt"
"""The end of the name of a file with one text a line."""

PACKED = ".gz"

_NAMED = 5
"""How many places a note names."""


@dataclass(frozen=True)
class Records:
    """The records of a file, each with its place, "train.csv:3"; a line is counted as an editor counts it."""

    name: str
    rows: Sequence[tuple[str, Record]]
    """Those that hold anything."""
    blank: Sequence[str]
    """The places of those that hold nothing, within the file: "3" or "row 3"."""
    notes: Sequence[str] = ()
    """What was taken without being asked for, such as the first of several sheets."""

    @property
    def columns(self) -> list[str]:
        """The columns, in their order."""
        return list(dict.fromkeys(column for _, record in self.rows for column in record))

    @property
    def passed_over(self) -> list[str]:
        """The note on what holds nothing, if there is such."""
        if not self.blank:
            return []
        more = f" and {len(self.blank) - _NAMED} more" if len(self.blank) > _NAMED else ""
        kind = "blank row" if self.blank[0].startswith("row") else "blank line"
        named = ", ".join(place.removeprefix("row ") for place in self.blank[:_NAMED])
        return [f"{self.name}: {count(len(self.blank), kind)} passed over: {named}{more}"]


Places = Iterator[tuple[str, Record | None]]
"""Each record with its place, None where it holds nothing: an editor's line, "3", or "row 3"."""


def read_records(path: Path, wanted: str, readers: Iterable[str] = ()) -> Records:
    """Read a file by the end of its name; `readers` are the ends that are taken, all of READERS where there are none.

    Raise InputError where it cannot be read; `wanted` says what each row is to hold.
    """
    known = list(readers) or [end for end in READERS if end != LINES]
    inner = Path(path.stem) if path.suffix.lower() == PACKED else path
    if inner.suffix.lower() not in known:
        raise InputError(f"data file {path} must be {', '.join(known)}, or one of these and {PACKED}")
    try:
        refuse_pointer(path)
        raw = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"no data file {path}; it must hold one example per row: {wanted}") from None
    except OSError as error:
        raise InputError(
            f"data file {path} cannot be read: {error.strerror}; it must be a file you may read"
        ) from error
    if inner is not path:
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{path}: not gzip, or damaged: {error}; pack the file anew") from error
    return parse_records(raw, str(path), inner.suffix.lower())


def parse_records(raw: bytes, name: str, kind: str) -> Records:
    """Read the content of a file of a kind, one of READERS; `name` stands for it in messages."""
    notes: list[str] = []
    rows: list[tuple[str, Record]] = []
    blank: list[str] = []
    for place, record in READERS[kind](raw, name, notes):
        if record is None:
            blank.append(place)
        else:
            rows.append((_where(name, place), record))
    return Records(name, rows, blank, notes)


def _where(name: str, place: str) -> str:
    return f"{name} {place}" if place.startswith("row") else f"{name}:{place}"


def decode(raw: bytes, name: str) -> str:
    """Return UTF-8 or UTF-16 as text; raise InputError with the line of a byte that is neither."""
    wide = _utf_16(raw)
    try:
        return raw.decode(wide or "utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.decode(wide or "latin-1", "replace")[: error.start].count("\n") + 1
        raise InputError(
            f"{name}:{line}: byte 0x{raw[error.start]:02x} is not {'UTF-16' if wide else 'UTF-8'}; save the file as "
            'UTF-8 text (in Excel: "CSV UTF-8")'
        ) from None


def _utf_16(raw: bytes) -> str:
    """Return the codec of UTF-16, "" where it is none: by its mark, or by the zero in its first character."""
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    return {(False, True): "utf-16-le", (True, False): "utf-16-be"}.get((raw[:1] == b"\0", raw[1:2] == b"\0"), "")


def _lines(raw: bytes, name: str, notes: list[str]) -> Places:
    # Not splitlines: it also splits where a text holds U+2028.
    for number, line in enumerate(decode(raw, name).removesuffix("\n").split("\n"), 1):
        yield str(number), {"text": line.rstrip("\r")} if line.strip() else None


def _json_lines(raw: bytes, name: str, notes: list[str]) -> Places:
    for number, line in enumerate(decode(raw, name).removesuffix("\n").split("\n"), 1):
        if not line.strip():
            yield str(number), None
            continue
        where = f"{name}:{number}"
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{where}: not JSON: {error}; write one object per line") from None
        if not isinstance(record, dict):
            raise InputError(f"{where}: not a JSON object; write {{'text': ..., 'label': ...}}")
        yield str(number), record


def _csv(raw: bytes, name: str, notes: list[str]) -> Places:
    text = decode(raw, name)
    delimiter = _delimiter(text)
    if delimiter != ",":
        notes.append(f"{name}: columns are separated by {'tabs' if delimiter == chr(9) else delimiter}")
    # A space after a comma is around a value, so it is not read, and a quote after it opens a quoted value.
    lines = csv.reader(io.StringIO(text, newline=""), strict=True, skipinitialspace=True, delimiter=delimiter)
    return _table(_numbered(lines, name), name, delimiter)


def _delimiter(text: str) -> str:
    """Return what separates the columns: of the header, that into most of which it cuts."""
    header = next((line for line in text.split("\n") if line.strip()), "")

    def cut(delimiter: str) -> int:
        try:
            return len(next(csv.reader([header], delimiter=delimiter, skipinitialspace=True)))
        except csv.Error:
            return 0

    return max(DELIMITERS, key=cut)


def _numbered(lines: Any, name: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the rows of a csv.reader, each with the line where it begins."""
    begin = 1
    try:
        for row in lines:
            yield str(begin), row
            begin = lines.line_num + 1
    except csv.Error as error:
        raise InputError(
            f"{name}:{begin}: not CSV: {error}; put texts into quotes, double those within, and leave nothing "
            "between a quote that closes and the comma, no space either"
        ) from None


def _excel(raw: bytes, name: str, notes: list[str]) -> Places:
    # pandas itself takes half a second to import.
    import pandas as pd

    try:
        with pd.ExcelFile(io.BytesIO(raw), engine="openpyxl") as book:
            first, *others = map(str, book.sheet_names)
            frame = pd.read_excel(book, sheet_name=first, header=None, dtype=object, na_filter=False)
    except ImportError:
        raise InputError(f"{name}: needs openpyxl; pip install 'dfo-bench[excel]', or save it as CSV") from None
    except Exception as error:
        # openpyxl's errors have no base in common: the archive's, XML's, and its own.
        raise InputError(f"{name}: not Excel's .xlsx, or damaged: {error}; save the file anew") from error
    if others:
        notes.append(f"{name}: sheet {first!r} is read; not read: {', '.join(others)}")
    rows = ((f"row {i}", [_cell(value) for value in row]) for i, row in enumerate(frame.to_numpy().tolist(), 1))
    return _table(rows, name, "")


def _cell(value: Any) -> str:
    """Return a cell as CSV would hold it."""
    return str(value).upper() if isinstance(value, bool) else str(value)


def _table(rows: Iterable[tuple[str, list[str]]], name: str, delimiter: str) -> Places:
    """Yield the records of a table, whose first row that holds anything is its header."""
    header: list[str] = []
    for place, row in rows:
        if not any(value.strip() for value in row):
            yield place, None
        elif not header:
            header = [column.strip() for column in row]
            while not header[-1]:
                # Excel writes columns that were used once.
                header.pop()
            if len(set(header)) < len(header):
                raise InputError(f"{name}: two columns have one name among {reprlib.repr(header)}; rename one")
        elif any(value.strip() for value in row[len(header) :]):
            mark = {",": "comma", "\t": "tab"}.get(delimiter, delimiter)
            raise InputError(
                f"{_where(name, place)}: more fields than the header; put a text that holds a {mark} into straight "
                f'double quotes, "", right after the {mark} before it'
            )
        else:
            yield place, dict(zip_longest(header, row[: len(header)]))


def _parquet(raw: bytes, name: str, notes: list[str]) -> Places:
    try:
        records = pq.ParquetFile(io.BytesIO(raw)).read().to_pylist()
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"{name}: not Parquet, or damaged: {reason}; write the file anew") from error
    for number, record in enumerate(records, 1):
        yield f"row {number}", record if any(value not in (None, "") for value in record.values()) else None


READERS: Mapping[str, Callable[[bytes, str, list[str]], Places]] = {
    ".jsonl": _json_lines,
    ".csv": _csv,
    ".tsv": _csv,
    ".xlsx": _excel,
    ".parquet": _parquet,
    LINES: _lines,
}
"""What reads the content of a file, by the end of its name; notes go to the list."""
