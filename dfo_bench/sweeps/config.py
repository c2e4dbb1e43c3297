"""The settings of a sweep as people write them: YAML files, presets, seed ranges."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from dfo_bench.errors import InputError, UnknownNameError
from dfo_bench.plugins.component import Component, component
from dfo_bench.plugins.registry import PROJECTIONS, TASKS, Kind, method_kind
from dfo_bench.runs.defaults import Selection
from dfo_bench.sweeps import presets
from dfo_bench.sweeps.request import SweepRequest

_MOST_SEEDS = 100_000
"""In one range: more is a slip of the finger."""


class SweepSettings(BaseModel):
    """The keys of a sweep file, which are the options of `dfo-bench sweep`: a request of which anything may be open."""

    model_config = ConfigDict(extra="forbid", strict=True)

    tasks: Sequence[str | dict[str, Any]] | None = None
    optimizers: Sequence[str | dict[str, Any]] | None = None
    projections: Sequence[str | dict[str, Any]] | None = None
    dim: int | None = None
    budget: int | dict[str, int] | None = None
    seeds: Sequence[int | str] | int | str | None = None
    dev_every: int | None = None
    selection: Selection | None = None
    references: bool | None = None
    store: str | Path | None = None
    workers: int | None = None
    cluster: str | None = None
    share_model: bool | None = None
    price: float | None = None
    until_decided: bool | None = None
    margin: float | None = None
    most_seeds: int | None = None
    opponents: str | Path | None = None

    def replace(self, other: "SweepSettings") -> "SweepSettings":
        """Return these settings with those that `other` has in their place."""
        return self.model_copy(update=other.model_dump(exclude_none=True))

    def request(self) -> SweepRequest:
        """Fill in the defaults; raise InputError where there is none."""
        given = self.model_dump(exclude_none=True)
        for name in ("tasks", "optimizers"):
            if not given.get(name):
                raise InputError(f"no {name}; name at least one with -{name[0]}, or a sweep file or preset that does")
        if "seeds" in given:
            seeds = given["seeds"]
            given["seeds"] = parse_seeds([seeds] if isinstance(seeds, int | str) else seeds)
        return SweepRequest(**given)


class _Loader(yaml.SafeLoader):
    """Reads the values that a component has on the command line, too: what is no JSON there is text here.

    YAML's own loader would make a truth value of yes, a date of 2026-11-05, and 90 of 1:30. Keys are text as written,
    and one that is given twice is refused; YAML's own loader would take the last.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        if twice := [key for key in keys if keys.count(key) > 1]:
            raise yaml.constructor.ConstructorError(None, None, f"{twice[0]!r} is given twice", node.start_mark)
        self.flatten_mapping(node)
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                key.tag = "tag:yaml.org,2002:str"
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {}
for tag, pattern, first in (
    ("null", r"null|~|", ["n", "~", ""]),
    ("bool", r"true|false", ["t", "f"]),
    ("int", r"-?(0|[1-9][0-9_]*)", list("-0123456789")),
    ("float", r"-?[0-9][0-9_]*(\.[0-9]*([eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+)|-?\.inf|\.nan", list("-0123456789.")),
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(f"({pattern})$"), first)


def read_sweep(name: str) -> SweepSettings:
    """Return the settings that a YAML file, or the preset of that name, holds."""
    if name in presets.names():
        text = (presets.FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    elif Path(name).suffix in (".yaml", ".yml"):
        try:
            text = Path(name).read_text(encoding="utf-8")
        except OSError as error:
            known = ", ".join(presets.names())
            raise InputError(
                f"sweep file {name} cannot be read: {error.strerror}; write one, or take a preset: {known}"
            ) from error
        except UnicodeDecodeError as error:
            raise InputError(f"sweep file {name} cannot be read: {error}; save it as UTF-8 text") from error
    else:
        raise UnknownNameError("preset (a file's name ends in .yaml)", name, presets.names())
    try:
        plain = yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"{name} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(plain, dict):
        raise InputError(f"{name} must hold keys such as tasks and optimizers, got {plain!r}")
    for key in plain:
        if key not in SweepSettings.model_fields:
            raise UnknownNameError(f"key of {name}", str(key), SweepSettings.model_fields)
    try:
        settings = SweepSettings(**plain)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"{name}: {first['loc'][0]}={plain[first['loc'][0]]!r}: {first['msg'].lower()}") from error
    return settings if name in presets.names() else _beside(Path(name).parent, settings)


def _beside(folder: Path, settings: SweepSettings) -> SweepSettings:
    """Return the settings of a file in a folder, whose relative paths lead there from here."""
    if folder == Path():
        return settings
    axes = {
        "tasks": [_located(folder, TASKS, one) for one in settings.tasks or ()],
        "projections": [_located(folder, PROJECTIONS, one) for one in settings.projections or ()],
        "optimizers": [_located(folder, None, one) for one in settings.optimizers or ()],
    }
    store = settings.store and folder / settings.store
    return settings.model_copy(update={name: axis for name, axis in axes.items() if axis} | {"store": store})


def _located(folder: Path, kind: Kind[Any] | None, written: str | dict[str, Any]) -> str | dict[str, Any]:
    """Return a component of a sweep file, its own path and those of its parameters counted from the file's folder."""
    one = component(written)
    if one.is_file:
        one = Component(str(folder / one.name), one.params)
    kind = kind or method_kind(one.name)
    known = kind.parameters(kind.load(one.name))
    moved = {name: known[name].beside(folder, value) for name, value in one.params.items() if name in known}
    if isinstance(written, str):
        return str(one.replace(**moved))
    return {**written, "name": one.name, **{name: value for name, value in moved.items() if value != one.params[name]}}


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
