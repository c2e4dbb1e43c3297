"""Labelled texts: read from JSONL, CSV, Parquet or the Hugging Face hub, and cut into few-shot train and dev sets."""

import csv
import hashlib
import io
import json
import reprlib
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dfo_bench.errors import InputError
from dfo_bench.lm.hub import dataset

Record = Mapping[str, Any]
Records = Iterator[tuple[str, Record]]
"""Each record with its place in the file, ":3" or " row 3"."""

UNLABELLED = -1
"""The class number that the hub gives a row without a label: some of SNLI, and all of GLUE's test sets."""

_EXAMPLE = "text (or text_a and text_b) and label"


@dataclass(frozen=True)
class Row:
    """One labelled example: `texts` is one text or a pair; `where` names its file and line in messages."""

    label: str
    texts: tuple[str, ...]
    where: str = field(default="", compare=False)


@dataclass(frozen=True)
class Hub:
    """A dataset of the hub; its labels count in class order."""

    path: str
    config: str | None = None
    """The name of the configuration, where there are several."""
    test: str = "test"
    """The split that is scored at the end."""
    fields: tuple[tuple[str, str], ...] = (("text", "text"),)
    """The columns, each with its name here: text, or text_a and text_b."""
    line_break: str | None = None
    """The characters that stand for a line break in the texts; they are read as a space."""


def read_file(path: Path) -> list[Row]:
    """Read rows with `label` and `text`, or `text_a` and `text_b`; raise InputError with file, row and field.

    Texts and labels are read without whitespace around them, and with their accents composed (NFC). A label may also be
    a whole number, or true or false.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"data file {path} must be {', '.join(READERS)}")
    return _checked([_row(record, where) for where, record in read_records(path, reader, _EXAMPLE)], str(path))


def read_records(path: Path, reader: Callable[[Path], Records], wanted: str) -> Records:
    """Yield the records of a file, each with its file and place.

    Raise InputError where it cannot be read; `wanted` says what each record is to hold.
    """
    try:
        for place, record in reader(path):
            yield f"{path}{place}", record
    except FileNotFoundError:
        raise InputError(f"no data file {path}; it must hold one example per row: {wanted}") from None
    except OSError as error:
        raise InputError(
            f"data file {path} cannot be read: {error.strerror}; it must be a file you may read"
        ) from error


def read_hub(hub: Hub, split: str, labels: Sequence[str], name: str) -> list[Row]:
    """Read a split of a dataset of the hub; raise InputError that says how to work without the hub.

    Rows without a label (UNLABELLED) are left out.
    """
    try:
        records = dataset(hub.path, hub.config, split)
    except ConnectionError as error:
        raise InputError(
            f"{name}: dataset {hub.path!r} is not reachable ({error}); offline: pass data_dir=FOLDER or set "
            f"DFO_BENCH_DATA=FOLDER, with FOLDER/{name}/train.jsonl and FOLDER/{name}/test.jsonl in it"
        ) from error
    names: dict[Any, str] = dict(enumerate(labels))
    rows = []
    for i, record in enumerate(records, 1):
        label = record.get("label")
        if label == UNLABELLED:
            continue
        texts = {new: record[old] for old, new in hub.fields if old in record}
        if hub.line_break:
            texts = {name: text.replace(hub.line_break, " ") for name, text in texts.items()}
        rows.append(_row({**texts, "label": names.get(label, label)}, f"{hub.path} {split} row {i}"))
    return _checked(rows, f"{hub.path} {split}")


def compose(text: str) -> str:
    """Return a text with its accents composed (NFC): what looks the same is the same."""
    return unicodedata.normalize("NFC", text)


def digest(rows: Iterable[Row]) -> str:
    """Return the digest of labels and texts in their order, whatever file they came from."""
    lines = (json.dumps([row.label, *row.texts], ensure_ascii=False) + "\n" for row in rows)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def few_shot(
    rows: Sequence[Row], labels: Sequence[str], shots: int, rng: np.random.Generator
) -> tuple[list[Row], list[Row]]:
    """Shuffle the rows; return the first `shots` of each class as train, the next `shots` as dev, class by class."""
    of_class = _by_class([rows[i] for i in rng.permutation(len(rows))], labels)
    scarce, few = _scarcest(of_class)
    if few < 2 * shots:
        raise InputError(
            f"shots={shots} needs {2 * shots} examples per class, {shots} for train and {shots} for dev; "
            f"class {scarce!r} has {few}; " + (f"pass shots={few // 2} or add examples" if few > 1 else "add examples")
        )
    train = [row for of in of_class.values() for row in of[:shots]]
    dev = [row for of in of_class.values() for row in of[shots : 2 * shots]]
    return train, dev


def demonstrations(rows: Sequence[Row], labels: Sequence[str], count: int) -> list[Row]:
    """Return the first `count` rows of each class, the classes in turns, so that none stands last as a block."""
    of_class = _by_class(rows, labels)
    scarce, few = _scarcest(of_class)
    if few < count:
        raise InputError(
            f"demonstrations={count} are taken of the {few} train examples of class {scarce!r}; "
            f"pass demonstrations={few} or shots={count}"
        )
    return [of[i] for i in range(count) for of in of_class.values()]


def classes(rows: Sequence[Row], labels: Sequence[str]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the class index of each row, shape (len(rows),); raise InputError for a label not among `labels`."""
    index = {label: i for i, label in enumerate(labels)}
    for row in rows:
        if row.label not in index:
            raise InputError(f"{row.where}: unknown label {row.label!r}; the labels are: {', '.join(labels)}")
    return np.array([index[row.label] for row in rows], dtype=np.int64)


def _by_class(rows: Iterable[Row], labels: Sequence[str]) -> dict[str, list[Row]]:
    of_class: dict[str, list[Row]] = {label: [] for label in labels}
    for row in rows:
        of_class[row.label].append(row)
    return of_class


def _scarcest(of_class: Mapping[str, Sequence[Row]]) -> tuple[str, int]:
    return min(((label, len(rows)) for label, rows in of_class.items()), key=lambda item: item[1])


def _json_lines(path: Path) -> Records:
    # Not splitlines: it also splits where a text holds U+2028.
    for number, line in enumerate(_text(path).split("\n"), 1):
        where = f"{path}:{number}"
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{where}: not JSON: {error}; write one object per line") from None
        if not isinstance(record, dict):
            raise InputError(f"{where}: not a JSON object; write {{'text': ..., 'label': ...}}")
        yield f":{number}", record


def _csv(path: Path) -> Records:
    # A space after a comma is around a value, so it is not read, and a quote after it opens a quoted value.
    records = csv.DictReader(io.StringIO(_text(path), newline=""), strict=True, skipinitialspace=True)
    number = 0
    try:
        names = records.fieldnames = [name.strip() for name in records.fieldnames or ()]
        if len(names) == 1 and (separator := next((mark for mark in ";\t|" if mark in names[0]), None)):
            raise InputError(f"{path}: its columns are separated by {separator!r}; separate them by commas")
        if len(set(names)) < len(names):
            raise InputError(f"{path}: two columns have one name among {reprlib.repr(names)}; rename one")
        for number, record in enumerate(records, 1):
            if None in record:
                raise InputError(
                    f"{path} row {number}: more fields than the header; put a text that holds a comma into straight "
                    'double quotes, "", right after the comma before it'
                )
            yield f" row {number}", record
    except csv.Error as error:
        raise InputError(
            f"{path} row {number + 1}: not CSV: {error}; put texts into quotes, double those within, and leave nothing "
            "between a quote that closes and the comma, no space either"
        ) from None


def _parquet(path: Path) -> Records:
    with path.open("rb") as file:
        try:
            records = pq.ParquetFile(file).read().to_pylist()
        except (pa.ArrowException, OSError, ValueError) as error:
            reason = str(error).partition("\n")[0]
            raise InputError(f"{path}: not Parquet, or damaged: {reason}; write the file anew") from error
    for number, record in enumerate(records, 1):
        yield f" row {number}", record


READERS: dict[str, Callable[[Path], Records]] = {".jsonl": _json_lines, ".csv": _csv, ".parquet": _parquet}
"""What reads the records of a file, by the end of its name."""


def _text(path: Path) -> str:
    return decode(path.read_bytes(), str(path))


def decode(raw: bytes, name: str) -> str:
    """Return UTF-8 as text; raise InputError with the line of a byte that is none."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{name}:{line}: byte 0x{raw[error.start]:02x} is not UTF-8; save the file as UTF-8 text"
        ) from None


def _row(record: Record, where: str) -> Row:
    names = ("text_a", "text_b") if "text_a" in record else ("text",)
    if missing := [name for name in (*names, "label") if name not in record]:
        there = reprlib.repr(list(record))
        raise InputError(f"{where}: no field {missing[0]!r} among {there}; each example has {_EXAMPLE}")
    label = label_text(record["label"])
    for name, value in [*((name, record[name]) for name in names), ("label", label)]:
        if not is_text(value):
            number = " or a whole number" if name == "label" else ""
            raise InputError(
                f"{where}: field {name!r} is {reprlib.repr(value)}; it must be text that is not empty{number}"
            )
    return Row(compose(label.strip()), tuple(compose(record[name].strip()) for name in names), where)


def label_text(label: Any) -> Any:
    """Return a label as text: true, false and whole numbers are written as in JSON, all else stays as it is."""
    return json.dumps(label) if isinstance(label, int) else label


def is_text(value: Any) -> bool:
    """Return whether a value is text that is not empty, and has an encoding in UTF-8: JSON can write half a letter."""
    try:
        return isinstance(value, str) and bool(value.strip() and value.encode())
    except UnicodeEncodeError:
        return False


def _checked(rows: list[Row], where: str) -> list[Row]:
    if not rows:
        raise InputError(f"{where} holds no examples; each has {_EXAMPLE}")
    for row in rows:
        if len(row.texts) != len(rows[0].texts):
            raise InputError(
                f"{row.where}: single texts and pairs are mixed; write text everywhere, or text_a and text_b"
            )
    return rows
