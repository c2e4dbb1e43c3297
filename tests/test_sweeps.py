import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

import dfo_bench
from dfo_bench.errors import InputError, StoreError
from dfo_bench.runs.header import PlannedRun
from dfo_bench.store.filenames import MARKER
from dfo_bench.store.store import Store
from dfo_bench.sweeps.events import Ended, Event, Listener
from dfo_bench.sweeps.request import SweepRequest
from dfo_bench.sweeps.sweep import expand_axes

AXES: dict[str, Any] = {
    "tasks": ["toy"],
    "optimizers": ["odd", "random"],
    "projections": ["normal", "uniform"],
    "dim": 3,
    "budget": 30,
    "seeds": range(2),
}
EXACT = ["key", "evaluation", "loss", "best", "digest"]


class Remembering(Listener):
    """Remembers the runs of a sweep and how they ended."""

    def __init__(self) -> None:
        self.runs: list[PlannedRun] = []
        self.ended: list[Ended] = []

    @contextmanager
    def begin(self, runs: Sequence[PlannedRun]) -> Iterator[None]:
        self.runs += runs
        yield

    def hear(self, event: Event) -> None:
        if isinstance(event, Ended):
            self.ended.append(event)


def _sweep(store: Path, **changed: Any) -> Store:
    return dfo_bench.sweep(**{**AXES, "listener": Listener(), **changed}, store=store)


@pytest.fixture
def path(tmp_path: Path, toys: Path) -> Path:
    return tmp_path / "store"


def test_a_sweep_is_the_product_of_its_axes(path: Path) -> None:
    runs = _sweep(path).runs()
    assert len(runs) == 2 * 2 * 2
    assert runs["key"].is_unique
    assert set(runs["status"]) == {"finished"}
    assert runs.groupby(["optimizer", "projection"])["seed"].agg(list).map(sorted).tolist() == [[0, 1]] * 4


def test_the_result_does_not_depend_on_the_number_of_workers(path: Path, tmp_path: Path) -> None:
    one = _sweep(path)
    two = _sweep(tmp_path / "two", workers=2)
    pd.testing.assert_frame_equal(one.curves()[EXACT], two.curves()[EXACT], check_exact=True)
    pd.testing.assert_frame_equal(one.measures(), two.measures(), check_exact=True)


def test_the_same_sweep_again_runs_nothing(path: Path) -> None:
    store = _sweep(path)
    before = {file: file.stat().st_mtime_ns for file in store.path.rglob("*.json*")}
    _sweep(path)
    assert {file: file.stat().st_mtime_ns for file in store.path.rglob("*.json*")} == before


def test_a_crash_in_one_run_never_stops_the_sweep(path: Path) -> None:
    store = _sweep(path, optimizers=["odd:fail=third", "odd"])
    assert store.runs()["status"].value_counts().to_dict() == {"finished": 4, "failed": 4}


def test_a_worker_that_dies_takes_one_run_with_it(path: Path) -> None:
    listener = Remembering()
    store = _sweep(path, tasks=["toy:fail=die", "toy"], optimizers=["odd"], workers=2, listener=listener)
    runs = store.runs()
    assert runs.groupby("task")["status"].unique().map(list).to_dict() == {
        "toy": ["finished"],
        "toy:fail=die": ["failed"],
    }
    assert runs.loc[runs["status"] == "failed", "error"].str.contains("exit code 9").all()
    assert len(listener.ended) == 8


def test_an_identity_takes_the_dimension_of_the_task(path: Path) -> None:
    runs = _sweep(path, projections=["identity", "normal"]).runs()
    assert set(zip(runs["projection"], runs["dim"], strict=True)) == {("identity", 12), ("normal", 3)}


def test_an_optimizer_of_one_evaluation_stands_beside_those_that_spend_the_budget(path: Path) -> None:
    listener = Remembering()
    runs = _sweep(path, optimizers=["odd", "start"], projections=["normal"], listener=listener).runs()
    assert set(zip(runs["optimizer"], runs["budget"], runs["evaluations"], strict=True)) == {
        ("odd", 30, 30),
        ("start", 1, 1),
    }
    assert [(run.spec.optimizer.name, run.spec.budget) for run in listener.runs] == [("odd", 30), ("start", 1)] * 2
    assert len(_sweep(path, optimizers=["start"], projections=["normal"], budget=500).runs()) == len(runs)


def test_a_task_without_dimension_stands_beside_others(path: Path) -> None:
    runs = _sweep(path, tasks=["toy", "toy:dim=0"], optimizers=["start"], projections=["normal"], seeds=[0]).runs()
    assert dict(zip(runs["task"], runs["dim"], strict=True)) == {"toy": 3, "toy:dim=0": 0}


def test_a_budget_may_be_given_for_each_task_by_name(path: Path) -> None:
    given = {"tasks": ["toy", "toy:dim=6", "sphere"], "optimizers": ["odd"], "projections": ["normal"], "seeds": [0]}
    request = SweepRequest(tasks=["toy", "sphere"], optimizers=["odd"], budget={"toy": 30})
    assert [(spec.task.name, spec.budget) for spec in expand_axes(request)] == [("toy", 30), ("sphere", 8000)]
    runs = _sweep(path, **given, budget={"toy": 30, "sphere": 20}).runs()
    assert dict(zip(runs["task"], runs["budget"], strict=True)) == {"toy": 30, "toy:dim=6": 30, "sphere": 20}


def test_runs_of_another_rule_of_selection_are_other_runs(path: Path) -> None:
    for selection in ("incumbent", "current"):
        runs = _sweep(path, optimizers=["odd"], projections=["normal"], seeds=[0], selection=selection).runs()
    assert runs["selection"].tolist() == ["current", "incumbent"]


def test_merging_stores_is_copying_their_folders(path: Path, tmp_path: Path) -> None:
    whole = _sweep(path)
    for seed in (0, 1):
        _sweep(tmp_path / f"part{seed}", seeds=[seed])
    merged = Store.create(tmp_path / "merged")
    for seed in (0, 1):
        subprocess.run(["cp", "-r", f"{tmp_path}/part{seed}/.", merged.path], check=True)
    pd.testing.assert_frame_equal(merged.curves()[EXACT], whole.curves()[EXACT], check_exact=True)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"optimizers": ["cmaa"]}, "no optimizer named 'cmaa'; did you mean cma"),
        ({"tasks": ["tou"]}, "no task named 'tou'; did you mean toy"),
        ({"projections": ["norml"]}, "no projection named 'norml'; did you mean normal"),
        ({"optimizers": ["cma:popsiz=3"]}, "no parameter of optimizer cma named 'popsiz'; did you mean popsize"),
        ({"optimizers": ["cma:popsize=1"]}, "popsize=1: input should be greater than or equal to 2"),
        ({"optimizers": ["odd:fail=constructor"]}, "cannot be built: ValueError: no such luck"),
        ({"optimizers": ["odd:fail=shape"]}, r"ask returned shape \(5, 2\)"),
        ({"optimizers": ["odd:fail=nan"]}, "ask returned nan or inf"),
        ({"optimizers": ["rembo:inner=(sre)"]}, "sre draws its own embeddings and cannot stand inside another"),
        ({"optimizers": ["cma:sigma=inf"]}, "sigma=inf: must be finite"),
        ({"projections": [{"name": "normal", "alpha": float("nan")}]}, "nan is no value of a parameter"),
        ({"budget": 0}, "budget must be at least 1, got 0"),
        ({"budget": -5}, "budget must be at least 1, got -5"),
        ({"dim": 13}, "dim 13 is above the 12 of task toy; use -d 12 or less"),
        ({"dim": 0}, "dim must be at least 1"),
        ({"dim": -1}, "dim must be at least 0"),
        ({"tasks": ["toy:dim=0"]}, "task toy:dim=0 has dimension 0, nothing to search; use an optimizer of one"),
        ({"budget": {"tou": 5}}, r"no task of this sweep \(in budget\) named 'tou'; did you mean toy"),
        ({"budget": {"toy": 0}}, "budget must be at least 1, got 0"),
        ({"budget": {"toy": 1.5}}, "budget of toy must be a whole number, got 1.5"),
        ({"selection": "curent"}, "no selection named 'curent'; did you mean current"),
        ({"seeds": [-1]}, "seed must be at least 0"),
        ({"tasks": ["toy:fail=seed"], "seeds": range(8)}, "what this seed drew does not fit"),
        ({"seeds": []}, "seeds is empty"),
        ({"tasks": []}, "tasks must be a list of at least one"),
        ({"tasks": "toy"}, "tasks must be a list of at least one, got 'toy'"),
        ({"workers": 0}, "workers must be a whole number, at least 1, got 0"),
    ],
)
def test_wrong_input_is_one_line_and_nothing_is_written(path: Path, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        _sweep(path, **changed)
    assert "\n" not in str(caught.value)
    assert not path.exists()


def test_two_spellings_of_one_run_are_one_run(path: Path) -> None:
    store = _sweep(path, optimizers=["odd", "odd:batch=5"], projections=["normal", "normal:alpha=1"], workers=2)
    assert store.runs()["status"].tolist() == ["finished"] * 2


def test_a_finished_run_of_another_source_is_kept_and_said(
    path: Path, toys: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _sweep(path)
    plugin = toys / "odd_plugin.py"
    plugin.write_text(plugin.read_text() + "\nVERSION = 2\n")
    _sweep(path)
    assert any("was begun with another optimizer" in message for message in caplog.messages)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("curve.parquet", "half", r"curve\.parquet is missing or damaged; delete the folder to run it again"),
        ("summary.json", "{}", r"summary\.json is damaged; delete the folder to run it again"),
        ("summary.json", '{"format": 2}', r"summary\.json has format 2, newer than 1; update dfo-bench"),
    ],
)
def test_a_run_that_cannot_be_read_is_named_with_a_remedy_and_hides_no_other(
    path: Path, caplog: pytest.LogCaptureFixture, name: str, text: str, message: str
) -> None:
    store = _sweep(path, optimizers=["odd"], projections=["normal"])
    damaged, other = store
    (store.path / damaged / name).write_text(text)
    assert set(store.curves()["key"]) == set(store.curves(improvements=True)["key"]) == {other}
    assert set(store.runs()["key"]) == ({other} if name == "summary.json" else {damaged, other})
    assert [bool(re.search(message, told)) for told in caplog.messages] == [True]
    with pytest.raises(StoreError, match=message):
        store.curves([damaged])


def test_a_curve_of_a_newer_version_is_refused_and_hides_no_other(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = _sweep(path, optimizers=["odd"], projections=["normal"])
    newer, other = store
    curve = store.path / newer / "curve.parquet"
    assert pq.read_schema(curve).metadata[b"dfo-bench format"] == b"1"
    pq.write_table(pq.read_table(curve).replace_schema_metadata({b"dfo-bench format": b"2"}), curve)
    assert set(store.curves(improvements=True)["key"]) == {other}
    (told,) = caplog.messages
    assert "curve.parquet has format 2, newer than 1; update dfo-bench" in told


def test_a_sweep_refuses_the_runs_of_a_newer_version_and_makes_the_others(path: Path) -> None:
    store = _sweep(path, optimizers=["odd"], projections=["normal"], seeds=[0])
    (newer,) = store
    summary = store.path / newer / "summary.json"
    text = '{"format": 2, "of": "tomorrow"}'
    summary.write_text(text)
    listener = Remembering()
    _sweep(path, optimizers=["odd"], projections=["normal"], listener=listener)
    assert [event.failed for event in listener.ended] == [True, False]
    assert "has format 2, newer than 1; update dfo-bench" in listener.ended[0].error
    assert summary.read_text() == text


def test_a_store_or_a_journal_of_a_newer_version_is_refused(path: Path) -> None:
    store = Store.create(path)
    folder = store.path / "0123456789abcdef"
    folder.mkdir()
    (folder / "journal.jsonl").write_text('{"header": {"format": 2}}\n{"new": "kind of record"}\n')
    with pytest.raises(StoreError, match=r"journal\.jsonl has format 2, newer than 1; update dfo-bench"):
        store.curves([folder.name])
    (path / MARKER).write_text('{"format": 2}')
    with pytest.raises(StoreError, match="has format 2, newer than 1; update dfo-bench"):
        Store(path)


def test_a_folder_that_is_no_store_is_left_alone(path: Path) -> None:
    path.mkdir()
    (path / "thesis.tex").write_text("precious")
    with pytest.raises(StoreError, match="exists and is not a dfo-bench store; name a new or an empty folder"):
        _sweep(path)
    assert [file.name for file in path.iterdir()] == ["thesis.tex"]


def test_a_file_in_place_of_a_store_is_refused(path: Path) -> None:
    path.write_text("precious")
    with pytest.raises(StoreError, match="is not a dfo-bench store"):
        _sweep(path)


def test_opening_a_store_that_is_none_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="does not exist; make one with: dfo-bench sweep"):
        Store(tmp_path / "nowhere")
    with pytest.raises(StoreError, match="is not a dfo-bench store"):
        Store(tmp_path)


def test_an_empty_store_has_empty_frames(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "store")
    assert (store.path / MARKER).is_file()
    assert (len(store.runs()), len(store.curves()), len(store.measures())) == (0, 0, 0)
    assert {"key", "task", "optimizer", "seed", "status"} <= set(store.runs().columns)


def test_improvements_are_the_rows_at_which_the_best_falls(path: Path) -> None:
    store = _sweep(path)
    curves, improvements = store.curves(), store.curves(improvements=True)
    for key, rows in improvements.groupby("key"):
        best = curves[curves["key"] == key]["best"].reset_index(drop=True)
        assert rows["best"].tolist() == sorted(best.unique(), reverse=True)


PROGRAM = """
import dfo_bench
store = dfo_bench.sweep(tasks=["toy"], optimizers=["odd", "random"], budget=20, store="store", workers=2)
print(store.runs()["status"].tolist())
"""


@pytest.mark.parametrize("read_from", ["a file", "standard input"])
def test_a_program_needs_no_main_guard_and_no_file(path: Path, read_from: str) -> None:
    (path.parent / "program.py").write_text(PROGRAM)
    command = [sys.executable, "program.py" if read_from == "a file" else "-"]
    done = subprocess.run(command, input=PROGRAM, cwd=path.parent, capture_output=True, text=True)
    assert done.stdout == "['finished', 'finished']\n", done.stderr
    assert "Traceback" not in done.stderr
