import json
from pathlib import Path
from typing import Any

import pytest

import dfo_bench
from dfo_bench.errors import StoreError
from dfo_bench.runs.header import PlannedRun
from dfo_bench.store.filenames import JOURNAL, PLAN
from dfo_bench.store.plan import read_plan, write_plan
from dfo_bench.store.store import Store
from dfo_bench.sweeps.events import Ended, Event, Listener
from tests.toys import planned as planned_run

AXES: dict[str, Any] = {"tasks": ["toy"], "optimizers": ["random"], "dim": 3, "budget": 30, "seeds": range(4)}


class Impatient(Listener):
    """Stops after the first run, as Ctrl-C does."""

    def hear(self, event: Event) -> None:
        if isinstance(event, Ended):
            raise KeyboardInterrupt


@pytest.fixture
def stopped(tmp_path: Path, toys: Path) -> Store:
    with pytest.raises(KeyboardInterrupt):
        dfo_bench.sweep(**AXES, store=tmp_path / "store", listener=Impatient())
    return Store(tmp_path / "store")


def test_a_sweep_that_was_stopped_leaves_what_it_has_not_begun(stopped: Store) -> None:
    left = stopped.planned()
    assert left["seed"].tolist() == [1, 2, 3]
    assert stopped.under_way()
    dfo_bench.sweep(**AXES, store=stopped.path, listener=Listener())
    runs = stopped.runs()
    assert runs.loc[runs["seed"] > 0, "key"].tolist() == left["key"].tolist()
    columns = ["task", "optimizer", "projection", "dim", "budget", "dev_every", "selection"]
    assert runs[columns].drop_duplicates().to_dict("records") == left[columns].drop_duplicates().to_dict("records")


def test_a_sweep_that_has_ended_leaves_no_plan(stopped: Store) -> None:
    dfo_bench.sweep(**AXES, store=stopped.path, listener=Listener())
    assert stopped.planned().empty
    assert not stopped.under_way()
    assert not (stopped.path / PLAN).exists()


def test_a_run_whose_folder_holds_no_line_yet_has_not_begun(stopped: Store) -> None:
    key = stopped.planned()["key"].tolist()[0]
    (stopped.path / key).mkdir()
    (stopped.path / key / JOURNAL).touch()
    assert key in stopped.planned()["key"].tolist()


def test_another_sweep_replaces_the_plan(stopped: Store) -> None:
    with pytest.raises(KeyboardInterrupt):
        dfo_bench.sweep(**{**AXES, "budget": 20, "seeds": [0, 7]}, store=stopped.path, listener=Impatient())
    assert stopped.planned()[["budget", "seed"]].to_numpy().tolist() == [[20, 7]]


def test_a_sweep_leaves_the_plan_of_one_that_began_after_it(tmp_path: Path, toys: Path) -> None:
    spec = planned_run("toy", "random", dim=3, budget=30)
    shown = {"task": "toy", "optimizer": "random", "projection": "normal"}
    other = [PlannedRun("f" * 16, spec, shown)]

    class Overtaken(Listener):
        def hear(self, event: Event) -> None:
            write_plan(tmp_path / "store", other)

    dfo_bench.sweep(**AXES, store=tmp_path / "store", listener=Overtaken())
    assert read_plan(tmp_path / "store") == other


def test_failed_runs_are_under_way_until_their_sweep_ends(tmp_path: Path, toys: Path) -> None:
    axes = {**AXES, "optimizers": ["odd:fail=third"], "seeds": [0, 1]}
    with pytest.raises(KeyboardInterrupt):
        dfo_bench.sweep(**axes, store=tmp_path / "store", listener=Impatient())
    store = Store(tmp_path / "store")
    assert store.runs()["status"].tolist() == ["failed"]
    dfo_bench.sweep(**axes, store=store.path, listener=Listener())
    assert not store.under_way()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "planned.json is damaged; delete it, the runs are not in it"),
        ("[]", "is damaged"),
        (json.dumps({"format": 1, "runs": "abc"}), "is damaged"),
        (json.dumps({"format": 1, "runs": [{}]}), "is damaged"),
        (json.dumps({"format": 1, "runs": [{"key": ["f"], "spec": {}, "shown": {}}]}), "is damaged"),
        (json.dumps({"format": 1, "runs": [{"key": "f", "spec": {"dim": 3}, "shown": []}]}), "is damaged"),
        (json.dumps({"format": 99, "plans": []}), "has format 99, newer than 1; update dfo-bench"),
        (json.dumps({"format": 99, "runs": []}), "has format 99, newer than 1; update dfo-bench"),
    ],
)
def test_a_plan_that_cannot_be_read_is_named_with_the_remedy(stopped: Store, text: str, message: str) -> None:
    (stopped.path / PLAN).write_text(text)
    with pytest.raises(StoreError, match=message):
        stopped.planned()


def test_a_plan_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path, toys: Path) -> None:
    store = Store.create(tmp_path / "store")
    (store.path / PLAN).mkdir()
    with pytest.raises(StoreError, match="cannot be written: Is a directory"):
        dfo_bench.sweep(**AXES, store=store.path, listener=Listener())
    assert sorted(path.name for path in store.path.iterdir()) == ["dfo-bench.json", PLAN]
