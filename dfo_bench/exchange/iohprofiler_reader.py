"""Runs that a logger of IOHprofiler wrote, or `dfo-bench export iohprofiler`.

A task is a function's name, an optimizer an algorithm's. Indices are JSON files or, before 2022, `.info` files; both
name files of the same kind, whose columns were renamed in between.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from dfo_bench.errors import InputError
from dfo_bench.exchange.blocks import Block, changes, read_blocks
from dfo_bench.exchange.info_files import read_info
from dfo_bench.exchange.logs import Entry, Log, Root, collect, import_logs, printable
from dfo_bench.store.frames import IMPORTED

_LOSSES = ("raw_y", "current f(x)", "best-so-far f(x)")
"""The first that a file has is read; the last is all that some have."""

_TIMES = ("task_seconds", "optimizer_seconds")
"""Columns that `dfo-bench export` writes and others need not."""

_SECOND_OBJECTIVE = "F2"

_SUFFIXES = (".dat", ".cdat", ".tdat", ".idat")
"""Files of the same rows at other moments; the first that is there is read."""


class _Best(BaseModel):
    evals: int
    y: float | None = None


class _Run(BaseModel):
    """A run in a JSON file."""

    instance: int = 0
    evals: int = Field(default=0, ge=0)
    best: _Best | None = None
    seed: Any = None

    def entry(self) -> Entry:
        """Return what the run comes to; loggers that were never told of an evaluation count none."""
        best = self.best or _Best(evals=0)
        known = None if best.y is None else (best.evals, best.y)
        return Entry(self.instance, max(self.evals, best.evals), self.seed, known)


class _Scenario(BaseModel):
    dimension: int = Field(ge=1, lt=2**63)
    path: str
    runs: list[_Run]


class _Algorithm(BaseModel):
    name: str
    info: str = ""


class _Index(BaseModel):
    """A JSON file; what else stands in it is not needed here."""

    version: str = ""
    suite: str = ""
    function_name: str = Field(min_length=1)
    maximization: bool
    algorithm: _Algorithm
    scenarios: list[_Scenario]


def import_iohprofiler(folder: Path, store: Path) -> list[str]:
    """Write every whole run below `folder` into a store; raise InputError where there is none."""
    indices = sorted(path for path in folder.rglob("IOHprofiler_*") if path.suffix in _READ)
    rows = {path.resolve() for path in folder.rglob("IOHprofiler_*.dat")}
    if not indices and not rows:
        coco = "; for files of COCO: dfo-bench import coco" if any(folder.rglob("*.info")) else ""
        raise InputError(
            f"{folder} has no IOHprofiler_*.json or .info; name the folder that a logger of IOHprofiler wrote{coco}"
        )
    root = Root(folder)
    logs, faults = collect(root, indices, lambda root, index: _READ[index.suffix](root, index))
    faults += [f"{root.name(path)}: no index lists it" for path in sorted(rows - {log.path for log in logs})]
    return import_logs(logs, faults, folder, store)


def _read_json(root: Root, index: Path) -> Iterator[Log]:
    try:
        found = _Index.model_validate(json.loads(index.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"it is no index: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"it is damaged: {error}") from error
    for scenario in found.scenarios:
        path = root.locate(index, scenario.path)
        yield Log(
            path=path,
            name=root.name(path),
            function=printable(found.function_name),
            algorithm=_algorithm(found.algorithm.name, index),
            dim=scenario.dimension,
            maximised=found.maximization,
            entries=[run.entry() for run in scenario.runs],
            blocks=partial(_blocks, path),
            source={"suite": found.suite, "algorithm_info": found.algorithm.info, "version": found.version},
        )


def _read_info(root: Root, index: Path) -> Iterator[Log]:
    for part in read_info(index):
        said = part.header
        for written, entries in part.files.items():
            path = root.locate(index, written)
            direction = said.get("maximization", "").upper()[:1]
            yield Log(
                path=path,
                name=root.name(path),
                function=printable(said.get("funcName") or f"f{part.function}"),
                algorithm=_algorithm(said.get("algId", ""), index),
                dim=part.dim,
                maximised=direction == "T" if direction else _rises(path),
                entries=entries,
                blocks=partial(_blocks, path),
                source={"suite": said.get("suite", ""), "algorithm_info": said.get("algInfo", ""), "version": ""},
            )


_READ: dict[str, Callable[[Root, Path], Iterator[Log]]] = {".json": _read_json, ".info": _read_info}


def _algorithm(name: str, index: Path) -> str:
    """Return the name of an algorithm, that of its folder where it has none."""
    return printable(name).removesuffix(f" · {IMPORTED}") or printable(index.parent.name)


def _blocks(path: Path) -> Iterator[Block]:
    """Yield (n, 4) a run: evaluation, loss, seconds of the task and of the optimizer, nan where they are not given."""
    for block in read_blocks(_there(path), _begins, _columns):
        names = _names(block.header)
        repeats = not block.fault and not set(_LOSSES[:-1]) & set(names)
        yield replace(block, rows=changes(block.rows)) if repeats else block


def _there(path: Path) -> Path:
    return next((other for suffix in _SUFFIXES if (other := path.with_suffix(suffix)).is_file()), path)


def _begins(line: str) -> bool:
    return line.startswith(("evaluations", '"function evaluation"'))


def _names(header: str) -> list[str]:
    return [quoted or word for quoted, word in re.findall(r'"([^"]*)"|(\S+)', header)]


def _width(names: list[str]) -> range:
    return range(len(names), len(names) + 1)


def _columns(header: str) -> tuple[list[int], range]:
    names = _names(header)
    if not names:
        raise InputError("no line names its columns")
    if _SECOND_OBJECTIVE in names:
        raise InputError(f"it has several objectives (a column {_SECOND_OBJECTIVE}), and only one can be compared here")
    loss = next((name for name in _LOSSES if name in names), None)
    if not loss:
        raise InputError(f"it has no column {_LOSSES[0]}")
    return [0, *(names.index(name) if name in names else -1 for name in (loss, *_TIMES))], _width(names)


def _rises(path: Path) -> bool:
    """Say whether the best so far grows: the first indices do not say what is optimised."""
    try:
        return any((np.diff(block.rows[:, 1]) > 0).any() for block in read_blocks(_there(path), _begins, _best))
    except OSError:
        return False


def _best(header: str) -> tuple[list[int], range]:
    names = _names(header)
    return [0, names.index(_LOSSES[-1]) if _LOSSES[-1] in names else -1], _width(names)
