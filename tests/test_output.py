"""What commands print on a narrow terminal."""

import re
import sys

import pytest

from dfo_bench.cli._output import print_results, print_words


def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a terminal of the standard output as it is now."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    for name, value in {"COLUMNS": "38", "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)


def test_numbers_are_never_folded_and_columns_without_room_are_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow(monkeypatch)
    heads = ["method", "test, 240 rows", "tokens", "money"]
    print_results(heads, [["cma · mode=cat,model=b", "72.5 (66.9 to 78.1)", "1,234", "0.10"]], "title")
    said = capsys.readouterr().out
    assert "72.5 (66.9 to 78.1)" in said
    assert "1,234" not in said
    assert "no room here for: tokens, money;" in said
    assert max(len(re.sub(r"\x1b\[\d+m", "", line)) for line in said.splitlines()) <= 38


def test_words_are_not_broken(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    narrow(monkeypatch)
    text = "Not shown: the best search by dev, random, has 72.5 % on test."
    print_words(text)
    said = capsys.readouterr().out
    assert said.split() == text.split()
    assert max(map(len, said.splitlines())) <= 38
