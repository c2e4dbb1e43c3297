"""Digests of the sources of plugins: of what the code does, so that comments and docstrings may change."""

import ast
import hashlib
import importlib.util
import json
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any


def source_digest(cls: type) -> str:
    """Return the digest of a plugin's source: the files of its class, of its bases, and of what these import.

    Only imports from the own package count: a family's private modules, all of the language-model objective. The
    contracts are left out.
    """
    code: dict[str, str] = {}
    waiting = [base.__module__ for base in cls.__mro__ if base.__module__ not in ("builtins", "abc", "dfo_bench.core")]
    while waiting:
        name = waiting.pop()
        file = getattr(sys.modules.get(name), "__file__", None)
        if name not in code and file and file.endswith(".py"):
            code[name], imports = _read(name, Path(file).read_bytes())
            waiting += imports
    listed = f"[{', '.join(code[name] for name in sorted(code))}]"
    return hashlib.sha256(listed.encode()).hexdigest()[:16]


@cache
def _read(name: str, content: bytes) -> tuple[str, tuple[str, ...]]:
    """Return the code of a module as JSON, and the modules of its own package that it imports.

    To parse the language-model objective takes half a second, which every run would spend anew.
    """
    tree = ast.parse(content)
    return json.dumps(_code(tree)), tuple(_family_imports(name, tree))


def _code(node: Any) -> Any:
    """Return a syntax tree as nested lists, without places, and without text that stands alone: docstrings.

    Not `ast.dump`: each version of Python writes empty fields in its own way.
    """
    if isinstance(node, list):
        return [_code(part) for part in node if not _is_docstring(part)]
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = {name: _code(value) for name, value in ast.iter_fields(node) if value is not None or name == "value"}
    return [type(node).__name__, {name: value for name, value in fields.items() if value != []}]


def _is_docstring(node: Any) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _family_imports(name: str, tree: ast.Module) -> Iterator[str]:
    """Yield the modules of its own package that a module imports."""
    package = name.rpartition(".")[0]
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            # In a lone file a relative import has nothing to be relative to.
            if package or not node.level:
                absolute = importlib.util.resolve_name(module, package) if node.level else module
                found += [absolute, *(f"{absolute}.{alias.name}" for alias in node.names)]
    yield from (module for module in found if package and (module == package or module.startswith(f"{package}.")))
