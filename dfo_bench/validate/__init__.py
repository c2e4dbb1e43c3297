"""The published figures: every file here is one validation, and its name is the file's.

A validation is a generator function called like its file. Its keyword parameters are read like a plugin's, and it
yields a row for every figure that it compares.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pydantic import ConfigDict, ValidationError, validate_call

from dfo_bench.component import Component
from dfo_bench.errors import InputError, UnknownNameError


@dataclass(frozen=True)
class Row:
    """A published figure and ours; `note` says what else the verdict rests on."""

    what: str
    published: float
    ours: float
    difference: float
    tolerance: float
    matched: bool
    note: str = ""


def names() -> list[str]:
    """Return the names of all validations."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))


def needs(name: str) -> list[str]:
    """Return the parameters that a validation cannot go without."""
    return [p.name for p in inspect.signature(_load(name)).parameters.values() if p.default is p.empty]


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
    if name not in (known := names()):
        raise UnknownNameError("validation", name, known)
    function: Callable[..., Iterator[Row]] = getattr(importlib.import_module(f"{__name__}.{name}"), name)
    return function
