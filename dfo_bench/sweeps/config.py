"""What people write to describe a sweep: YAML files, presets, seed ranges."""

import re
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from dfo_bench.errors import InputError, UnknownNameError
from dfo_bench.runs.spec import Selection

_MOST_SEEDS = 100_000
"""In one range: more is a slip of the finger."""


class SweepFile(BaseModel):
    """The keys of a sweep file: the keyword arguments of `dfo_bench.sweep`, all optional."""

    model_config = ConfigDict(extra="forbid", strict=True)

    tasks: list[str | dict[str, Any]] | None = None
    optimizers: list[str | dict[str, Any]] | None = None
    projections: list[str | dict[str, Any]] | None = None
    dim: int | None = None
    budget: int | dict[str, int] | None = None
    seeds: list[int | str] | int | str | None = None
    dev_every: int | None = None
    selection: Selection | None = None
    store: str | None = None
    workers: int | None = None


class _Loader(yaml.SafeLoader):
    """Refuses a key that is given twice, of which YAML's own loader would take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        if twice := [key for key in keys if keys.count(key) > 1]:
            raise yaml.constructor.ConstructorError(None, None, f"{twice[0]!r} is given twice", node.start_mark)
        return super().construct_mapping(node, deep)


def presets() -> list[str]:
    """Return the names of the sweeps that come with dfo-bench."""
    return sorted(
        file.name[:-5] for file in resources.files("dfo_bench.sweeps.presets").iterdir() if file.name.endswith(".yaml")
    )


def read_sweep(name: str) -> dict[str, Any]:
    """Return the keyword arguments that a YAML file, or the preset of that name, holds."""
    if name in presets():
        text = resources.files("dfo_bench.sweeps.presets").joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    elif Path(name).suffix in (".yaml", ".yml"):
        try:
            text = Path(name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"sweep file {name} cannot be read: {error}") from error
    else:
        raise UnknownNameError("preset (a file's name ends in .yaml)", name, presets())
    try:
        plain = yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"{name} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(plain, dict):
        raise InputError(f"{name} must hold keys such as tasks and optimizers, got {plain!r}")
    for key in plain:
        if key not in SweepFile.model_fields:
            raise UnknownNameError(f"key of {name}", str(key), SweepFile.model_fields)
    try:
        given = SweepFile(**plain).model_dump(exclude_none=True)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"{name}: {first['loc'][0]}={plain[first['loc'][0]]!r}: {first['msg'].lower()}") from error
    if "seeds" in given:
        seeds = given["seeds"]
        given["seeds"] = parse_seeds(seeds if isinstance(seeds, list) else [seeds])
    return given


def parse_seeds(values: Iterable[int | str]) -> list[int]:
    """Return the seeds that `3`, `0-9`, `0,2,5` or several of them name, in order."""
    seeds: list[int] = []
    for part in (part.strip() for value in values for part in str(value).split(",")):
        match = re.fullmatch(r"(\d{1,18})(?:-(\d{1,18}))?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not 0 <= last - first < _MOST_SEEDS:
            raise InputError(f"seeds {part[:40]!r}: write a whole number or a range such as 0-9")
        seeds.extend(range(first, last + 1))
    return list(dict.fromkeys(seeds))
