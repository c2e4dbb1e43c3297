"""Former defaults: a run that was made with them is shown with them."""

import pytest

from dfo_bench.plugins.component import component
from dfo_bench.runs.former import complete
from dfo_bench.runs.spec import RunSpec


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
    assert complete(spec, described) == (spec, {**described, "optimizer": now})
