"""The registry of plugins: installed ones by name, and files by their path, imported when they are first used."""

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar, cast

from dfo_bench.core import EmbeddingOptimizer, ExampleOptimizer, Optimizer, Projection, Reference, Task, VectorOptimizer
from dfo_bench.errors import InputError, PluginError, UnknownNameError, say
from dfo_bench.plugins.component import Component
from dfo_bench.plugins.files import import_file
from dfo_bench.plugins.parameters import Parameter, parameters_of
from dfo_bench.plugins.sources import Source, kind_named, sources_of

P = TypeVar("P")


@dataclass(frozen=True, eq=False)
class Kind(Generic[P]):
    """A kind of plugin, and the plugins of it."""

    name: str
    given: Mapping[type, frozenset[str]]
    """Its base classes; for each the arguments that a run gives to the constructor, which are no parameters."""
    common: Mapping[str, Parameter] = field(default_factory=dict)
    """The parameters that every plugin of the kind has and its constructor is not given: in no result, in no key."""

    @property
    def plural(self) -> str:
        """The word for several of them."""
        return f"{self.name}s"

    def sources(self) -> dict[str, Source]:
        """Return where every plugin of the kind comes from, by name, sorted."""
        return sources_of(self.name)

    def names(self) -> list[str]:
        """Return the names of all plugins."""
        return list(self.sources())

    def source(self, name: str) -> Source | Path:
        """Return where a plugin comes from; the path where it is named by one, and that is no installed plugin's."""
        known, component = self.sources(), Component(name)
        taken = known.get(component.stem)
        if not component.is_file:
            if taken is None:
                raise self.unknown(name, known)
            return taken
        path, installed = Path(name), taken.file() if taken else None
        if taken and not (installed and path.exists() and path.samefile(installed)):
            raise PluginError(
                f"{path} has the name of the {self.name} {taken.where}; rename the file, or uninstall the other"
            )
        return taken or path

    def unknown(self, name: str, known: Iterable[str]) -> UnknownNameError:
        """Return the error for a name that no plugin has; `known` are those that may have been meant."""
        file = Path(f"{name}.py")
        return UnknownNameError(self.name, name, [*known, *([f"./{file}"] if file.is_file() else [])])

    def holds(self, module: ModuleType) -> list[type]:
        """Return the public classes of this kind that a module defines."""
        own = {c: None for c in vars(module).values() if isinstance(c, type) and c.__module__ == module.__name__}
        return [c for c in own if issubclass(c, tuple(self.given)) and not c.__name__.startswith("_")]

    def load(self, name: str) -> type[P]:
        """Import a plugin, by its name or the path of its file, and return its class; raise PluginError for others."""
        source = self.source(name)
        what = f"{self.name} {name}" if isinstance(source, Path) else f"{self.name} {name} ({source.where})"
        module = import_plugin(source, what)
        found = self.holds(module)
        if len(found) != 1:
            wanted = " or ".join(base.__name__ for base in self.given)
            have = ", ".join(c.__name__ for c in found) or "none"
            raise PluginError(f"{what} must define one public subclass of {wanted}; it has {len(found)} ({have})")
        if missing := sorted(getattr(found[0], "__abstractmethods__", ())):
            raise PluginError(f"{what}: {found[0].__name__} must define {' and '.join(missing)}")
        cls = cast("type[P]", found[0])
        try:
            self.parameters(cls)
        except PluginError as error:
            raise PluginError(f"{what}: {error}") from error
        return cls

    def parameters(self, cls: type[P]) -> dict[str, Parameter]:
        """Return the parameters of a class; raise PluginError where one has a name that is taken."""
        given = {name for base, names in self.given.items() if issubclass(cls, base) for name in names}
        found = {name: parameter for name, parameter in parameters_of(cls).items() if name not in given}
        taken = {name: f"what a run gives {base.__name__}s" for base, names in self.given.items() for name in names}
        taken |= dict.fromkeys(self.common, f"what every {self.name} has")
        taken["name"] = "what a component in YAML calls its plugin"
        for name in found:
            if name in taken:
                raise PluginError(f"no parameter can be called {name!r}, {taken[name]}; give it another name")
        return {**found, **self.common}


OPTIMIZERS: Kind[Optimizer | EmbeddingOptimizer] = Kind(
    "optimizer",
    {
        Optimizer: frozenset({"space", "budget", "rng"}),
        VectorOptimizer: frozenset({"space", "budget", "rng", "outer"}),
        ExampleOptimizer: frozenset({"space", "budget", "rng", "examples", "make"}),
        EmbeddingOptimizer: frozenset({"space", "dim", "budget", "rng", "told", "embed", "make"}),
    },
)
TASKS: Kind[Task] = Kind(
    "task",
    {Task: frozenset({"rngs"})},
    {"title": Parameter(str, "", "how the task is called in all output, in place of its name, data and shots.")},
)
PROJECTIONS: Kind[Projection] = Kind("projection", {Projection: frozenset()})

REFERENCES: Kind[Reference] = Kind("reference", {Reference: frozenset({"rng"})})

KINDS: Mapping[str, Kind[Any]] = {kind.name: kind for kind in (OPTIMIZERS, TASKS, PROJECTIONS, REFERENCES)}


def method_kind(name: str) -> Kind[Any]:
    """Return the kind of what -o names: an optimizer or a reference, by its name or the path of its file."""
    stem = Component(name).stem
    found = {kind: source for kind in (OPTIMIZERS, REFERENCES) if (source := kind.sources().get(stem))}
    if len(found) > 1:
        both = " and ".join(f"the {kind.name} {source.where}" for kind, source in found.items())
        raise PluginError(f"two methods are named {stem!r}: {both}; uninstall one")
    if found:
        return next(iter(found))
    if not Component(name).is_file:
        raise OPTIMIZERS.unknown(name, [*OPTIMIZERS.names(), *REFERENCES.names()])
    return REFERENCES if REFERENCES.holds(import_plugin(Path(name), f"optimizer {name}")) else OPTIMIZERS


def import_plugin(source: Source | Path, what: str) -> ModuleType:
    """Import a plugin's module or file; raise PluginError where it does not import. `what` names it there."""
    try:
        return import_file(source) if isinstance(source, Path) else importlib.import_module(source.module)
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        raise PluginError(f"{what} does not import: {say(error)}") from error


def kind_of(word: str) -> Kind[Any]:
    """Return the kind that a word names, in the singular or the plural."""
    return KINDS[kind_named(word)]
