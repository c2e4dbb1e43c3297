"""Text files are UTF-8 whatever the locale: the same command gives the same run on every machine."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import dfo_bench
from dfo_bench.store.store import Store

ROOT = Path(dfo_bench.__file__).parent.parent
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
"""A process whose locale knows no letter beyond ASCII."""


def unnamed(source: str) -> Iterator[str]:
    """Yield the calls that open a text file in the encoding of the locale."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            function, call = ast.unparse(node.func), ast.unparse(node)
            other = re.match(r"(os|tarfile)\.", function)
            opens = function == "open" or (not other and re.search(r"\.(open|read_text|write_text)$", function))
            if opens and "encoding=" not in call and not re.search(r"'[rwxa]b[+]?'", call):
                yield call


@pytest.mark.parametrize("folder", ["dfo_bench", "optimizers", "tasks", "benchmarks"])
def test_every_text_file_names_its_encoding(folder: str) -> None:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    assert [(file, call) for file in files for call in unnamed(file.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize("locale", [ASCII, {"PYTHONIOENCODING": "ascii"}])
def test_a_sweep_file_means_the_same_everywhere_and_what_cannot_be_printed_is_replaced(
    tmp_path: Path, toys: Path, locale: dict[str, str]
) -> None:
    (tmp_path / "mine.yaml").write_text(
        "tasks: [{name: toy, fail: Gefühl}]\noptimizers: [odd]\nbudget: 20\nseeds: 1\nstore: store\n", encoding="utf-8"
    )
    command = [sys.executable, "-m", "dfo_bench", "sweep", "mine.yaml"]
    done = subprocess.run(command, cwd=tmp_path, env=os.environ | locale, capture_output=True, encoding="ascii")
    assert done.returncode == 0, done.stderr
    assert "toy:fail=Gef?hl" in done.stdout
    assert "odd ? normal" in done.stdout
    assert Store(tmp_path / "store").runs()["task"].tolist() == ["toy:fail=Gefühl"]
