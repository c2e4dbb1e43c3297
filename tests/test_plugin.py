"""A component resolved: defaults, types, what is shown, and what a run's key holds of it."""

import json
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from dfo_bench.core import Optimizer
from dfo_bench.errors import InputError, UnknownNameError
from dfo_bench.plugins.component import Component, Value, parse
from dfo_bench.plugins.plugin import Plugin, resolve, resolve_method
from dfo_bench.plugins.registry import OPTIMIZERS, PROJECTIONS, TASKS, Kind
from dfo_bench.runs.assembly import assemble
from dfo_bench.runs.former import complete
from dfo_bench.runs.spec import RunSpec
from tests.toys import planned

PUBLISHED = sorted(Path(__file__).resolve().parents[1].glob("results/*/*/summary.json"))


def test_resolving_fills_defaults_and_coerces_types(toys: Path) -> None:
    assert dict(resolve(OPTIMIZERS, parse("odd:fail=7")).component.params) == {"fail": "7", "batch": 5}
    sigma = resolve(OPTIMIZERS, parse("cma:sigma=1")).component.params["sigma"]
    assert (sigma, type(sigma)) == (1.0, float)


def test_parameters_at_their_defaults_are_not_shown(toys: Path) -> None:
    assert str(resolve(OPTIMIZERS, parse("odd:batch=5,fail=7")).shown()) == 'odd:fail="7"'


def test_a_component_among_the_values_is_resolved_too() -> None:
    plugin = resolve(OPTIMIZERS, parse("rembo:inner=(cma:popsize=4)"))
    assert plugin.component.params["inner"] == resolve(OPTIMIZERS, parse("cma:popsize=4")).component
    assert [inner.name for inner in plugin.all_inner()] == ["cma"]
    assert str(plugin.shown()) == "rembo:inner=(cma:popsize=4)"
    assert str(resolve(OPTIMIZERS, parse("rembo:inner=(bo:points=150),k=2")).shown()) == "rembo:k=2"


def test_an_unknown_parameter_brings_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="no parameter of optimizer cma named 'popsiz'; did you mean popsize"):
        resolve(OPTIMIZERS, parse("cma:popsiz=3"))


@pytest.mark.parametrize("value", ["big", "1.5", "null", "[1]"])
def test_a_value_of_another_type_is_refused_with_the_value(toys: Path, value: str) -> None:
    with pytest.raises(InputError, match="optimizer odd: batch="):
        resolve(OPTIMIZERS, parse(f"odd:batch={value}"))


def test_a_parameter_without_default_must_be_given() -> None:
    with pytest.raises(InputError, match="task text needs train; write text:train="):
        resolve(TASKS, parse("text"))


def test_a_run_looks_each_of_its_plugins_up_once(toys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up: Counter[str] = Counter()
    load = Kind.load

    def counted(self: Kind[Any], name: str) -> Any:
        looked_up[name] += 1
        return load(self, name)

    monkeypatch.setattr(Kind, "load", counted)
    assembly = assemble(planned("toy:blocks=3", "layerwise:inner=(odd)", dim=2, budget=20))
    optimizer = assembly.optimizer()
    optimizer.tell(assembly.task.evaluate(optimizer.ask()))
    assert assembly.key
    assert assembly.shown()
    assert assembly.source_digests
    # The inner optimizer that is the default is looked up, too, to know what may be left out.
    assert looked_up == {"toy": 1, "layerwise": 1, "odd": 1, "cma": 1, "normal": 1}


@pytest.mark.skipif(not PUBLISHED, reason="needs the published results")
def test_the_key_of_every_published_run_is_what_it_was() -> None:
    for path in PUBLISHED:
        summary = json.loads(path.read_text())
        spec, _ = complete(RunSpec.from_json(summary["spec"]), summary["shown"])
        contents: dict[str, dict[str, str]] = {"task": {}, "optimizer": {}, "projection": {}}
        for kind, _, name in (word.partition(":") for word in summary["digests"]):
            if name:
                contents[kind][name] = summary["digests"][f"{kind}:{name}"]
        plugins: dict[str, Any] = {
            "task": resolve(TASKS, spec.task),
            "optimizer": resolve_method(spec.optimizer),
            "projection": resolve(PROJECTIONS, spec.projection),
        }
        keyed: dict[str, Any] = {name: plugin.keyed(contents[name]) for name, plugin in plugins.items()}
        assert replace(spec, **keyed).key() == summary["key"]


def test_the_key_rests_on_what_files_hold_and_not_on_where_they_are(toys: Path) -> None:
    here, there = (resolve(TASKS, parse(f"toy:log={place}")) for place in "ab")
    assert here.keyed() != there.keyed()
    assert here.keyed({"log": "0123"}) == there.keyed({"log": "0123"})


def key(optimizer: str) -> str:
    return assemble(planned("toy", optimizer, dim=2, budget=20)).key


@pytest.fixture
def former(toys: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return keys of runs of the toy optimizer; then give it parameters that those runs did not know."""
    keys = {text: key(text) for text in ("odd", "odd:batch=3", "layerwise:inner=(odd)")}
    path = toys / "odd_plugin.py"
    source = path.read_text().replace("batch: int = 5", 'batch: int = 5, stretch: float = 1.0, title: str = ""')
    declared = 'added = {"stretch": 1.0, "title": ""}\n    unkeyed = {"title": "", "fail": ""}\n\n    def __init__'
    path.write_text(source.replace("def __init__", declared))
    monkeypatch.delitem(sys.modules, "odd_plugin")
    return keys


def test_a_parameter_added_at_its_former_value_leaves_every_key_as_it_was(former: dict[str, str]) -> None:
    assert {text: key(text) for text in former} == former
    assert key("odd:stretch=1") == former["odd"]


def test_a_parameter_added_at_another_value_makes_another_run(former: dict[str, str]) -> None:
    keys = {key("odd:stretch=2"), key("odd:stretch=3"), key("layerwise:inner=(odd:stretch=2)"), *former.values()}
    assert len(keys) == 6


def test_a_parameter_that_changes_no_result_is_read_by_no_key(former: dict[str, str]) -> None:
    assert key("odd:title=mine") == key("odd:title=theirs") == former["odd"]
    assert key("layerwise:inner=(odd:title=mine)") == former["layerwise:inner=(odd)"]
    # This one stood in keys from the beginning, and the value it had stands there for any.
    assert key("odd:fail=third") == former["odd"]


def test_the_backend_of_a_text_task_is_torch_in_every_key_as_it_was_before_there_was_another() -> None:
    plain, other = (resolve(TASKS, parse(text)).keyed() for text in ("sst2", "sst2:backend=openvino"))
    assert plain == other
    assert plain.params["backend"] == "torch"


def test_what_a_class_says_of_its_parameters_is_inherited_and_added_to() -> None:
    class Base(Optimizer):
        added: ClassVar[Mapping[str, Value]] = {"early": 1}
        unkeyed: ClassVar[Mapping[str, Value]] = {"title": ""}

    class Member(Base):
        added: ClassVar[Mapping[str, Value]] = {"late": False, "title": ""}

    def keyed(**params: Value) -> dict[str, Value]:
        return dict(Plugin(OPTIMIZERS, Member, Component("member", params)).keyed().params)

    assert keyed(early=1, late=False, title="mine", own=3) == {"own": 3}
    assert keyed(early=2, late=True, title="", own=3) == {"early": 2, "late": True, "own": 3}


def test_the_file_of_a_parameter_at_its_former_value_is_in_no_key() -> None:
    class Later(Optimizer):
        added: ClassVar[Mapping[str, Value]] = {"notes": None}

    def keyed(notes: str | None) -> Component:
        return Plugin(OPTIMIZERS, Later, Component("later", {"notes": notes})).keyed({"notes": "0123"})

    assert keyed(None) == Component("later")
    assert keyed("a.txt") == keyed("b.txt") == Component("later", {"notes": "0123"})
