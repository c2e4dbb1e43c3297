import pytest

from dfo_bench.errors import cause, say


def caught(code: str) -> Exception:
    try:
        exec(compile(code, "/somewhere/theirs.py", "exec"))
    except Exception as error:
        return error
    raise AssertionError("it raised nothing")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("raise ValueError('no such luck')", "ValueError: no such luck"),
        ("\nassert 1 > 2", "AssertionError in theirs.py:2"),
        ("def f():\n    raise MemoryError\nf()", "MemoryError in theirs.py:2"),
        ("raise RuntimeError(' ')", "RuntimeError in theirs.py:1"),
    ],
)
def test_an_exception_is_said_by_type_and_words_or_by_type_and_place(code: str, words: str) -> None:
    assert say(caught(code)) == words
    assert cause(caught(code)) == words


def test_an_exception_that_was_never_raised_has_its_type_only() -> None:
    assert say(KeyError()) == "KeyError"


def test_a_module_that_is_missing_is_the_cause() -> None:
    assert cause(caught("import no_such_module")).startswith("it needs the Python module no_such_module, which is not")
