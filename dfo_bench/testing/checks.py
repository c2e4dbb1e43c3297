"""Checks and reports of the kit, run one after another, and their titles."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from dfo_bench.errors import InputError, cause
from dfo_bench.plugins.plugin import Plugin
from dfo_bench.threads import single_threaded

Problem = str
"""What is wrong, "" where nothing is."""


def results(checks: Sequence[Callable[[Any], str]], plugin: Plugin[Any]) -> Iterator[tuple[str, str]]:
    """Yield the title of each check or report, and its result or the error it ended with."""
    with single_threaded():
        for check in checks:
            try:
                yield title(check), check(plugin)
            except InputError as error:
                yield title(check), str(error)
            except (Exception, SystemExit) as error:
                yield title(check), cause(error)


def title(check: Callable[[Any], str]) -> str:
    """Return the first line of its docstring."""
    return (check.__doc__ or "").partition("\n")[0].rstrip(".")
