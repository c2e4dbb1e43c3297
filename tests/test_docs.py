"""What the documentation says can be done can be done: its commands, components, links, extras and numbers."""

import ast
import json
import re
import shlex
from collections.abc import Iterator
from configparser import ConfigParser
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_group
from typer.testing import CliRunner

from dfo_bench.cli import app
from dfo_bench.lm.families import FAMILIES
from dfo_bench.plugins.component import parse

ROOT = Path(__file__).parent.parent
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "results/README.md", "benchmarks/README.md")),
    *sorted(path for path in (ROOT / "docs").glob("*.md")),
]
page = pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))

KINDS = {"task": "tasks", "optimizer": "optimizers", "projection": "projections"}


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """Yield the language and the text of every fenced block."""
    yield from re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.M | re.S)


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the words of every command that is written in a block or in backticks, without `dfo-bench`."""
    text = page.read_text(encoding="utf-8")
    in_blocks = "\n".join(block for _, block in blocks(page))
    written = re.findall(r"^(?:\w+=\S+ )*dfo-bench (.*)$", in_blocks, flags=re.M)
    written += re.findall(r"`dfo-bench ([^`\n]*)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))
    for line in written:
        words = shlex.split(line, comments=True)
        yield words[: words.index(">")] if ">" in words else words


@cache
def listed(*words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(CliRunner().invoke(app, ["list", *words, "--json"]).stdout)
    return found


@page
def test_every_command_has_its_options_and_its_components(page: Path) -> None:
    group = get_group(app)
    for name, *words in commands(page):
        if name.startswith("-") or name.isupper():
            continue
        assert name in group.commands, f"dfo-bench {name}"
        command = group.commands[name]
        given, _, _ = command.make_parser(command.context_class(command, info_name=name)).parse_args(words)
        for kind, kinds in KINDS.items():
            values = given.get(kind, given.get(kinds)) or []
            for written in [values] if isinstance(values, str) else values:
                # What a page only stands for, or has the reader make.
                if re.match(r"[A-Z.]|my_search", written) or "$" in written:
                    continue
                one = parse(written)
                # A reference stands in the place of an optimizer.
                if kind == "optimizer" and one.name in listed("references")["references"]:
                    kinds = "references"
                assert one.name in listed(kinds)[kinds], written
                assert set(one.params) <= set(listed(kinds, one.name)), written


@page
def test_every_link_within_the_repository_leads_to_a_file(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / link).exists(), link


@page
def test_every_target_of_make_and_every_extra_exists(page: Path) -> None:
    text, targets = page.read_text(encoding="utf-8"), (ROOT / "Makefile").read_text()
    for target in re.findall(r"(?:^|`)make ([a-z]+)", text, flags=re.M):
        assert f"\n{target}:" in targets, f"make {target}"
    settings = ConfigParser()
    settings.read(ROOT / "setup.cfg")
    for extras in re.findall(r"pip install [^\n`]*\[([a-z,]+)\]'", text):
        assert set(extras.split(",")) <= set(settings["options.extras_require"]), extras


@page
def test_python_compiles_and_its_plugins_are_plugins(page: Path) -> None:
    for language, code in blocks(page):
        if language == "python":
            program = compile(code, str(page), "exec")
            if "from dfo_bench.core import" in code:
                exec(program, {"__name__": "example"})


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "docs/plugins.md"], ids=["README", "plugins"])
def test_the_optimizer_shown_is_the_one_that_new_writes(page: Path, in_tmp: Path) -> None:
    CliRunner().invoke(app, ["new", "optimizer", "my_search"])
    shown = next(code for language, code in blocks(page) if language == "python" and "class MySearch" in code)
    assert plain_class(shown) == plain_class(next(in_tmp.rglob("my_search.py")).read_text())


def plain_class(code: str) -> str:
    """Return the one class of a program without its docstrings."""
    (found,) = [node for node in ast.parse(code).body if isinstance(node, ast.ClassDef)]
    for node in ast.walk(found):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
            del node.body[0]
    return ast.unparse(found)


def test_the_readme_quotes_the_totals_of_the_generated_pages() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    kept, methods = totals("optimizers.md")
    assert f"Of {methods} methods, [{kept} keep the contract]" in readme
    matched, figures = totals("validation.md")
    assert f"[{matched} of {figures} are matched]" in readme


def totals(name: str) -> tuple[str, str]:
    """Return the two numbers of "447 of 566 keep their contract"."""
    found = re.search(r"(\d+) of (\d+) (?:keep|figures)", (ROOT / "docs" / name).read_text(encoding="utf-8"))
    assert found
    return found[1], found[2]


def test_the_readme_claims_no_more_than_there_is() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    there = {kinds: len(names) for kinds, names in listed().items()} | {"models": len(FAMILIES)}
    for kinds, number in there.items():
        claimed = re.search(rf"^\| \[{kinds}\]\([^)]*\) \| (\d+)", readme, flags=re.M)
        assert claimed, kinds
        assert int(claimed[1]) <= number, kinds
