"""Finds plugins by name: the files of the plugin folders, and entry points of other packages.

Listing imports nothing; a plugin's module is imported when it is first used.
"""

import importlib
import importlib.metadata
import importlib.util
import pkgutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from dfo_bench.core import EmbeddingOptimizer, Optimizer, Projection, Task
from dfo_bench.errors import InputError, PluginError, UnknownNameError, cause
from dfo_bench.plugins.component import Component


@dataclass(frozen=True)
class _Kind:
    """What makes a module a plugin of this kind; `given` are constructor arguments that are not parameters."""

    bases: tuple[type, ...]
    given: frozenset[str]


KINDS: Mapping[str, _Kind] = {
    "optimizer": _Kind(
        (Optimizer, EmbeddingOptimizer), frozenset({"self", "space", "dim", "budget", "rng", "embed", "make"})
    ),
    "task": _Kind((Task,), frozenset({"self", "rngs"})),
    "projection": _Kind((Projection,), frozenset({"self"})),
}
"""The kinds of plugin; `<kind>s` is both the folder in dfo_bench and the end of the entry-point group."""


@dataclass(frozen=True)
class Source:
    """Where a plugin comes from: the module, and words that tell a reader where to look."""

    module: str
    where: str


def sources(kind: str) -> dict[str, Source]:
    """Return every plugin of a kind by name, sorted; raise PluginError where two have one name."""
    package = f"dfo_bench.{kind}s"
    spec = importlib.util.find_spec(package)
    found: dict[str, Source] = {}
    for path in spec.submodule_search_locations or () if spec else ():
        for module in pkgutil.iter_modules([path]):
            if not module.name.startswith("_"):
                where = str(Path(path) / f"{module.name}.py")
                _add(found, kind, module.name, Source(f"{package}.{module.name}", where))
    for point in _declared(package, tuple(sys.path)):
        where = f"{point.value} of the package {point.dist.name}" if point.dist else point.value
        _add(found, kind, point.name, Source(point.value, where))
    return dict(sorted(found.items()))


@cache
def _declared(group: str, path: tuple[str, ...]) -> importlib.metadata.EntryPoints:
    """Return the entry points of a group, read once for every path of imports: it takes 10 ms, and a run asks often."""
    return importlib.metadata.entry_points(group=group)


def _add(found: dict[str, Source], kind: str, name: str, source: Source) -> None:
    if found.setdefault(name, source) != source:
        raise PluginError(f"two {kind}s are named {name!r}: {found[name].where} and {source.where}; uninstall one")


def names(kind: str) -> list[str]:
    """Return the names of all plugins of a kind."""
    return list(sources(kind))


def load(kind: str, name: str) -> type:
    """Import a plugin and return its class."""
    known = sources(kind)
    if name not in known:
        raise UnknownNameError(kind, name, known)
    what = f"{kind} {name} ({known[name].where})"
    try:
        module = importlib.import_module(known[name].module)
    except (Exception, SystemExit) as error:
        raise PluginError(f"{what} does not import: {type(error).__name__}: {error}") from error
    bases = KINDS[kind].bases
    own = {c: None for c in vars(module).values() if isinstance(c, type) and c.__module__ == module.__name__}
    found = [c for c in own if issubclass(c, bases) and not c.__name__.startswith("_")]
    if len(found) != 1:
        wanted = " or ".join(base.__name__ for base in bases)
        have = ", ".join(c.__name__ for c in found) or "none"
        raise PluginError(f"{what} must define one public subclass of {wanted}; it has {len(found)} ({have})")
    if missing := sorted(getattr(found[0], "__abstractmethods__", ())):
        raise PluginError(f"{what}: {found[0].__name__} must define {' and '.join(missing)}")
    return found[0]


def construct(kind: str, component: Component, *args: Any, **given: Any) -> Any:
    """Build a resolved component; what its constructor refuses is wrong input."""
    cls = load(kind, component.name)
    try:
        return cls(*args, **given, **component.params)
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        raise InputError(f"{kind} {component} cannot be built: {cause(error)}") from error
