"""The published figures: every file here is one validation, and its name is the file's.

A validation is a generator function called like its file. Its keyword parameters are read like a plugin's, and it
yields a row for every figure that it compares. What a file's name begins with is its id: `T1` is t1_empty_boxes.py.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pydantic import ConfigDict, ValidationError, validate_call

from dfo_bench.errors import InputError, UnknownNameError
from dfo_bench.plugins.component import Component


@dataclass(frozen=True)
class Row:
    """A published figure and ours, whose difference must be at most `tolerance`; `note` says by which test.

    `errors` are the standard errors of both, where they are known; `seeds` is how many runs or draws ours rest on.
    """

    what: str
    published: float
    ours: float
    difference: float
    tolerance: float
    matched: bool
    note: str = ""
    seeds: int | None = None
    errors: tuple[float | None, float | None] = (None, None)


def names() -> list[str]:
    """Return the names of all validations."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))


def find(id: str) -> str:
    """Return the name of the validation of this name or id; raise UnknownNameError where there is none."""
    known = names()
    ids = {name.partition("_")[0].upper(): name for name in known if "_" in name}
    if id not in known and id.upper() not in ids:
        raise UnknownNameError("validation", id, [*known, *ids])
    return id if id in known else ids[id.upper()]


def needs(name: str) -> list[str]:
    """Return the parameters that a validation cannot go without."""
    return [p.name for p in inspect.signature(_load(name)).parameters.values() if p.default is p.empty]


def about(name: str) -> str:
    """Return what a validation's file says of it."""
    return inspect.getdoc(importlib.import_module(f"{__name__}.{find(name)}")) or ""


def rows(component: Component) -> Iterator[Row]:
    """Return the rows of a validation, each computed when it is read; raise InputError where a parameter is wrong."""
    name, given = component.name, component.params
    function = _load(name)
    known = inspect.signature(function).parameters
    if unknown := next((key for key in given if key not in known), None):
        raise UnknownNameError(f"parameter of validation {name}", unknown, known)
    if missing := next((key for key in needs(name) if key not in given), None):
        raise InputError(f"validation {name} needs {missing}; write {name}:{missing}=...")
    try:
        # A generator's parameters are checked now, and its work begins with the first row.
        return validate_call(config=ConfigDict(coerce_numbers_to_str=True))(function)(**given)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"validation {name}: {first['loc'][0]}={first['input']!r}: {first['msg'].lower()}") from error


def _load(name: str) -> Callable[..., Iterator[Row]]:
    module = find(name)
    function: Callable[..., Iterator[Row]] = getattr(importlib.import_module(f"{__name__}.{module}"), module)
    return function
