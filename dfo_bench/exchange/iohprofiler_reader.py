"""Runs that a logger of IOHprofiler wrote, or `dfo-bench export iohprofiler`.

A task is a function's name, an optimizer an algorithm's; of each, runs of one dimension share a budget, that of the
longest. Their seeds are those that the files give, else the instances minus one, else their order, whichever first
tells them apart.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from dfo_bench.core import Array
from dfo_bench.errors import InputError
from dfo_bench.exchange.imported import ImportedRun
from dfo_bench.store.frames import IMPORTED
from dfo_bench.store.store import Store

_TIMES = ("task_seconds", "optimizer_seconds")
"""Columns that `dfo-bench export` writes and others need not."""


class _Entry(BaseModel):
    """A run in the index."""

    instance: int
    evals: int = Field(ge=1, lt=2**31)
    seed: Any = None


class _Scenario(BaseModel):
    dimension: int = Field(ge=1, lt=2**63)
    path: str
    runs: list[_Entry]


class _Algorithm(BaseModel):
    name: str = Field(min_length=1)
    info: str = ""


class _Described(BaseModel):
    """A JSON file of IOHprofiler; what else stands in it is not needed here."""

    version: str
    suite: str = ""
    function_name: str = Field(min_length=1)
    maximization: bool
    algorithm: _Algorithm
    scenarios: list[_Scenario]


@dataclass(frozen=True)
class _File:
    """The evaluations of one function, algorithm and dimension."""

    described: _Described
    scenario: _Scenario
    path: Path

    @property
    def group(self) -> tuple[str, str, int]:
        return self.described.function_name, self.described.algorithm.name, self.scenario.dimension


def import_iohprofiler(folder: Path, store: Path) -> list[str]:
    """Write every run below `folder` into a store; raise InputError for damage, before anything is written."""
    files = list(_files(folder))
    # Twice over the files rather than once through memory: what is wrong with the last is known before the first run.
    for _ in _runs(files, folder):
        pass
    opened = Store.create(store)
    new = [run.write(opened.path) for run in _runs(files, folder)]
    known = len(new) - sum(new)
    return [
        f"imported: {sum(new)} runs",
        *([f"left as they were: {known} runs that were there before"] if known else []),
    ]


def _files(folder: Path) -> Iterator[_File]:
    """Yield the files of evaluations that the JSON files name."""
    indices = sorted(folder.rglob("IOHprofiler_*.json"))
    if not indices:
        raise InputError(f"{folder} has no IOHprofiler_*.json; name the folder that a logger of IOHprofiler wrote")
    seen = set()
    for index in indices:
        try:
            described = _Described.model_validate(json.loads(index.read_text(encoding="utf-8")))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise InputError(f"{index} is no index of IOHprofiler: {where}: {first['msg']}") from error
        except (OSError, ValueError, RecursionError) as error:
            raise InputError(f"{index} is damaged; write it again, or move it away: {error}") from error
        if described.maximization:
            raise InputError(
                f"{index} maximises; only minimisation can be compared here: negate its values and try again"
            )
        for scenario in described.scenarios:
            path = (index.parent / scenario.path).resolve()
            if not path.is_relative_to(folder.resolve()) or path in seen:
                raise InputError(
                    f"{index} names {scenario.path!r}, which lies elsewhere or is named twice; mend the path"
                )
            seen.add(path)
            yield _File(described, scenario, path)


def _runs(files: Iterable[_File], folder: Path) -> Iterator[ImportedRun]:
    """Yield the runs, file by file."""
    entries: dict[tuple[str, str, int], list[_Entry]] = {}
    for file in files:
        entries.setdefault(file.group, []).extend(file.scenario.runs)
    seeds = {group: iter(_seeds(members)) for group, members in entries.items()}
    budgets = {group: max((entry.evals for entry in members), default=1) for group, members in entries.items()}
    for file in files:
        blocks = _blocks(file.path)
        for number, entry in enumerate(file.scenario.runs, 1):
            rows = next(blocks, None)
            if rows is None or rows[-1, 0] > entry.evals:
                what = "is missing" if rows is None else f"goes beyond its {entry.evals} evaluations"
                raise InputError(f"{file.path}: run {number} of {len(file.scenario.runs)} {what}; write the file again")
            yield ImportedRun(
                function=_printable(file.described.function_name),
                algorithm=_printable(file.described.algorithm.name).removesuffix(f" · {IMPORTED}"),
                dim=file.scenario.dimension,
                budget=budgets[file.group],
                seed=next(seeds[file.group]),
                spent=entry.evals,
                source={
                    "file": str(file.path.relative_to(folder.resolve())),
                    "run": number,
                    "instance": entry.instance,
                    "suite": file.described.suite,
                    "algorithm_info": file.described.algorithm.info,
                    "version": file.described.version,
                },
                evaluation=rows[:, 0].astype(np.int64),
                loss=rows[:, 1],
                seconds=rows[:, 2:],
            )
        if next(blocks, None) is not None:
            raise InputError(
                f"{file.path} has more runs than the {len(file.scenario.runs)} of its index; write it again"
            )


def _seeds(runs: list[_Entry]) -> list[int]:
    """Return a seed a run, all different."""
    given = [run.seed if isinstance(run.seed, int) else -1 for run in runs]
    for seeds in (given, [run.instance - 1 for run in runs]):
        if len(set(seeds)) == len(seeds) and all(0 <= seed < 2**63 for seed in seeds):
            return seeds
    return list(range(len(runs)))


def _printable(name: str) -> str:
    """Return a name without what would steer a terminal."""
    return "".join(c if c.isprintable() else "?" for c in name)


def _blocks(path: Path) -> Iterator[Array]:
    """Yield (n, 4) a run: evaluation, loss, seconds of the task and of the optimizer, nan where they are not given."""
    header: list[str] = []
    rows: list[list[float]] = []
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                words = line.split()
                if words[:1] == ["evaluations"]:
                    if header:
                        yield _block(path, rows)
                    header, rows = words, []
                    if "raw_y" not in header:
                        raise InputError(f"{path}, line {number}: no column raw_y; log it and write the file again")
                    at = [header.index(name) if name in header else -1 for name in ("evaluations", "raw_y", *_TIMES)]
                elif words:
                    if not header:
                        raise InputError(
                            f"{path} does not begin with the columns evaluations and raw_y; write it again"
                        )
                    if len(words) != len(header):
                        raise InputError(
                            f"{path}, line {number}: {len(words)} cells, not {len(header)}; write it again"
                        )
                    try:
                        rows.append([float(words[i]) if i >= 0 else np.nan for i in at])
                    except ValueError as error:
                        raise InputError(f"{path}, line {number}: a cell is no number; write the file again") from error
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InputError(f"{path} cannot be read: {reason}; write it again") from error
    if header:
        yield _block(path, rows)


def _block(path: Path, rows: list[list[float]]) -> Array:
    block = np.array(rows, dtype=float).reshape(-1, 4)
    evaluation = block[:, 0]
    if not len(block) or evaluation[0] != 1 or not (np.diff(evaluation) >= 1).all() or (evaluation % 1 != 0).any():
        raise InputError(f"{path}: the evaluations of a run must begin with 1 and ascend; log each run from its first")
    return block
