"""Former defaults: a run that was made with them is shown with them, and names that leave them out mean today's."""

import pytest

from dfo_bench.plugins.component import component, parse
from dfo_bench.plugins.plugin import resolve
from dfo_bench.plugins.registry import TASKS
from dfo_bench.runs import former
from dfo_bench.runs.spec import RunSpec


def test_the_present_defaults_that_no_name_says_are_those_of_text_tasks() -> None:
    defaults = resolve(TASKS, parse("helpdesk")).defaults
    assert {name: defaults[name] for name in former._NOW} == former._NOW


def test_every_former_default_has_a_present_one() -> None:
    assert former._TASK.keys() == former._NOW.keys()


@pytest.mark.parametrize(
    ("optimizer", "shown", "now"),
    [
        ("composite:batch=5,points=300,sigma=0.5", "composite", "composite:sigma=0.5"),
        ("composite_loss:batch=3,points=300,sigma=0.5", "composite_loss:batch=3", "composite_loss:batch=3,sigma=0.5"),
        ("composite:batch=5,points=300,sigma=0.15", "composite", "composite"),
        ("prox_linear:batch=5,sigma=0.5", "prox_linear:sigma=0.5", "prox_linear:sigma=0.5"),
    ],
)
def test_a_run_is_shown_with_the_first_step_that_was_the_default(optimizer: str, shown: str, now: str) -> None:
    spec = RunSpec(component("sphere"), component(optimizer), component("normal"))
    described = {"task": "sphere", "optimizer": shown, "projection": "normal"}
    assert former.complete(spec, described) == (spec, {**described, "optimizer": now})
