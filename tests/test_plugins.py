"""Every registered plugin keeps its contract: a new one is tested by existing."""

from pathlib import Path

import pytest

from dfo_bench.lm import DatasetTask, TextTask
from dfo_bench.plugins.registry import KINDS
from dfo_bench.testing import CHECKS, check_plugin
from tests.tiny_lm import Zoo

# Small enough to be checked in seconds; a plugin that is not named here is checked as it is.
SMALL = {
    # Eight points begin both; each more is a fit of the process.
    "bo": "bo:points=11",
    "feature_bilstm": "feature_bilstm:hidden=8",
    "helpdesk": "helpdesk:shots=2,prompt_tokens=3,model={model}",
    "museum": "museum:shots=2,prompt_tokens=3,model={model}",
    "rembo": "rembo:inner=(bo:points=9)",
}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in CHECKS for name in KINDS[kind].names()])
def test_a_plugin_keeps_its_contract(zoo: Zoo, kind: str, name: str) -> None:
    plugin = KINDS[kind].load(name)
    if issubclass(plugin, TextTask) and not (issubclass(plugin, DatasetTask) and plugin.shipped):
        pytest.skip(f"{name} needs data; its own tests bring some")
    if any(parameter.required for parameter in KINDS[kind].parameters(plugin).values()):
        pytest.skip(f"{name} needs a file; its own tests bring one")
    check_plugin(kind, SMALL.get(name, name).format(model=zoo.folder()))


def test_a_task_without_dimension_keeps_its_contract(toys: Path) -> None:
    check_plugin("task", "toy:dim=0")
