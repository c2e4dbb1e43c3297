"""Bundles: what a run has found as one folder, which predicts without the store and without the training data."""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from dfo_bench import __version__
from dfo_bench.errors import InputError, UnknownNameError
from dfo_bench.exchange.bundle_program import LABELS, PROGRAM, computed, write_program
from dfo_bench.exchange.bundle_readme import write_readme
from dfo_bench.exchange.prompts import say_source, write_files
from dfo_bench.exchange.suite import ELSEWHERE
from dfo_bench.lm.mapped import Mapped
from dfo_bench.lm.setting import Setting, describe, restore
from dfo_bench.plugins.registry import REFERENCES
from dfo_bench.store.classifier import TextClassifier, build, take_run
from dfo_bench.store.folder import pretty_json
from dfo_bench.store.store import Store
from dfo_bench.store.text_runs import BEST
from dfo_bench.threads import single_threaded

FORMAT = 1
"""To be raised with any change after which a bundle says something else."""

BUNDLE, TENSORS, README = "bundle.json", "tensors.safetensors", "README.md"

PROMPT = "prompt"
"""The name of the prompt among the tensors; the others are what a classifier has learned."""


@dataclass(frozen=True)
class Bundle:
    """What stands in bundle.json."""

    format: int
    made_by: str
    """The version of dfo-bench."""
    tensors_sha256: str
    setting: Setting
    reference: str | None
    """The name of the reference that learned; None where a prompt was searched."""
    run: dict[str, Any]
    """The run it is from, its scores, and the number of rows in each split."""


_BUNDLE = TypeAdapter(Bundle)


def export_bundle(store: Store, out: str | Path, run: str = BEST, task: str | None = None) -> list[str]:
    """Write the folder of a run, chosen as `Store.classifier` does; return which it is, and what is better.

    Raise InputError where `out` holds something, or the run's model or data are not there any more.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} is not empty; {ELSEWHERE}")
    chosen, notes = take_run(store, run, task)
    classifier = build(chosen, here=True)
    texts, learned = classifier.texts, classifier.learned.learned()
    arrays = {**learned.arrays, **computed(texts, learned)}
    tensors = {name: np.array(array, order="C") for name, array in arrays.items()}
    setting = describe(texts)
    if setting.prompt_tokens:
        tensors[PROMPT] = texts.prompt.prompts()[0]
    data = save_tensors(tensors)
    summary, rows = chosen.summary, {split: len(own) for split, own in texts.splits.items()}
    row = store.runs().set_index("key").loc[[summary.key]].iloc[0]
    notes = [*notes, *classifier.notes]
    bundle = Bundle(
        format=FORMAT,
        made_by=__version__,
        tensors_sha256=hashlib.sha256(data).hexdigest(),
        setting=setting,
        reference=summary.spec.optimizer.name if chosen.reference else None,
        run={"key": summary.key, **say_source(store, summary, row), "rows": rows, "notes": notes},
    )
    program = write_program(bundle, texts, learned)
    files = {
        BUNDLE: (pretty_json.encode(asdict(bundle)) + "\n").encode(),
        TENSORS: data,
        PROGRAM: program.encode(),
        README: write_readme(bundle, texts, learned, program=bool(program)).encode(),
    }
    write_files({out / name: content for name, content in files.items() if content})
    return [f"run {chosen.describe()}", *notes]


def load(folder: str | Path) -> TextClassifier:
    """Return the classifier of a bundle that `dfo-bench export bundle` wrote; its model must be there.

    Raise InputError for a folder that is none, of another version or damaged, and where the model is not the one that
    was used.

    >>> dfo_bench.load("tickets").predict(["the parcel never came"])
    """
    folder = Path(folder)
    bundle = _read_bundle(folder)
    data = _read(folder, TENSORS)
    if hashlib.sha256(data).hexdigest() != bundle.tensors_sha256:
        raise InputError(f"{folder / TENSORS} is not what was written; copy the bundle again")
    tensors = load_tensors(data)
    prompt = tensors.pop(PROMPT, None)
    tensors.pop(LABELS, None)
    try:
        with single_threaded():
            texts = restore(bundle.setting, None if prompt is None else prompt[None])
    except InputError as error:
        raise InputError(f"{folder}: {error}; the model is named in {BUNDLE}") from error
    learner = Mapped if bundle.reference is None else _reference(bundle.reference, folder)
    classifier = TextClassifier(bundle.run["key"], texts, lambda: learner.restore(texts, tensors))
    classifier.notes = [f"bundle {folder} of run {classifier.key} ({bundle.run['task']})", *bundle.run["notes"]]
    return classifier


def _reference(name: str, folder: Path) -> Any:
    try:
        return REFERENCES.load(name)
    except UnknownNameError as error:
        raise InputError(f"{folder} needs the reference {name}, which is not installed; install its package") from error


def _read_bundle(folder: Path) -> Bundle:
    data = _read(folder, BUNDLE)
    try:
        version = TypeAdapter(dict[str, Any]).validate_json(data).get("format")
        if version != FORMAT:
            raise InputError(
                f"{folder} is a bundle of format {version!r}, and this dfo-bench {__version__} reads format {FORMAT}; "
                "use the version that wrote it, or export it again"
            )
        return _BUNDLE.validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "it"
        raise InputError(f"{folder / BUNDLE} is damaged: {where}: {first['msg']}; copy the bundle again") from error


def _read(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise InputError(
            f"{folder} is no bundle: {name}: {error.strerror}; make one with: dfo-bench export bundle OUT --store DIR"
        ) from error
