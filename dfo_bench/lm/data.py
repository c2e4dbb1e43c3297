"""Labelled texts: read from files or the Hugging Face hub, and cut into few-shot train and dev sets."""

import hashlib
import json
import reprlib
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dfo_bench.errors import InputError
from dfo_bench.lm.columns import LABEL, Named, find_columns
from dfo_bench.lm.hub import dataset
from dfo_bench.lm.records import Record, read_records

UNLABELLED = -1
"""The class number that the hub gives a row without a label: some of SNLI, and all of GLUE's test sets."""

EXAMPLE = "text (or text_a and text_b) and label"


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


@dataclass(frozen=True)
class Labelled:
    """The rows of a file, and what a reader should know of how they were read, a line each."""

    rows: list[Row]
    notes: list[str]


def read_file(path: Path, text: Named = None, label: str | None = None) -> Labelled:
    """Read rows of a text, or of a pair, with a label; raise InputError with file, row and column.

    `text` and `label` name the columns; None finds them by their usual names. Texts and labels are read without
    whitespace around them, and with their accents composed (NFC). A label may also be a whole number, or true or false.
    Rows that hold nothing are passed over.
    """
    records = read_records(path, EXAMPLE)
    if not records.rows:
        raise InputError(f"{path} holds no examples; each has {EXAMPLE}")
    columns = find_columns(records.name, records.columns, text, label, labelled=True)
    assert columns.label is not None
    rows = [_row(record, columns.texts, columns.label, where) for where, record in records.rows]
    notes = [*records.notes, *([] if columns.usual else [f"{path}: {columns}"]), *records.passed_over]
    written = [str(label_text(record[columns.label])) for _, record in records.rows]
    respelled = Counter((raw, row.label) for raw, row in zip(written, rows, strict=True) if raw != row.label)
    if respelled:
        named = ", ".join(f"{raw!r} as {read!r} ({n})" for (raw, read), n in respelled.most_common(3))
        notes.append(f"{path}: labels read without spaces around them and with accents composed: {named}")
    return Labelled(rows, notes)


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
        where = f"{hub.path} {split} row {i}"
        rows.append(_row({**texts, LABEL: names.get(label, label)}, [new for _, new in hub.fields], LABEL, where))
    if not rows:
        raise InputError(f"{hub.path} {split} holds no examples; each has {EXAMPLE}")
    return rows


def compose(text: str) -> str:
    """Return a text with its accents composed (NFC): what looks the same is the same."""
    return unicodedata.normalize("NFC", text)


def digest(rows: Iterable[Row]) -> str:
    """Return the digest of labels and texts in their order, whatever file they came from."""
    lines = (json.dumps([row.label, *row.texts], ensure_ascii=False) + "\n" for row in rows)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


UNUSED = "unused"
"""What stands for all rows that are nothing else."""


class Split(NamedTuple):
    """The rows of a pool, class by class."""

    train: list[Row]
    dev: list[Row]
    unused: list[Row]

    def left_for_test(self) -> list[Row]:
        """Return what is unused; raise InputError where nothing is."""
        if not self.unused:
            raise InputError("test=unused: no example is unused; pass a smaller shots or dev_shots, or a file")
        return self.unused


def few_shot(
    rows: Sequence[Row], labels: Sequence[str], shots: int, rng: np.random.Generator, dev_shots: int | str | None = None
) -> Split:
    """Shuffle the rows; of each class the first `shots` are train, and the next `dev_shots` dev.

    None takes as many as are train, and UNUSED all that are left. Raise InputError where a class has too few.
    """
    of_class = _by_class([rows[i] for i in rng.permutation(len(rows))], labels)
    scarce, few = _scarcest(of_class)
    most = max(map(len, of_class.values()))
    dev = shots if dev_shots is None else most if isinstance(dev_shots, str) else dev_shots
    needed = shots if isinstance(dev_shots, str) else shots + dev
    if few < needed:
        fits = f"pass shots={few // 2} or" if dev_shots is None and few > 1 else "pass a smaller shots, or"
        raise InputError(
            f"shots={shots} needs {needed} examples per class, {shots} for train and {needed - shots} for dev; class "
            f"{scarce!r} has {few}; "
            + (f"{fits} a smaller dev_shots, or add examples" if few else "add examples or leave the class out")
        )
    parts = [(of[:shots], of[shots : shots + dev], of[shots + dev :]) for of in of_class.values()]
    return Split(*([row for part in some for row in part] for some in zip(*parts, strict=True)))


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


def _row(record: Record, texts: Sequence[str], label: str, where: str) -> Row:
    if missing := [name for name in (*texts, label) if name not in record]:
        there = reprlib.repr(list(record))
        raise InputError(f"{where}: no field {missing[0]!r} among {there}; each example has {EXAMPLE}")
    values = {**{name: record[name] for name in texts}, label: label_text(record[label])}
    for name, value in values.items():
        if not is_text(value):
            number = " or a whole number" if name == label else ""
            raise InputError(
                f"{where}: field {name!r} is {reprlib.repr(value)}; it must be text that is not empty{number}"
            )
    return Row(compose(values[label].strip()), tuple(compose(values[name].strip()) for name in texts), where)


def label_text(label: Any) -> Any:
    """Return a label as text: true, false and whole numbers are written as in JSON, all else stays as it is."""
    return json.dumps(label) if isinstance(label, int) else label


def is_text(value: Any) -> bool:
    """Return whether a value is text that is not empty, and has an encoding in UTF-8: JSON can write half a letter."""
    try:
        return isinstance(value, str) and bool(value.strip() and value.encode())
    except UnicodeEncodeError:
        return False
