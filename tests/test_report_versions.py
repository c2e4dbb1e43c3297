"""Runs on other data, or of another model, are never one group, whatever their tasks are called."""

from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from dfo_bench.cli import app
from dfo_bench.report.baselines import place_baselines
from dfo_bench.report.stats.groups import summarise
from dfo_bench.report.versions import tell_versions, version_notes
from dfo_bench.store.store import Store
from tests.frames import NO_MEASURES, curves_of, runs_of
from tests.pages import html_of
from tests.text_runs import planned
from tests.tiny_lm import Zoo, reviews, write

SEARCH, BARE = "desk:prompt_tokens=5", "desk:prompt_tokens=0"


def frame(*data: str) -> pd.DataFrame:
    """Return a search of seed 0 on each of these versions, made one after the other, and a reference on the last."""
    searches = [{"task": SEARCH, "data": one, "seed": 0, "ended": f"2026-01-0{i + 1}"} for i, one in enumerate(data)]
    reference = {"task": BARE, "data": data[-1], "seed": 0, "ended": "2026-01-09", "optimizer": "manual", "dim": 0,
                 "projection": "reference", "baseline": True}  # fmt: skip
    return runs_of(*searches, reference)


def test_two_versions_are_two_tasks_and_each_has_its_own_baselines() -> None:
    told = tell_versions(frame("aaaa", "bbbb"))
    assert list(told["task"]) == [
        "desk:data_digest=aaaa,prompt_tokens=5", "desk:data_digest=bbbb,prompt_tokens=5",
        "desk:data_digest=bbbb,prompt_tokens=0",
    ]  # fmt: skip
    shown = place_baselines(told)
    assert shown.loc[shown["optimizer"] == "manual", "task"].to_list() == ["desk:data_digest=bbbb,prompt_tokens=5"]
    assert summarise(told)["runs", "finished"].to_list() == [1, 1, 1]
    assert tell_versions(told).equals(told)


def test_one_version_stays_as_it_is_called() -> None:
    runs = frame("aaaa", "aaaa")
    assert tell_versions(runs).equals(runs)
    assert version_notes(runs, "demo") == []
    assert version_notes(pd.DataFrame(), "demo") == []


def test_the_older_is_named_with_the_command_that_deletes_it() -> None:
    (note,) = version_notes(frame("bbbb", "aaaa"), "my store")
    assert note == (
        "desk: 2 versions of this task's data or model, kept apart by data_digest, the newest aaaa; title=NAME "
        "names it in further runs; delete the older with: dfo-bench delete k0 --store 'my store'"
    )


def test_the_page_keeps_them_apart() -> None:
    html = html_of(frame("aaaa", "bbbb"), curves_of(k0=[1.0], k1=[1.0], k2=[1.0]), NO_MEASURES)
    assert html.count("<section data-task") == 2


def test_rows_added_to_a_file_are_another_version(tmp_path: Path, zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store.create(tmp_path / "store")
    spec = planned(store, zoo.folder(), "start")
    command = ["sweep", "-t", str(spec.task), "-o", "start", "--no-references", "--store", str(store.path)]
    assert CliRunner().invoke(app, command).exit_code == 0
    write(tmp_path / "train.jsonl", reviews(7))
    again = CliRunner().invoke(app, command)
    assert again.exit_code == 0
    assert "2 versions of this task's data" in again.stderr
    assert store.runs()["data"].nunique() == 2
    assert CliRunner().invoke(app, ["report", "--store", str(store.path)]).exit_code == 0
    page = (store.path / "report.html").read_text()
    assert "2 versions of this task" in page
    assert page.count("<section data-task") == 2
