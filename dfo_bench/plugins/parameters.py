"""The parameters of plugins, read off their constructors and docstrings: types, defaults, and what they mean.

What a parameter means stands in a line `name: meaning` in the docstring of the class or of its constructor; a line that
goes on is indented. A parameter that is inherited need not be said again.
"""

import inspect
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from dfo_bench.errors import InputError, PluginError
from dfo_bench.plugins.component import PATH, PATH_OR_NAME, Component, Value

if TYPE_CHECKING:
    from pydantic import TypeAdapter


@dataclass(frozen=True)
class Parameter:
    """A parameter of a plugin: its annotated type and default (`inspect.Parameter.empty` where it has none)."""

    type: Any
    default: Any
    meaning: str = ""

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return self.default is inspect.Parameter.empty

    def coerced(self, value: Any, what: str) -> Value:
        """Return a value of the declared type as plain JSON, or a component as it is; `what` names it in errors."""
        from pydantic import PydanticUserError, ValidationError

        try:
            adapter = _adapter(self.type)
        except PydanticUserError as error:
            raise PluginError(f"{what}: the annotation {self.type} is not a plain type: {error.message}") from error
        try:
            (value,) = adapter.validate_python((value,))
        except ValidationError as error:
            reasons = " or ".join(dict.fromkeys(e["msg"].lower() for e in error.errors()))
            bare = isinstance(value, str) and value[:1] in ("[", "{")
            quoted = '; texts in brackets stand in double quotes, as in ["one","two"]' if bare else ""
            raise InputError(f"{what}={value!r}: {reasons}{quoted}") from error
        if isinstance(value, Component):
            return value
        plain: Value = adapter.dump_python((value,), mode="json")[0]
        try:
            json.dumps(plain, allow_nan=False)
        except ValueError:
            raise InputError(f"{what}={value!r}: must be finite") from None
        return plain

    def choices(self) -> Sequence[Value]:
        """Return the values there are to choose from, none where that is not all it may be."""
        return self._schema().get("enum", ())

    def least(self) -> int | None:
        """Return the least whole number that it may be, if there is one."""
        schema = self._schema()
        kinds: list[Mapping[str, Any]] = [schema, *schema.get("anyOf", ())]
        for one in (one for one in kinds if one.get("type") == "integer"):
            if "exclusiveMinimum" in one:
                return int(one["exclusiveMinimum"]) + 1
            return int(one["minimum"]) if "minimum" in one else None
        return None

    def beside(self, folder: Path, value: Any) -> Any:
        """Return a value, a relative path of a sweep file in `folder` so that it leads there from here."""
        if not isinstance(value, str) or not self.may_be_path(value):
            return value
        path = folder / Path(value).expanduser()
        return str(path) if PATH in _marks(self.type) or path.exists() else value

    def may_be_path(self, value: str) -> bool:
        """Return whether a text names a file or a folder, or may do so."""
        return bool(value and _marks(self.type)) and value not in self._constants()

    def _constants(self) -> list[Value]:
        """Return the texts that stand for something else."""
        schema = self._schema()
        return [one["const"] for one in (schema, *schema.get("anyOf", ())) if "const" in one]

    def _schema(self) -> Mapping[str, Any]:
        from pydantic import TypeAdapter

        # A component among the values is an optimizer, which has no schema.
        return {} if self.type is Component else TypeAdapter(self.type).json_schema()

    def in_words(self) -> tuple[str, str]:
        """Return what it may be and its default, "required" where it has none."""
        written = str(Component("any", {"value": None if self.required else self.default})).partition("=")[2]
        return _words(self._schema()) or "optimizer", "required" if self.required else written or '""'


def parameters_of(cls: type) -> dict[str, Parameter]:
    """Return the keyword parameters of a class's constructor by name.

    A constructor with a `**name` hands it on to the next one up the bases, whose parameters follow, unless they are
    its own already.
    """
    found: dict[str, Parameter] = {}
    meanings = _meanings(cls)
    for base in cls.__mro__:
        if (constructor := vars(base).get("__init__")) is None:
            continue
        try:
            hints = get_type_hints(constructor, include_extras=True)
        except NameError as error:
            where = f"{base.__module__}.{base.__name__}"
            raise PluginError(f"{where}: an annotation of its constructor: {error}") from error
        _, *signature = inspect.signature(constructor).parameters.values()
        for parameter in signature:
            if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                name, type_ = parameter.name, hints.get(parameter.name, Any)
                found.setdefault(name, Parameter(type_, parameter.default, meanings.get(name, "")))
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in signature):
            break
    return found


_ENTRY = re.compile(r"^(\w+): (.+(?:\n[ ]+\S.*)*)\n?", re.MULTILINE)


def _meanings(cls: type) -> dict[str, str]:
    """Return what the docstrings of a class and of its bases say of parameters; the class's own word counts."""
    found: dict[str, str] = {}
    for base in cls.__mro__:
        for documented in (base, vars(base).get("__init__")):
            for name, meaning in _ENTRY.findall(inspect.cleandoc(getattr(documented, "__doc__", None) or "")):
                found.setdefault(name, " ".join(meaning.split()))
    return found


def prose(cls: type, names: Collection[str]) -> str:
    """Return the docstrings of a class and of its own constructor without what they say of parameters `names`."""
    texts = [inspect.cleandoc(documented.__doc__ or "") for documented in (cls, vars(cls).get("__init__", cls))]
    cut = [_ENTRY.sub(lambda entry: "" if entry[1] in names else entry[0], text).strip() for text in texts]
    return "\n".join(dict.fromkeys(filter(None, cut)))


def _marks(annotation: Any) -> set[str]:
    """Return the marks of paths anywhere in an annotation."""
    own = {mark for mark in getattr(annotation, "__metadata__", ()) if mark in (PATH, PATH_OR_NAME)}
    return own.union(*map(_marks, get_args(annotation)))


def _adapter(annotation: Any) -> "TypeAdapter[Any]":
    from pydantic import ConfigDict, TypeAdapter

    # In a tuple: pydantic takes no config for a type that is a dataclass itself.
    return TypeAdapter(tuple[annotation], config=ConfigDict(coerce_numbers_to_str=True))


_TYPES = {"integer": "whole number", "string": "text", "boolean": "true or false", "array": "list", "object": "mapping"}

_BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
    "multipleOf": "a multiple of",
}


def _words(schema: Mapping[str, Any]) -> str:
    """Say in words what a JSON schema allows."""
    if "const" in schema:
        return str(schema["const"])
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    if "anyOf" in schema:
        return " or ".join(map(_words, schema["anyOf"]))
    type_ = str(schema.get("type", ""))
    bounds = [f"{words} {schema[bound]:.10g}" for bound, words in _BOUNDS.items() if bound in schema]
    return " ".join([_TYPES.get(type_, type_), *bounds])
