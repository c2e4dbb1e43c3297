"""The contract kit: what every plugin must keep, checked on the real class.

`dfo-bench check` prints it; a package of plugins runs it in its own tests with one line per plugin::

    from dfo_bench.testing import check_plugin
    def test_my_search_keeps_its_contract():
        check_plugin("optimizer", "my_search")
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from dfo_bench.plugins.component import Component, component
from dfo_bench.plugins.plugin import resolve
from dfo_bench.plugins.registry import OPTIMIZERS, kind_of
from dfo_bench.testing import optimizers, projections, references, tasks
from dfo_bench.testing.checks import results
from dfo_bench.testing.observations import REPORTS, race

__all__ = ["CHECKS", "check_plugin", "findings", "race", "reports"]

CHECKS: Mapping[str, Sequence[Callable[[Any], str]]] = {
    "optimizer": optimizers.CHECKS,
    "task": tasks.CHECKS,
    "projection": projections.CHECKS,
    "reference": references.CHECKS,
}
"""The checks of every kind of plugin; the first line of each docstring is its title."""


def check_plugin(kind: str, name: str | Component) -> None:
    """Raise AssertionError with every check that a plugin does not keep."""
    broken = [f"{title}: {problem}" for title, problem in findings(kind, component(name)) if problem]
    assert not broken, f"{kind} {name} breaks its contract:\n" + "\n".join(broken)


def findings(kind: str, plugin: Component) -> Iterator[tuple[str, str]]:
    """Yield the title of every check and what is wrong, "" for nothing; raise InputError for what cannot be built."""
    found = kind_of(kind)
    yield from results(CHECKS[found.name], resolve(found, plugin))


def reports(optimizer: Component) -> Iterator[tuple[str, str]]:
    """Yield what is reported of an optimizer and not judged: a title, and what was found."""
    yield from results(REPORTS, resolve(OPTIMIZERS, optimizer))
