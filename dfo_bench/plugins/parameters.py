"""The parameters of plugins: their types and defaults, read off the constructor, and a component made complete."""

import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

from dfo_bench.errors import InputError, PluginError, UnknownNameError
from dfo_bench.plugins import registry
from dfo_bench.plugins.component import Component, Value


@dataclass(frozen=True)
class Parameter:
    """A parameter of a plugin: its annotated type and default (`inspect.Parameter.empty` where it has none)."""

    type: Any
    default: Any

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return self.default is inspect.Parameter.empty


def parameters(kind: str, cls: type) -> dict[str, Parameter]:
    """Return the parameters of a plugin class: the keyword parameters of its constructor.

    A constructor with a `**name` hands it on to the next one up the bases, whose parameters follow, unless they are
    its own already.
    """
    found: dict[str, Parameter] = {}
    for base in cls.__mro__:
        if (constructor := vars(base).get("__init__")) is None:
            continue
        try:
            hints = get_type_hints(constructor, include_extras=True)
        except NameError as error:
            where = f"{base.__module__}.{base.__name__}"
            raise PluginError(f"{where}: an annotation of its constructor: {error}") from error
        signature = inspect.signature(constructor).parameters.values()
        for parameter in signature:
            named = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
            if named and parameter.name not in registry.KINDS[kind].given:
                found.setdefault(parameter.name, Parameter(hints.get(parameter.name, Any), parameter.default))
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in signature):
            break
    return found


def described(kind: str, name: str) -> dict[str, tuple[str, str]]:
    """Return of each parameter of a plugin, in words, what it may be and its default, "required" where it has none."""
    found = {}
    for key, parameter in parameters(kind, registry.load(kind, name)).items():
        written = str(Component(name, {key: None if parameter.required else parameter.default})).partition("=")[2]
        default = "required" if parameter.required else written or '""'
        # A component among the values is an optimizer.
        schema = {} if parameter.type is Component else TypeAdapter(parameter.type).json_schema()
        found[key] = _words(schema) or "optimizer", default
    return found


_TYPES = {"integer": "whole number", "string": "text", "boolean": "true or false", "array": "list", "object": "mapping"}

_BOUNDS = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}


def _words(schema: Mapping[str, Any]) -> str:
    """Say in words what a JSON schema allows."""
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    if "anyOf" in schema:
        return " or ".join(map(_words, schema["anyOf"]))
    type_ = str(schema.get("type", ""))
    bounds = [f"{words} {schema[bound]:g}" for bound, words in _BOUNDS.items() if bound in schema]
    return " ".join([_TYPES.get(type_, type_), *bounds])


def resolve(kind: str, component: Component) -> Component:
    """Return the component with every default filled in and every value of its declared type.

    A component among the values names an optimizer and is resolved, too.
    """
    cls = registry.load(kind, component.name)
    known = parameters(kind, cls)
    for name in component.params:
        if name not in known:
            raise UnknownNameError(f"parameter of {kind} {component.name}", name, known)
    values: dict[str, Value] = {}
    for name, parameter in known.items():
        if name not in component.params and parameter.required:
            raise InputError(f"{kind} {component.name} needs {name}; write {component.name}:{name}=...")
        given = component.params.get(name, parameter.default)
        values[name] = _coerced(f"{kind} {component.name}: {name}", parameter.type, given)
    return Component(component.name, values)


def _coerced(what: str, annotation: Any, value: Any) -> Value:
    try:
        # In a tuple: pydantic takes no config for a type that is a dataclass itself.
        adapter: TypeAdapter[Any] = TypeAdapter(tuple[annotation], config=ConfigDict(coerce_numbers_to_str=True))
    except PydanticUserError as error:
        raise PluginError(f"{what}: the annotation {annotation} is not a plain type: {error.message}") from error
    try:
        (value,) = adapter.validate_python((value,))
    except ValidationError as error:
        reasons = " or ".join(dict.fromkeys(e["msg"].lower() for e in error.errors()))
        raise InputError(f"{what}={value!r}: {reasons}") from error
    if isinstance(value, Component):
        return resolve("optimizer", value)
    plain: Value = adapter.dump_python((value,), mode="json")[0]
    try:
        json.dumps(plain, allow_nan=False)
    except ValueError:
        raise InputError(f"{what}={value!r}: must be finite") from None
    return plain


def without_defaults(kind: str, component: Component) -> Component:
    """Return a resolved component as people write it: parameters at their defaults left out."""
    defaults = _defaults(kind, component.name)
    kept = {
        name: without_defaults("optimizer", value) if isinstance(value, Component) else value
        for name, value in component.params.items()
        if name not in defaults or defaults[name] != value
    }
    return Component(component.name, kept)


def _defaults(kind: str, name: str) -> dict[str, Value]:
    """Return the value of every parameter that has a default."""
    return {
        key: _coerced(f"{kind} {name}: {key}", parameter.type, parameter.default)
        for key, parameter in parameters(kind, registry.load(kind, name)).items()
        if not parameter.required
    }
