"""A task is called by its title everywhere, and a title splits no question."""

from pathlib import Path

import pandas as pd
import pytest

from dfo_bench.errors import InputError
from dfo_bench.plugins.component import parse
from dfo_bench.plugins.plugin import resolve
from dfo_bench.plugins.registry import TASKS
from dfo_bench.report.baselines import place_baselines
from dfo_bench.report.titles import entitle
from dfo_bench.report.versions import tell_versions
from dfo_bench.runs.assembly import assemble
from dfo_bench.runs.spec import describe
from dfo_bench.runs.titles import check_title
from dfo_bench.store.text_runs import name_task
from tests.frames import runs_of
from tests.toys import planned


def titled(*tasks: str) -> list[str]:
    runs = [{"task": task, "ended": f"2026-01-0{i + 1}", "seed": i} for i, task in enumerate(tasks)]
    told = entitle(runs_of(*runs))
    assert entitle(told).equals(told)
    return told["task"].to_list()


def test_a_title_stands_for_name_and_data_and_what_answers_the_question_stays_beside_it() -> None:
    assert titled("desk:prompt_tokens=5,shots=4,title=My mail,train=a.csv", "desk:model=b,shots=4,train=a.csv") == [
        "My mail:prompt_tokens=5", "My mail:model=b",
    ]  # fmt: skip


def test_the_last_title_of_a_question_counts_for_all_of_its_runs() -> None:
    assert titled("desk:title=Old", "desk:prompt_tokens=5,title=New", "desk") == ["New", "New:prompt_tokens=5", "New"]


def test_questions_of_one_title_keep_what_they_differ_in() -> None:
    assert titled("desk:shots=4,title=Mail,train=a", "desk:shots=8,title=Mail,train=a") == [
        "Mail:shots=4",
        "Mail:shots=8",
    ]
    assert titled("desk:title=Mail", "sst2:title=Mail") == ["desk", "sst2"]


def test_without_titles_and_with_names_of_other_programs_all_stays_as_it_is() -> None:
    assert titled("desk", "a=(b:") == ["desk", "a=(b:"]
    assert titled("desk:title=Mail", "a=(b:") == ["Mail", "a=(b:"]
    assert entitle(pd.DataFrame()).empty


def test_references_stand_beside_the_searches_of_their_title_and_versions_stay_apart() -> None:
    search = {"task": "desk:prompt_tokens=5,title=Mail", "data": "aaaa"}
    bare = {"task": "desk:prompt_tokens=0", "dim": 0, "baseline": True, "optimizer": "manual", "data": "aaaa"}
    placed = place_baselines(entitle(runs_of(search, bare)))
    assert set(placed["task"]) == {"Mail:prompt_tokens=5"}
    other = entitle(tell_versions(runs_of(search, {**search, "data": "bbbb", "seed": 1})))["task"]
    assert other.to_list() == ["Mail:data_digest=aaaa,prompt_tokens=5", "Mail:data_digest=bbbb,prompt_tokens=5"]


def test_each_version_of_the_data_may_have_a_title_of_its_own() -> None:
    old = {"task": "desk:title=Mail", "data": "aaaa"}
    new = {"task": "desk:title=Mail of May", "data": "bbbb", "seed": 1}
    assert entitle(tell_versions(runs_of(old, new)))["task"].to_list() == ["Mail", "Mail of May"]


def test_a_title_is_shown_in_lines_and_commands_and_is_no_other_task() -> None:
    written = parse("helpdesk:prompt_tokens=5,shots=4,title=My mail")
    assert str(resolve(TASKS, written).shown()) == str(written)
    assert name_task(written) == "helpdesk:prompt_tokens=5,shots=4"
    run = {"task": str(written), "optimizer": "cma", "projection": "normal", "seed": 0}
    assert describe(run) == "cma on My mail:prompt_tokens=5, normal, seed 0"
    keyed = resolve(TASKS, parse("helpdesk:prompt_tokens=5,shots=4")).keyed()
    assert resolve(TASKS, written).keyed() == keyed
    assert "title" not in keyed.params


def test_every_task_takes_a_title(toys: Path) -> None:
    plain, titled = (planned(task, "odd", dim=2, budget=20) for task in ("toy", "toy:title=My function"))
    one, other = assemble(plain), assemble(titled)
    assert one.key == other.key
    assert other.shown()["task"] == "toy:title=My function"
    assert describe({**other.shown(), "seed": 0}).startswith("odd on My function, ")
    with pytest.raises(InputError, match="cannot stand for a name; leave out"):
        assemble(planned('toy:title="a: b"', "odd", dim=2, budget=20))


def test_what_cannot_stand_for_a_name_is_no_title() -> None:
    check_title("")
    for title in ("a:b", "a, b", " a", "f(x)", 'the "one"'):
        with pytest.raises(InputError, match="cannot stand for a name; leave out"):
            check_title(title)
