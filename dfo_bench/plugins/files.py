"""Plugins that are named by the path of their file, as in `-o ./my_search.py`: to try one, nothing is installed.

The plugin's name is the file's, without folder and ending: it stands in keys, tables and figures, so that neither
moving the file nor installing it makes other runs. What the file holds is in the digests of a run, as of any plugin.
The path itself stays in a run's spec as it was written, like the path of a data file: to go on with the run, or to
verify it, start in the same folder. A file may import others of its folder that begin with `_`: `from ._name import x`.
"""

import hashlib
import importlib
import re
import sys
from collections.abc import Iterable, Iterator
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import CodeType, ModuleType

from dfo_bench.errors import InputError
from dfo_bench.plugins.component import Component


class _Loader(SourceFileLoader):
    """Compiles what the file holds now: bytecode of an earlier second may be kept for an edit of the same one."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


def import_file(path: Path) -> ModuleType:
    """Import a file as a module of a package that is its folder; once, until what it holds has changed."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"plugin file {path} cannot be read: {error.strerror}; a path ends in .py") from error
    if not re.fullmatch(r"[\w-]+", path.stem):
        raise InputError(f"{path.stem!r} cannot be a plugin's name; use letters, digits and _ in the file's")
    folder = path.resolve().parent
    digest = hashlib.sha256(str(folder).encode() + b"\0" + content).hexdigest()
    package = ModuleSpec(f"_dfo_bench_{digest[:16]}", None, is_package=True)
    name = f"{package.name}.{path.stem}"
    if name not in sys.modules:
        package.submodule_search_locations = [str(folder)]
        sys.modules[package.name] = module_from_spec(package)
        importlib.invalidate_caches()
        spec = spec_from_loader(name, _Loader(name, str(path)))
        assert spec
        assert spec.loader
        sys.modules[name] = module = module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]


def refuse_namesakes(components: Iterable[Component]) -> None:
    """Raise InputError where two files have one name: their runs could not be told apart."""
    paths: dict[str, Component] = {}
    for one in (one for component in components for one in _all(component)):
        first = paths.setdefault(one.stem, one)
        if first.name != one.name and Path(first.name).resolve() != Path(one.name).resolve():
            raise InputError(f"{first.name} and {one.name} are both called {one.stem!r}; rename one")


def _all(component: Component) -> Iterator[Component]:
    yield component
    for value in component.params.values():
        if isinstance(value, Component):
            yield from _all(value)
