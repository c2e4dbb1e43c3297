"""Every registered plugin keeps its contract: a new one is tested by existing."""

from pathlib import Path

import pytest

from dfo_bench.lm import DatasetTask, TextTask
from dfo_bench.plugins.registry import KINDS
from dfo_bench.testing import CHECKS, check_plugin

# Small enough to be checked in seconds; a plugin that is not named here is checked as it is.
SMALL = {
    "bo": "bo:points=20",
    "helpdesk": "helpdesk:shots=2,prompt_tokens=3",
    "rembo": "rembo:inner=(bo:points=10)",
}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in CHECKS for name in KINDS[kind].names()])
def test_a_plugin_keeps_its_contract(kind: str, name: str) -> None:
    plugin = KINDS[kind].load(name)
    if issubclass(plugin, TextTask) and not (issubclass(plugin, DatasetTask) and plugin.shipped):
        pytest.skip(f"{name} needs data; its own tests bring some")
    if any(parameter.required for parameter in KINDS[kind].parameters(plugin).values()):
        pytest.skip(f"{name} needs a file; its own tests bring one")
    check_plugin(kind, SMALL.get(name, name))


def test_a_task_without_dimension_keeps_its_contract(toys: Path) -> None:
    check_plugin("task", "toy:dim=0")
