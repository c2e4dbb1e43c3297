"""Plugins resolved from components: the class that a name stands for, and a value for each of its parameters."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic

from dfo_bench.core import EmbeddingOptimizer, Optimizer, Reference
from dfo_bench.errors import InputError, Unavailable, UnknownNameError, cause
from dfo_bench.plugins.component import Component, Value
from dfo_bench.plugins.digest import source_digest
from dfo_bench.plugins.parameters import Parameter
from dfo_bench.plugins.registry import OPTIMIZERS, Kind, P, method_kind


@dataclass(frozen=True, eq=False)
class Plugin(Generic[P]):
    """A plugin that is ready to be built, looked up once."""

    kind: Kind[P]
    cls: type[P]
    component: Component
    """Its name, and the value of every parameter: plain JSON, or the component of one in `inner`."""
    defaults: Mapping[str, Value] = field(default_factory=dict)
    """The values of the parameters that have a default, were they left out."""
    inner: Mapping[str, "AnyOptimizer"] = field(default_factory=dict)
    """The optimizers among the values, by parameter."""

    @property
    def name(self) -> str:
        """Its own name, whatever the path by which it was found."""
        return self.component.stem

    def construct(self, *args: Any, **given: Any) -> P:
        """Build it; what its constructor refuses is wrong input."""
        try:
            return self.cls(*args, **given, **self._own(self.component.params))
        except (InputError, Unavailable):
            raise
        except (Exception, SystemExit) as error:
            raise InputError(f"{self.kind.name} {self.component} cannot be built: {cause(error)}") from error

    def settle(self, name: str, default: Value) -> "Plugin[P]":
        """Return it with another default of a parameter, which it has now where it had the former one."""
        former = self.component.params[name] == self.defaults[name]
        found = self.component.replace(**{name: default}) if former else self.component
        return replace(self, component=found, defaults={**self.defaults, name: default})

    def source_digest(self) -> str:
        """Return the digest of its source (see `digest`)."""
        return source_digest(self.cls)

    def shown(self) -> Component:
        """Return the component as it is shown: without parameters at their defaults, or unkeyed by its class.

        Of a task without its prompt, whose parameters are `Task.bare`, only the first of these is shown.
        """
        params = self.component.params
        bare: Mapping[str, Value] = getattr(self.cls, "bare", {})
        no_prompt = list(bare)[1:] if bare and all(params.get(name) == value for name, value in bare.items()) else []
        hidden = {*_inherited(self.cls, "unkeyed"), *no_prompt}
        named = {name: value for name, value in params.items() if name not in hidden}
        kept = {name: value for name, value in named.items() if self.defaults.get(name, ...) != value}
        return Component(self.name, {**kept, **{name: p.shown() for name, p in self.inner.items() if name in kept}})

    def keyed(self, contents: Mapping[str, str] = {}) -> Component:
        """Return the component as the key of a run holds it.

        In place of a path in a parameter stands the digest of what the file holds, `contents`. What the class says in
        `unkeyed` stands for parameters that change no result, and one in `added` is left out at its former value.
        """
        values = {**self._own(self.component.params), **{name: plugin.keyed() for name, plugin in self.inner.items()}}
        values |= {name: value for name, value in _inherited(self.cls, "unkeyed").items() if name in values}
        added = _inherited(self.cls, "added")
        former = {name for name, value in values.items() if added.get(name, ...) == value}
        return Component(self.name, {n: v for n, v in {**values, **contents}.items() if n not in former})

    def _own(self, params: Mapping[str, Value]) -> dict[str, Value]:
        """Return the parameters that the class itself has, not all of its kind."""
        return {name: value for name, value in params.items() if name not in self.kind.common}

    def all_inner(self) -> "list[AnyOptimizer]":
        """Return the optimizers among the values, at any depth."""
        return [found for plugin in self.inner.values() for found in (plugin, *plugin.all_inner())]


AnyOptimizer = Plugin[Optimizer | EmbeddingOptimizer]

Method = AnyOptimizer | Plugin[Reference]
"""What stands for the optimizer of a run."""


def _inherited(cls: type, attribute: str) -> dict[str, Value]:
    """Return the union of a mapping that a class and its bases declare; the class's own word counts."""
    return {name: value for base in reversed(cls.__mro__) for name, value in vars(base).get(attribute, {}).items()}


def resolve(kind: Kind[P], component: Component) -> Plugin[P]:
    """Find a component's plugin, and fill in every default and bring every value to its declared type.

    A component among the values names an optimizer and is resolved, too.
    """
    cls = kind.load(component.name)
    known = kind.parameters(cls)
    for name in component.params:
        if name not in known:
            raise UnknownNameError(f"parameter of {kind.name} {component.name}", name, known)
    read: dict[str, Value | AnyOptimizer] = {}
    defaults: dict[str, Value] = {}
    for name, parameter in known.items():
        what = f"{kind.name} {component.name}: {name}"
        if not parameter.required:
            read[name] = _read(parameter, parameter.default, what)
            defaults[name] = _value(read[name])
        elif name not in component.params:
            raise InputError(f"{kind.name} {component.name} needs {name}; write {component.name}:{name}=...")
        if name in component.params:
            read[name] = _read(parameter, component.params[name], what)
    complete = Component(component.name, {name: _value(value) for name, value in read.items()})
    return Plugin(kind, cls, complete, defaults, {n: value for n, value in read.items() if isinstance(value, Plugin)})


def resolve_method(component: Component) -> Method:
    """Do what `resolve` does with what -o names, an optimizer or a reference."""
    return resolve(method_kind(component.name), component)


def _read(parameter: Parameter, value: Any, what: str) -> "Value | AnyOptimizer":
    """Return a parameter's value, a component resolved."""
    coerced = parameter.coerced(value, what)
    return resolve(OPTIMIZERS, coerced) if isinstance(coerced, Component) else coerced


def _value(value: "Value | AnyOptimizer") -> Value:
    return value.component if isinstance(value, Plugin) else value
