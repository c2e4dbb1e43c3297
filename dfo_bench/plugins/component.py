"""Components: optimizers, tasks and projections as they are written, `name:key=value,key=value`.

The first `:` ends the name, which may be the path of a plugin's file, ending in .py. Parameters split at commas outside
double quotes and outside balanced (), [] and {}; the first `=` of each ends its key. A value is read as JSON where it
parses, a component where it stands in parentheses, and text otherwise. Printing and parsing round-trip.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from types import MappingProxyType
from typing import Annotated, Any, Union

import numpy as np
from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from dfo_bench.errors import InputError

Value = Union[None, bool, int, float, str, list[Any], dict[str, Any], "Component"]
"""What a parameter may be: plain JSON, or another component."""

PATH, PATH_OR_NAME = "path", "path or name"
"""The marks of a parameter whose text names a file or a folder, or may do so."""

PathName = Annotated[str, PATH]
"""Annotates a parameter that names a file or a folder; in a sweep file its path counts from there."""

PathOrName = Annotated[str, PATH_OR_NAME]
"""Annotates one that may also be a name: in a sweep file it is a path where there is such a file or folder."""

_CLOSING = {"(": ")", "[": "]", "{": "}"}


@dataclass(frozen=True)
class Component:
    """A plugin's name and the parameters to build it with; printed in key order."""

    name: str
    params: Mapping[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Sort and freeze the parameters; refuse names that would not print and parse back."""
        if not self.name or any(c in self.name for c in ':=,()[]{}"') or self.name != self.name.strip():
            raise InputError(f"{self.name!r} is no component name; write name:key=value,key=value")
        for key in self.params:
            if not isinstance(key, str) or not key.isidentifier():
                raise InputError(f"{key!r} is no parameter name in {self.name!r}; write key=value")
        object.__setattr__(self, "params", MappingProxyType(dict(sorted(self.params.items()))))

    @property
    def is_file(self) -> bool:
        """Whether the name is the path of a file."""
        return self.name.endswith(".py")

    @property
    def stem(self) -> str:
        """The plugin's own name: that of the file without folder and ending, where the name is a path."""
        return PurePath(self.name).stem if self.is_file else self.name

    def __hash__(self) -> int:
        """Hash the printed form: equal components print alike."""
        return hash(str(self))

    def __str__(self) -> str:
        """Print the form that `parse` reads."""
        params = ",".join(f"{key}={_print_value(value)}" for key, value in self.params.items())
        return f"{self.name}:{params}" if params else self.name

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the printed form: a mapping proxy cannot be pickled."""
        return (parse, (str(self),))

    def replace(self, **params: Value) -> "Component":
        """Return the same component with these parameters set."""
        return Component(self.name, {**self.params, **params})

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Let a plugin annotate a parameter as Component."""
        return core_schema.no_info_plain_validator_function(component)


def component(value: "str | Mapping[str, Any] | Component") -> Component:
    """Read a component in any form a user may write it: text, a YAML mapping with `name`, or itself."""
    if isinstance(value, Component):
        return value
    if isinstance(value, str):
        return parse(value)
    if isinstance(value, Mapping) and isinstance(value.get("name"), str):
        return Component(value["name"], {k: _from_yaml(v) for k, v in value.items() if k != "name"})
    raise InputError(f"{value!r} is no component; write name:key=value or {{name: ..., key: ...}}")


def parse(text: str) -> Component:
    """Parse `name[:key=value,...]`; raise InputError with the part that does not fit."""
    name, colon, rest = text.strip().partition(":")
    params: dict[str, Value] = {}
    if colon and not rest.strip():
        raise InputError(f"{text!r} ends after ':'; write {name}:key=value or only {name}")
    for part in _split(rest, text) if colon else ():
        key, equals, value = part.partition("=")
        key = key.strip()
        if not equals:
            before = f'; a value that holds a comma stands in double quotes, {list(params)[-1]}="..."' if params else ""
            raise InputError(f"{part!r} in {text!r} is not key=value{before}")
        if key in params:
            raise InputError(f"parameter {key!r} is given twice in {text!r}")
        params[key] = _parse_value(value.strip(), text)
    return Component(name.strip(), params)


def _split(text: str, whole: str) -> Iterator[str]:
    """Split at commas outside double quotes and balanced brackets."""
    closers: list[str] = []
    quoted = escaped = False
    begin = 0
    for i, c in enumerate(text):
        if quoted:
            quoted = escaped or c != '"'
            escaped = c == "\\" and not escaped
        elif c == '"':
            quoted = True
        elif c in _CLOSING:
            closers.append(_CLOSING[c])
        elif closers and c == closers[-1]:
            closers.pop()
        elif c in _CLOSING.values():
            raise InputError(f"{c!r} closes nothing in {whole!r}; put text with brackets in double quotes")
        elif c == "," and not closers:
            yield text[begin:i]
            begin = i + 1
    if quoted or closers:
        raise InputError(f"missing {'closing quote' if quoted else closers[-1]!r} in {whole!r}")
    yield text[begin:]


def _parse_value(text: str, whole: str) -> Value:
    if text.startswith("(") and text.endswith(")"):
        return parse(text[1:-1])
    try:
        return _finite_json(text)
    except RecursionError:
        raise InputError(f"{text[:40]}... is nested too deep") from None
    except ValueError:
        if text.startswith('"'):
            raise InputError(f'{text} in {whole!r} is no JSON string; escape quotes inside it as \\"') from None
        return text


def _finite_json(text: str) -> Any:
    """Read JSON without its NaN and Infinity extensions; a number beyond floats is text, too."""

    def refuse(constant: str) -> Any:
        raise ValueError(constant)

    value = json.loads(text, parse_constant=refuse)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(text)
    return value


def _print_value(value: Value) -> str:
    if isinstance(value, Component):
        return f"({value})"
    if isinstance(value, str):
        try:
            unquoted = list(_split(value, value)) == [value] and _parse_value(value, value) == value
        except InputError:
            unquoted = False
        return value if unquoted and value == value.strip() else json.dumps(value, ensure_ascii=False)
    return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)


def _from_yaml(value: Any) -> Any:
    """Read a mapping with a name, or text in parentheses, as a component, too."""
    if isinstance(value, Mapping) and "name" in value:
        return component(value)
    if isinstance(value, str) and value.startswith("(") and value.endswith(")"):
        return parse(value[1:-1])
    if isinstance(value, np.generic):
        return value.item()
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError):
        raise InputError(f"{value!r} is no value of a parameter; write a number, text, list or mapping") from None
