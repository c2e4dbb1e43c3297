from pathlib import Path
from typing import Any

import pytest

from dfo_bench.core import Rngs
from dfo_bench.errors import InputError, UnknownNameError
from dfo_bench.plugins import parameters, registry
from dfo_bench.plugins.component import parse


def test_resolving_fills_defaults_and_coerces_types(toys: Path) -> None:
    assert dict(parameters.resolve("optimizer", parse("odd:fail=7")).params) == {"fail": "7", "batch": 5}
    sigma = parameters.resolve("optimizer", parse("cma:sigma=1")).params["sigma"]
    assert (sigma, type(sigma)) == (1.0, float)


def test_parameters_at_their_defaults_are_not_shown(toys: Path) -> None:
    resolved = parameters.resolve("optimizer", parse("odd:batch=5,fail=7"))
    assert str(parameters.without_defaults("optimizer", resolved)) == 'odd:fail="7"'


def test_a_component_among_the_values_is_resolved_too() -> None:
    resolved = parameters.resolve("optimizer", parse("rembo:inner=(cma:popsize=4)"))
    assert resolved.params["inner"] == parameters.resolve("optimizer", parse("cma:popsize=4"))
    assert str(parameters.without_defaults("optimizer", resolved)) == "rembo:inner=(cma:popsize=4)"


def test_an_unknown_parameter_brings_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="no parameter of optimizer cma named 'popsiz'; did you mean popsize"):
        parameters.resolve("optimizer", parse("cma:popsiz=3"))


@pytest.mark.parametrize("value", ["big", "1.5", "null", "[1]"])
def test_a_value_of_another_type_is_refused_with_the_value(toys: Path, value: str) -> None:
    with pytest.raises(InputError, match="optimizer odd: batch="):
        parameters.resolve("optimizer", parse(f"odd:batch={value}"))


def test_a_parameter_without_default_must_be_given() -> None:
    with pytest.raises(InputError, match="task text needs train; write text:train="):
        parameters.resolve("task", parse("text"))


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in registry.KINDS for name in registry.names(kind)])
def test_every_parameter_of_every_plugin_has_a_type(kind: str, name: str) -> None:
    for parameter in parameters.parameters(kind, registry.load(kind, name)).values():
        assert parameter.type is not None
    assert all(words and default for words, default in parameters.described(kind, name).values())


class Base:
    def __init__(self, *, rngs: Rngs, model: str = "", shots: int = 16) -> None: ...


class Family(Base):
    def __init__(self, *, rngs: Rngs, metric: str, **common: Any) -> None:
        super().__init__(rngs=rngs, **common)


class Silent(Family):
    """Says nothing of its own."""


class Member(Silent):
    def __init__(self, *, rngs: Rngs, own: float = 0.5, shots: int = 4, **common: Any) -> None:
        super().__init__(rngs=rngs, shots=shots, **common)


def test_a_constructor_that_hands_on_keywords_has_the_parameters_of_the_next_one_up() -> None:
    assert list(parameters.parameters("task", Silent)) == ["metric", "model", "shots"]
    member = parameters.parameters("task", Member)
    assert list(member) == ["own", "shots", "metric", "model"]
    assert [(p.type, p.default) for p in member.values()][:2] == [(float, 0.5), (int, 4)]
    assert member["metric"].required


def test_a_constructor_that_hands_nothing_on_has_only_its_own_parameters() -> None:
    class Closed(Member):
        def __init__(self, *, rngs: Rngs, label: str) -> None:
            super().__init__(rngs=rngs, metric=label)

    assert list(parameters.parameters("task", Closed)) == ["label"]
