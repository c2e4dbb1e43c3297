"""Today's defaults, which an older run's name leaves out, are those that text tasks have."""

from dfo_bench.plugins.component import parse
from dfo_bench.plugins.plugin import resolve
from dfo_bench.plugins.registry import TASKS
from dfo_bench.runs import former


def test_the_present_defaults_that_no_name_says_are_those_of_text_tasks() -> None:
    defaults = resolve(TASKS, parse("helpdesk")).defaults
    assert {name: defaults[name] for name in former._NOW} == former._NOW


def test_every_former_default_has_a_present_one() -> None:
    assert former._TASK.keys() == former._NOW.keys()
