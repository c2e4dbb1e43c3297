"""Labelled texts: read from JSONL, CSV or the Hugging Face hub, and cut into few-shot train and dev sets."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dfo_bench.errors import InputError
from dfo_bench.lm.hub import download


@dataclass(frozen=True)
class Row:
    """One labelled example: `texts` is one text or a pair; `where` names its file and line in messages."""

    label: str
    texts: tuple[str, ...]
    where: str = field(default="", compare=False)


@dataclass(frozen=True)
class Hub:
    """A dataset of the hub; `fields` maps its columns to text, text_a and text_b; labels count in class order."""

    path: str
    config: str | None = None
    test: str = "test"
    fields: tuple[tuple[str, str], ...] = (("text", "text"),)


def read_file(path: Path) -> list[Row]:
    """Read rows with `label` and `text`, or `text_a` and `text_b`; raise InputError with file, line and field."""
    readers = {".jsonl": _json_lines, ".csv": _csv}
    if path.suffix not in readers:
        raise InputError(f"data file {path} must be .jsonl or .csv")
    try:
        rows = [_row(record, where) for where, record in readers[path.suffix](path)]
    except FileNotFoundError:
        raise InputError(f"no data file {path}; it must hold one example a line: text and label") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"data file {path} cannot be read as UTF-8 text: {error}") from error
    return _checked(rows, str(path))


def read_hub(hub: Hub, split: str, labels: Sequence[str], name: str) -> list[Row]:
    """Read a split of a dataset of the hub; raise InputError that says how to work without the hub."""
    try:
        folder = download(hub.path, "dataset")
    except ConnectionError as error:
        raise InputError(
            f"{name}: dataset {hub.path!r} is not reachable ({error}); offline: pass data_dir=FOLDER or set "
            f"DFO_BENCH_DATA=FOLDER, with FOLDER/{name}/train.jsonl and FOLDER/{name}/test.jsonl in it"
        ) from error
    import datasets

    table = datasets.load_dataset(str(folder), hub.config, split=split)
    records = ({new: record[old] for old, new in hub.fields} | {"label": labels[record["label"]]} for record in table)
    where = f"{hub.path} {split}"
    return _checked([_row(record, f"{where}:{i}") for i, record in enumerate(records)], where)


def digest(rows: Iterable[Row]) -> str:
    """Digest labels and texts in order, whatever file they came from."""
    lines = (json.dumps([row.label, *row.texts], ensure_ascii=False) + "\n" for row in rows)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def few_shot(
    rows: Sequence[Row], labels: Sequence[str], shots: int, rng: np.random.Generator
) -> tuple[list[Row], list[Row]]:
    """Shuffle; of every class the first `shots` rows are train, the next `shots` dev."""
    of_class: dict[str, list[Row]] = {label: [] for label in labels}
    for i in rng.permutation(len(rows)):
        of_class[rows[i].label].append(rows[i])
    scarce, few = min(of_class.items(), key=lambda item: len(item[1]))
    if len(few) < 2 * shots:
        raise InputError(
            f"shots={shots} needs {2 * shots} examples a class, {shots} for train and {shots} for dev; "
            f"class {scarce!r} has {len(few)}; "
            + (f"pass shots={len(few) // 2} or add examples" if len(few) > 1 else "add examples")
        )
    train = [row for of in of_class.values() for row in of[:shots]]
    dev = [row for of in of_class.values() for row in of[shots : 2 * shots]]
    return train, dev


def classes(rows: Sequence[Row], labels: Sequence[str]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the class index of every row, shape (len(rows),); refuse a label that is not among `labels`."""
    index = {label: i for i, label in enumerate(labels)}
    for row in rows:
        if row.label not in index:
            raise InputError(f"{row.where}: unknown label {row.label!r}; the labels are: {', '.join(labels)}")
    return np.array([index[row.label] for row in rows], dtype=np.int64)


def _json_lines(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            where = f"{path}:{number}"
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except ValueError as error:
                raise InputError(f"{where}: not JSON: {error}; write one object a line") from None
            if not isinstance(record, dict):
                raise InputError(f"{where}: not a JSON object; write {{'text': ..., 'label': ...}}")
            yield where, record


def _csv(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    import pandas as pd

    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    except pd.errors.ParserError as error:
        raise InputError(f"{path}: not CSV: {error}") from error
    except pd.errors.EmptyDataError:
        return
    for number, record in enumerate(frame.to_dict("records"), 1):
        yield f"{path} row {number}", {str(key): value for key, value in record.items()}


def _row(record: Mapping[str, Any], where: str) -> Row:
    names = ("text_a", "text_b") if "text_a" in record else ("text",)
    for name in (*names, "label"):
        if name not in record:
            raise InputError(f"{where}: no field {name!r}; each example has text (or text_a and text_b) and label")
        if name == "label" and isinstance(record[name], int):
            continue
        if not isinstance(record[name], str) or not record[name].strip():
            raise InputError(f"{where}: field {name!r} is {record[name]!r}; it must be text that is not empty")
    return Row(str(record["label"]), tuple(record[name] for name in names), where)


def _checked(rows: list[Row], where: str) -> list[Row]:
    if not rows:
        raise InputError(f"{where} holds no examples")
    for row in rows:
        if len(row.texts) != len(rows[0].texts):
            raise InputError(
                f"{row.where}: single texts and pairs are mixed; write text everywhere, or text_a and text_b"
            )
    return rows
