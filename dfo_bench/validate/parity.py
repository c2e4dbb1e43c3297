"""Parity with the authors' program of Black-Box Tuning (arXiv 2201.03514), by numbers recorded from it.

A recording is a folder: a masked language model in `model`, and `add.npz`, `cat.npz` or both. Each holds what the
program was given in that mode, n candidates in R^d and t texts of c classes, and what it computed.
"""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dfo_bench.errors import InputError
from dfo_bench.lm import losses, models
from dfo_bench.lm.engine import Engine
from dfo_bench.lm.heads import WordsHead
from dfo_bench.lm.modes import Mode, ModeName
from dfo_bench.lm.templates import Encoded
from dfo_bench.points import Array
from dfo_bench.threads import single_threaded
from dfo_bench.validate import Row

Record = Mapping[str, npt.NDArray[Any]]

GIVEN = {
    "z": ("nd", float),
    "A": ("Dd", float),
    "input_ids": ("tl", int),
    "attention_mask": ("tl", int),
    "mask_pos": ("t", int),
    "labels": ("t", int),
    "label_ids": ("c", int),
}
"""What the program was given, axes and type; D is prompt tokens x hidden size, l the longest text's length."""

COMPUTED = {
    "loss_ce": ("n", float),
    "loss_hinge": ("n", float),
    "loss_perf": ("n", float),
    "logits2": ("ntc", float),
}
"""What it computed: the losses, of which `perf` is minus the accuracy, and the label words' logits."""

TOLERANCE = 1e-5

ROUNDING = 6.0
"""How many times our own rounding error a difference may be, where that is more than TOLERANCE.

A recording is fp32 as we are: on logits up to 4.4 the authors' program is up to 1.4e-5 from fp64, ours 0.6e-5. Stock
models of 2 to 6 layers of size 32 to 256, recorded 42 times, came out 0.3 to 4 times as far from us as we from fp64.
"""

SAME_COUNT = 1e-6
"""How near two shares of right answers are where the counts are the same, in whatever precision they were recorded."""


def parity(*, fixture: str) -> Iterator[Row]:
    """Compare losses and logits with those that the authors' program computed and the folder `fixture` records."""
    folder = Path(fixture).expanduser()
    modes: tuple[ModeName, ...] = ("add", "cat")
    paths = {mode: path for mode in modes if (path := folder / f"{mode}.npz").is_file()}
    if not paths or not (folder / "model").is_dir():
        lacks = "model/" if paths else "add.npz or cat.npz"
        raise InputError(f"fixture={fixture} holds no {lacks}; name a folder with model/ and add.npz, cat.npz or both")
    model = models.load(str(folder / "model"), "masked")
    records = {mode: _read(path, mode, model) for mode, path in paths.items()}
    exact = replace(model, model=deepcopy(model.model).double())
    for mode, record in records.items():
        with single_threaded():
            ours, exactly = _compute(model, mode, record), _compute(exact, mode, record)
        for name in COMPUTED:
            yield _row(f"{mode} {name}", record[name], ours[name], exactly[name])


def _row(what: str, published: Array, ours: Array, exactly: Array) -> Row:
    """Return the largest difference of some figures; `exactly` are ours in fp64."""
    difference = np.abs(ours - published)
    at = np.unravel_index(difference.argmax(), difference.shape)
    axes = zip(("candidate", "text", "label"), at, strict=False)
    note = f"the largest of {difference.size}: {', '.join(f'{axis} {i}' for axis, i in axes)}"
    if what.endswith("perf"):
        tolerance = SAME_COUNT
    else:
        rounding = float(np.abs(ours - exactly).max())
        tolerance = max(TOLERANCE, ROUNDING * rounding)
        note += f"; fp32 rounds ours by {rounding:.1e}"
    largest = float(difference[at])
    return Row(what, float(published[at]), float(ours[at]), largest, tolerance, largest <= tolerance, note)


def _compute(model: models.LanguageModel, mode: ModeName, record: Record) -> dict[str, Array]:
    """Return what the program computed as we compute it, texts unpadded."""
    texts = [
        Encoded(tuple(ids[seen].tolist()), mask=int(seen[:mask].sum()), text_bytes=0, cut=0)
        for ids, seen, mask in zip(record["input_ids"], record["attention_mask"] == 1, record["mask_pos"], strict=True)
    ]
    place = Mode(model, mode, len(record["A"]) // model.words.size(1))
    head = WordsHead(model, record["label_ids"].tolist())
    prompts = (record["z"] @ record["A"].T).astype(np.float32).reshape(-1, *place.shape)
    logits = Engine(model, head, place).logits(prompts, texts)
    classes = (record["labels"][:, None] == record["label_ids"]).argmax(axis=1)
    right = losses.accuracy(logits, classes)
    values = {f"loss_{name}": losses.loss(name, logits, classes, right) for name in ("ce", "hinge", "perf")}
    return {**values, "logits2": logits}


def _read(path: Path, mode: ModeName, model: models.LanguageModel) -> Record:
    """Return the arrays of a file; raise InputError where they do not fit each other or the model."""
    arrays = {**GIVEN, **COMPUTED}
    try:
        with np.load(path) as file:
            record = {name: file[name].astype(kind) for name, (_, kind) in arrays.items() if name in file}
    except Exception as error:
        # Whatever zip, zlib and NumPy raise on a damaged file.
        raise InputError(f"{path} cannot be read as NumPy's .npz: {error}; copy it again") from error
    if missing := [name for name in arrays if name not in record]:
        raise InputError(f"{path} lacks {', '.join(missing)}; it must hold {', '.join(arrays)}")
    sizes: dict[str, int] = {}
    for name, (axes, _) in arrays.items():
        shape = record[name].shape
        wanted = ", ".join(str(sizes.get(axis, axis)) for axis in axes)
        fits = len(shape) == len(axes) and 0 not in shape
        if not fits or any(sizes.setdefault(axis, size) != size for axis, size in zip(axes, shape, strict=True)):
            raise InputError(f"{path}: {name} has shape {shape}; it must be ({wanted}), with none of them 0")
    if problem := _misfit(record, mode, model):
        raise InputError(f"{path}: {problem}; record it again with the model beside it")
    return record


def _misfit(record: Record, mode: ModeName, model: models.LanguageModel) -> str:
    """Return in what a recording does not fit its model or itself, "" where all fits."""
    vocabulary, size = model.words.shape
    dim, seen = len(record["A"]), record["attention_mask"] == 1
    if dim % size:
        return f"A has {dim} rows, which is no multiple of the model's hidden size {size}"
    ids = np.concatenate([record["input_ids"][seen], record["label_ids"]])
    if ids.min() < 0 or ids.max() >= vocabulary:
        return f"a token id is {ids.min() if ids.min() < 0 else ids.max()}, and the model knows 0 to {vocabulary - 1}"
    if not np.isin(record["labels"], record["label_ids"]).all():
        return "labels holds ids that label_ids does not"
    places = np.arange(seen.shape[1]) == record["mask_pos"][:, None]
    if not (places & seen).any(axis=1).all():
        return "mask_pos points to where attention_mask is not 1"
    lengths, place = seen.sum(axis=1), Mode(model, mode, dim // size)
    if lengths.max() + place.before > model.max_tokens:
        return f"a text of {lengths.max()} tokens and a prompt of {place.tokens} are more than {model.max_tokens}"
    if lengths.min() < model.first + place.slots:
        return f"a text of {lengths.min()} tokens has no room for {place.slots} prompt slots"
    return ""
