"""Every registered plugin keeps its contract: a new one is tested by existing."""

import pytest

from dfo_bench import registry
from dfo_bench.testing import CHECKS, check_plugin

# Small enough to be checked in seconds; a plugin that is not named here is checked as it is.
SMALL = {
    "bo": "bo:points=20",
    "helpdesk": "helpdesk:shots=2,prompt_tokens=3",
    "rembo": "rembo:inner=(bo:points=10)",
}
NEEDS_DATA = {"agnews": "few-shot data", "sst2": "few-shot data", "text": "a file"}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in CHECKS for name in registry.names(kind)])
def test_a_plugin_keeps_its_contract(kind: str, name: str) -> None:
    if name in NEEDS_DATA:
        pytest.skip(f"{name} needs {NEEDS_DATA[name]}; its own tests bring some")
    check_plugin(kind, SMALL.get(name, name))
