import subprocess
import sys
from pathlib import Path

import pytest

from dfo_bench.errors import UnknownNameError
from dfo_bench.plugins.registry import KINDS as LOADED
from dfo_bench.plugins.sources import KINDS, Source, kind_named, sources_of


@pytest.mark.parametrize("kind", KINDS)
def test_listing_imports_no_plugin_and_no_numpy(kind: str) -> None:
    code = (
        f"import sys; from dfo_bench.plugins.sources import sources_of; "
        f"lines = [source.first_line() for source in sources_of({kind!r}).values()]; assert all(lines); "
        f"assert not [m for m in sys.modules if m.startswith(('dfo_bench.{kind}s.', 'numpy'))], sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])


def test_the_kinds_that_are_listed_are_those_that_are_loaded() -> None:
    assert tuple(LOADED) == KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_line_of_a_plugin_is_that_of_its_modules_docstring(kind: str) -> None:
    for name, source in sources_of(kind).items():
        module = sys.modules[LOADED[kind].load(name).__module__]
        assert source.first_line() == str(module.__doc__).partition("\n")[0]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("# A licence.\n\n'A search.'\n", "A search."),
        ('"""\n    A search.\n\n    Its source.\n"""', "A search."),
        ("x = 1\n'no docstring'", "where it is"),
        ("", "where it is"),
        ('"""no end', "where it is"),
        ('"\\N{no such name}"', "where it is"),
        ("# coding: no-such-encoding\n'A search.'", "where it is"),
    ],
)
def test_the_first_line_of_a_file_without_a_docstring_is_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, line: str
) -> None:
    (tmp_path / "their_search.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    assert Source("their_search", "where it is").first_line() == line


def test_another_word_for_a_kind_brings_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="no kind of plugin named 'optimisers'; did you mean optimizer"):
        kind_named("optimisers")


def test_the_file_of_a_plugin_is_found_without_importing_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "theirs_pkg").mkdir()
    (tmp_path / "theirs_pkg" / "__init__.py").write_text("raise RuntimeError")
    (tmp_path / "theirs_pkg" / "search.py").write_text('"""A search."""')
    assert Source("theirs_pkg.search", "").file() == tmp_path / "theirs_pkg" / "search.py"
    assert Source("theirs_pkg.nothing", "").file() is None
    assert "theirs_pkg" not in sys.modules
