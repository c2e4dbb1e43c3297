"""The places of plugins: files of the plugin folders, entry points of other packages. Nothing of them is imported."""

import ast
import importlib.metadata
import importlib.util
import inspect
import pkgutil
import sys
import tokenize
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path

from dfo_bench.errors import PluginError, UnknownNameError

KINDS = ("optimizer", "task", "projection", "reference")
"""The kinds of plugins. The plural is both the folder in dfo_bench and the end of the entry-point group."""


@dataclass(frozen=True)
class Source:
    """Where a plugin comes from: the module, and words that tell a reader where to look."""

    module: str
    where: str

    def file(self) -> Path | None:
        """Return the module's file, found without importing it or its package; None where there is none."""
        path: Sequence[str] | None = None
        name, spec = "", None
        for part in self.module.split("."):
            name = f"{name}.{part}" if name else part
            spec = PathFinder.find_spec(name, path) if name != part else importlib.util.find_spec(name)
            if spec is None:
                return None
            path = spec.submodule_search_locations
        return Path(spec.origin) if spec and spec.origin else None

    def first_line(self) -> str:
        """Return the first line of the module's docstring; without one, where it is."""
        try:
            said = _docstring(file) if (file := self.file()) else ""
        except (OSError, SyntaxError, ValueError, tokenize.TokenError):
            said = ""
        return (said or self.where).partition("\n")[0]


def kind_named(word: str) -> str:
    """Return the kind that a word names, in the singular or the plural."""
    for kind in KINDS:
        if word in (kind, f"{kind}s"):
            return kind
    raise UnknownNameError("kind of plugin", word, KINDS)


def sources_of(kind: str) -> dict[str, Source]:
    """Return every plugin of a kind by name, sorted; raise PluginError where two have one name."""
    package = f"dfo_bench.{kind}s"
    spec = importlib.util.find_spec(package)
    found: dict[str, Source] = {}

    def add(name: str, source: Source) -> None:
        if found.setdefault(name, source) != source:
            raise PluginError(f"two {kind}s are named {name!r}: {found[name].where} and {source.where}; uninstall one")

    for path in spec.submodule_search_locations or () if spec else ():
        for module in pkgutil.iter_modules([path]):
            if not module.name.startswith("_"):
                add(module.name, Source(f"{package}.{module.name}", str(Path(path) / f"{module.name}.py")))
    for point in _declared(tuple(sys.path))[kind]:
        where = f"{point.value} of the package {point.dist.name}" if point.dist else point.value
        add(point.name, Source(point.value, where))
    return dict(sorted(found.items()))


@cache
def _declared(path: tuple[str, ...]) -> Mapping[str, importlib.metadata.EntryPoints]:
    """Return the entry points of each kind, read once for every path of imports: it takes tens of milliseconds."""
    points = importlib.metadata.entry_points()
    return {kind: points.select(group=f"dfo_bench.{kind}s") for kind in KINDS}


def _docstring(file: Path) -> str:
    """Return the docstring of a module, which is its first statement; to parse all others takes ten times as long."""
    with file.open("rb") as lines:
        for token in tokenize.tokenize(lines.readline):
            if token.type == tokenize.STRING:
                return inspect.cleandoc(str(ast.literal_eval(token.string)))
            if token.type not in (tokenize.ENCODING, tokenize.COMMENT, tokenize.NL):
                break
    return ""
