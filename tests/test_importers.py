"""Other people's runs in a store of ours."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from dfo_bench.cli import app
from dfo_bench.errors import InputError
from dfo_bench.exchange import EXPORTS, IMPORTS
from dfo_bench.exchange.imported import ImportedRun
from dfo_bench.report.page.reproduce import commands
from dfo_bench.store.frames import IMPORTED
from dfo_bench.store.store import Store
from dfo_bench.store.verify import verify
from dfo_bench.sweeps.execute import execute
from tests import readers, toys

# Two runs as IOHexperimenter 0.3.22 writes them: improvements, the last evaluation, points beside the values.
INDEX: dict[str, Any] = {
    "version": "0.3.22",
    "suite": "unknown_suite",
    "function_id": 1,
    "function_name": "Sphere",
    "maximization": False,
    "algorithm": {"name": "my search", "info": "v1"},
    "attributes": ["evaluations", "raw_y"],
    "scenarios": [
        {
            "dimension": 2,
            "path": "data_f1_Sphere/IOHprofiler_f1_DIM2.dat",
            "runs": [
                {"instance": 1, "evals": 30, "best": {"evals": 5, "y": 22.5, "x": [3.6, 0.4]}},
                {"instance": 1, "evals": 20, "best": {"evals": 1, "y": 46.75, "x": [0.1, 4.5]}},
            ],
        }
    ],
}
ROWS = """evaluations raw_y x0 x1
1 63.25 1.369617 -2.302133
5 22.5 3.631789 0.414612
30 82.75 4.291042 -4.339175
evaluations raw_y x0 x1
1 46.75 0.118216 4.504637
"""


def put(folder: Path, index: Any = INDEX, rows: str = ROWS) -> Path:
    (folder / "data_f1_Sphere").mkdir(parents=True, exist_ok=True)
    text = index if isinstance(index, str) else json.dumps(index)
    (folder / "IOHprofiler_f1_Sphere.json").write_text(text)
    (folder / "data_f1_Sphere" / "IOHprofiler_f1_DIM2.dat").write_text(rows)
    return folder


def import_(folder: Path, store: Path) -> list[str]:
    return IMPORTS["iohprofiler"](folder, store)


def test_imported_runs_are_told_apart_and_hold_what_was_logged(tmp_path: Path) -> None:
    assert import_(put(tmp_path / "data"), tmp_path / "store") == ["imported: 2 runs"]
    store = Store(tmp_path / "store")
    runs = store.runs().set_index("seed")
    assert set(runs[["task", "optimizer", "projection", "status"]].itertuples(index=False, name=None)) == {
        ("Sphere", "my search", IMPORTED, "finished")
    }
    assert runs["budget"].tolist() == [30, 30]
    assert runs["evaluations"].tolist() == [30, 20]
    assert runs["best_loss"].tolist() == [22.5, 46.75]
    assert runs[["task_seconds", "optimizer_seconds", "optimum"]].isna().all(axis=None)
    key = str(runs.loc[0, "key"])
    curve = store.curves([key])
    assert curve["evaluation"].tolist() == [1, 5, 30]
    assert curve["loss"].tolist() == [63.25, 22.5, 82.75]
    assert curve["best"].tolist() == [63.25, 22.5, 22.5]
    assert set(curve["digest"]) == {""}
    summary = store.summary(key)
    assert summary
    assert summary.imported == {
        "file": "data_f1_Sphere/IOHprofiler_f1_DIM2.dat",
        "run": 1,
        "instance": 1,
        "suite": "unknown_suite",
        "algorithm_info": "v1",
        "version": "0.3.22",
        "negated": False,
    }
    assert summary.provenance is None


def test_what_was_imported_before_is_left_as_it_is(tmp_path: Path) -> None:
    import_(put(tmp_path / "data"), tmp_path / "store")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("*.*")}
    notes = import_(put(tmp_path / "elsewhere"), tmp_path / "store")
    assert notes == ["imported: 0 runs", "left as they were: 2 runs from before"]
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("*.*")} == before
    # The same names over another curve are another run.
    import_(put(tmp_path / "data", rows=ROWS.replace("63.25", "62.5")), tmp_path / "store")
    assert len(Store(tmp_path / "store").runs()) == 3


def test_a_logger_of_ioh_can_be_read(tmp_path: Path) -> None:
    ioh = pytest.importorskip("ioh", reason="needs ioh, which dfo-bench[dev] installs")
    logger = ioh.logger.Analyzer(root=str(tmp_path), folder_name="data", algorithm_name="uniform", store_positions=True)
    expected = {}
    for instance in (1, 2):
        problem = ioh.get_problem(1, instance, 3, ioh.ProblemClass.BBOB)
        problem.attach_logger(logger)
        rng = np.random.default_rng(instance)
        expected[instance] = min(problem(rng.uniform(-5, 5, 3)) for _ in range(40)) - problem.optimum.y
        problem.reset()
    logger.close()
    import_(tmp_path / "data", tmp_path / "store")
    runs = Store(tmp_path / "store").runs().set_index("seed")
    assert runs["evaluations"].tolist() == [40, 40]
    # Rows have ten decimals, the index has all digits of the best.
    assert runs["best_loss"].tolist() == pytest.approx([expected[1], expected[2]], rel=1e-13)


def test_seeds_are_those_given_else_instances_else_the_order(tmp_path: Path) -> None:
    def seeds(name: str, *runs: dict[str, Any]) -> list[int]:
        entries = [{"evals": 1, **run} for run in runs]
        index = {**INDEX, "scenarios": [{**INDEX["scenarios"][0], "runs": entries}]}
        import_(put(tmp_path / name, index, "evaluations raw_y\n1 0.5\n" * len(runs)), tmp_path / f"{name} store")
        return sorted(Store(tmp_path / f"{name} store").runs()["seed"])

    assert seeds("given", {"instance": 1, "seed": 7}, {"instance": 1, "seed": 3}) == [3, 7]
    assert seeds("instances", {"instance": 5, "seed": 7}, {"instance": 2, "seed": 7}) == [1, 4]
    assert seeds("order", {"instance": 0}, {"instance": 0}) == [0, 1]
    assert seeds("text", {"instance": 1, "seed": "x"}, {"instance": 2, "seed": 1.5}) == [0, 1]


def scenario(**changes: Any) -> dict[str, Any]:
    return {**INDEX, "scenarios": [{**INDEX["scenarios"][0], **changes}]}


@pytest.mark.parametrize(
    ("index", "rows", "message"),
    [
        ("{", ROWS, r"Sphere\.json: it is damaged: Expecting"),
        ("[" * 100_000, ROWS, r"Sphere\.json: it is damaged"),
        ("[]", ROWS, "it is no index"),
        ({"version": "1"}, ROWS, "it is no index: function_name: Field required"),
        (INDEX | {"function_name": ""}, ROWS, "function_name: String should have at least 1 character"),
        (scenario(dimension=0), ROWS, r"scenarios\.0\.dimension: Input should be greater than"),
        (scenario(path="../outside.dat"), ROWS, "'../outside.dat', which lies outside of the folder"),
        (scenario(path="/etc/passwd"), ROWS, "'/etc/passwd', which lies outside of the folder"),
        (scenario(path="none.dat"), ROWS, r"none\.dat cannot be read: No such file"),
        (scenario(runs=[]), ROWS, r"DIM2\.dat, run 1: its index does not list it"),
        (INDEX, ROWS.replace("raw_y", "transformed_y"), "run 1: it has no column raw_y"),
        (INDEX, ROWS.replace("x0", "F2"), r"run 1: it has several objectives \(a column F2\), and only one"),
        (INDEX, "1 63.25\n2 22.5\n", "run 1: no line names its columns"),
        (INDEX, "", "run 1: it has no rows"),
        (INDEX, "evaluations raw_y\n" * 2, "run 1: it has no rows"),
        (INDEX, "\x00\xff" * 99, "run 1: no line names its columns"),
    ],
)
def test_where_no_run_is_whole_one_line_says_so_and_nothing_is_written(
    tmp_path: Path, index: Any, rows: str, message: str
) -> None:
    put(tmp_path / "data", index, rows)
    with pytest.raises(InputError, match=f"data has no whole run: .*{message}.*; log it again") as raised:
        import_(tmp_path / "data", tmp_path / "store")
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "store").exists()


SECOND = ROWS.rpartition("evaluations")[2].partition("\n")[2]


@pytest.mark.parametrize(
    ("rows", "left_out"),
    [
        (ROWS.replace(SECOND, ""), "run 2: it has no rows"),
        (ROWS.replace("1 46.75 0.118216 4.504637", "1 46.75"), "run 2: line 6 has 2 cells, not 4"),
        (ROWS.replace("46.75", "much"), "run 2: line 6 has a cell that is no number"),
        (ROWS.replace("1 46", "1.5 46"), "run 2: its evaluations are not whole numbers from 1 that ascend"),
        (ROWS.replace("1 46", "nan 46"), "run 2: its evaluations are not whole numbers from 1 that ascend"),
        (ROWS.replace("1 46", "0 46"), "run 2: its evaluations are not whole numbers from 1 that ascend"),
        (ROWS + "3 40.5 0 0\n2 41.5 0 0\n", "run 2: its evaluations are not whole numbers from 1 that ascend"),
        (ROWS + "3000000000 40.5 0 0\n", "run 2: it has more than 2147483647 evaluations"),
        (ROWS.rstrip("\n"), "run 2: its last line is cut off"),
        (ROWS + ROWS.partition("5 22")[0], "run 3: its index does not list it, so it was not finished"),
    ],
)
def test_a_broken_run_is_named_and_the_whole_ones_are_imported(tmp_path: Path, rows: str, left_out: str) -> None:
    notes = import_(put(tmp_path / "data", rows=rows), tmp_path / "store")
    assert notes[1:] == [f"left out: data_f1_Sphere/IOHprofiler_f1_DIM2.dat, {left_out}"]
    runs = Store(tmp_path / "store").runs()
    assert runs.set_index("seed").loc[0, "best_loss"] == 22.5
    assert len(runs) == (2 if "run 3" in left_out else 1)


ADAPTED = ["new", "old"]
"""The loggers of today, and of before 2022, whose index is a file `.info`."""

KILLED = """
import os, sys, ioh
logger = (ioh.logger.old if sys.argv[1] == "old" else ioh.logger).Analyzer(root=sys.argv[2], folder_name="data")
for number in range(1, 7):
    if number in (1, 5):
        problem = ioh.get_problem(number, 1, 2, ioh.ProblemClass.BBOB)
        problem.attach_logger(logger)
    for i in range(20):
        problem([4.0 - number - i / 9, 1.0])
        if number == int(sys.argv[3]) and i == 9:
            os.kill(os.getpid(), 9)
    problem.reset()
"""


@pytest.mark.parametrize("logger", ADAPTED)
@pytest.mark.parametrize(
    ("killed", "left_out"),
    [
        (4, "data_f1_Sphere/IOHprofiler_f1_DIM2.dat, run 4: its index does not list it, so it was not finished"),
        (5, "data_f5_LinearSlope/IOHprofiler_f5_DIM2.dat"),
        (6, "data_f5_LinearSlope/IOHprofiler_f5_DIM2.dat, run 2: its index does not list it, so it was not finished"),
    ],
)
def test_of_a_job_that_was_killed_the_whole_runs_are_imported(
    tmp_path: Path, logger: str, killed: int, left_out: str
) -> None:
    pytest.importorskip("ioh", reason="needs ioh, which dfo-bench[dev] installs")
    subprocess.run([sys.executable, "-c", KILLED, logger, str(tmp_path), str(killed)], check=False, timeout=60)
    notes = import_(tmp_path / "data", tmp_path / "store")
    assert notes[0] == f"imported: {killed - 1} runs"
    assert notes[1].startswith(f"left out: {left_out}")
    assert len(notes) == 2
    assert set(Store(tmp_path / "store").runs()["evaluations"]) == {20}


@pytest.mark.parametrize("logger", ADAPTED)
def test_a_maximised_problem_is_negated_and_says_so(tmp_path: Path, logger: str) -> None:
    ioh = pytest.importorskip("ioh", reason="needs ioh, which dfo-bench[dev] installs")
    loggers = ioh.logger if logger == "new" else ioh.logger.old
    log = loggers.Analyzer(root=str(tmp_path), folder_name="data", algorithm_name="(1+1), a = b")
    problem = ioh.get_problem(1, 2, 6, ioh.ProblemClass.PBO)
    problem.attach_logger(log)
    for ones in (2, 5, 3):
        problem([1] * ones + [0] * (6 - ones))
    best = problem.state.current_best_internal.y
    problem.reset()
    del log, problem
    notes = import_(tmp_path / "data", tmp_path / "store")
    assert notes == ["imported: 1 run", "negated, because they are maximised: OneMax"]
    store = Store(tmp_path / "store")
    run = store.runs().iloc[0]
    assert (run["task"], run["optimizer"]) == ("OneMax (negated)", "(1+1), a = b")
    assert (run["best_loss"], run["evaluations"]) == (-best, 3)
    summary = store.summary(run["key"])
    assert summary
    assert summary.imported
    assert summary.imported["negated"]
    assert "OneMax (negated)" in str(summary.spec.task)


OLD = """suite = 'PBO', funcId = {function}, DIM = 3, algId = 'A, b', algInfo = 'it''s'
%
data_f7\\IOHprofiler_f7_DIM3.dat, 1:4|3, 1:4|3
"""
RISING = '"function evaluation" "current f(x)" "best-so-far f(x)" "rate" \n1 1 1 .5\n2 0 1 .5\n4 3 3 .5\n'


@pytest.mark.parametrize(
    ("rows", "losses", "name"),
    [
        (RISING, [-1, 0, -3], "f7 (negated)"),
        (RISING.replace("1 1 1", "1 9 9").replace("0 1", "9 9"), [9, 9, 3], "f7"),
        (
            RISING.replace('"current f(x)" ', "").replace("1 1 1", "1\t1").replace("0 1", "1").replace("3 3", "3"),
            [-1, -3],
            "f7 (negated)",
        ),
    ],
)
def test_an_index_of_the_first_years_is_read_and_the_rows_say_whether_it_maximises(
    tmp_path: Path, rows: str, losses: list[float], name: str
) -> None:
    (tmp_path / "data" / "data_f7").mkdir(parents=True)
    (tmp_path / "data" / "IOHprofiler_f7.info").write_text(OLD.format(function=7))
    (tmp_path / "data" / "data_f7" / "IOHprofiler_f7_DIM3.dat").write_text(rows * 2)
    import_(tmp_path / "data", tmp_path / "store")
    store = Store(tmp_path / "store")
    runs = store.runs()
    assert set(runs[["task", "optimizer", "dim", "budget"]].itertuples(index=False, name=None)) == {
        (name, "A, b", 3, 4)
    }
    assert store.curves([runs["key"].iloc[0]])["loss"].tolist() == losses


def test_rows_at_other_moments_are_read_where_those_of_improvements_are_not_there(tmp_path: Path) -> None:
    data = put(tmp_path / "data") / "data_f1_Sphere" / "IOHprofiler_f1_DIM2.dat"
    data.rename(data.with_suffix(".cdat"))
    assert import_(tmp_path / "data", tmp_path / "store") == ["imported: 2 runs"]


def test_logs_of_many_folders_are_imported_at_once(tmp_path: Path) -> None:
    for name, rows in (("a", ROWS), ("deep/b", ROWS.replace("63.25", "64.5")), ("c", "nothing")):
        put(tmp_path / "data" / name, rows=rows)
    notes = import_(tmp_path / "data", tmp_path / "store")
    assert notes == [
        "imported: 4 runs",
        "left out: c/data_f1_Sphere/IOHprofiler_f1_DIM2.dat, run 1: no line names its columns",
        "left out: c/data_f1_Sphere/IOHprofiler_f1_DIM2.dat, run 2: it has no rows",
    ]
    assert Store(tmp_path / "store").runs()["seed"].tolist() == [0, 1, 4, 5]


@pytest.mark.parametrize("best", [{}, {"best": {"evals": 0, "y": None, "x": []}}])
def test_an_index_that_counts_no_evaluations_is_taken_at_its_rows(tmp_path: Path, best: dict[str, Any]) -> None:
    import_(put(tmp_path / "data", scenario(runs=[{"instance": 1, "evals": 0, **best}] * 2)), tmp_path / "store")
    assert Store(tmp_path / "store").runs().set_index("seed")["evaluations"].to_dict() == {0: 30, 1: 1}


def test_a_killed_job_whose_index_counts_no_evaluations_keeps_its_whole_runs(tmp_path: Path) -> None:
    index = scenario(runs=[{"instance": 1, "evals": 0}] * 2)
    notes = import_(put(tmp_path / "data", index, ROWS + "evaluations raw_y x0 x1\n1 5.5 0 0\n"), tmp_path / "store")
    assert notes[0] == "imported: 2 runs"
    assert "run 3: its index does not list it" in notes[1]


def test_an_algorithm_without_a_name_is_called_by_its_folder(tmp_path: Path) -> None:
    import_(put(tmp_path / "mine", INDEX | {"algorithm": {"name": ""}}), tmp_path / "store")
    assert set(Store(tmp_path / "store").runs()["optimizer"]) == {"mine"}


def test_folders_may_be_links_and_named_from_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = put(tmp_path / "data") / "data_f1_Sphere"
    rows.rename(tmp_path / "elsewhere")
    rows.symlink_to(tmp_path / "elsewhere")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert import_(Path("../data"), tmp_path / "store") == ["imported: 2 runs"]


def test_a_run_that_was_reset_before_an_evaluation_takes_nobodys_rows(tmp_path: Path) -> None:
    first, second = INDEX["scenarios"][0]["runs"]
    index = scenario(runs=[first, {"instance": 1, "evals": 0}, second])
    assert import_(put(tmp_path / "data", index), tmp_path / "store") == ["imported: 2 runs"]
    header = ROWS.partition("\n")[0] + "\n"
    assert import_(put(tmp_path / "other", rows=header + ROWS), tmp_path / "other store") == ["imported: 2 runs"]
    losses = [set(Store(tmp_path / name).runs()["best_loss"]) for name in ("store", "other store")]
    assert losses == [{22.5, 46.75}] * 2


def test_a_run_that_was_not_logged_from_its_first_evaluation_can_be_written_again(tmp_path: Path) -> None:
    import_(put(tmp_path / "data", rows=ROWS.replace("1 63.25", "4 63.25")), tmp_path / "store")
    store = Store(tmp_path / "store")
    assert sorted(store.curves()["evaluation"]) == [1, 4, 5, 30]
    for name in ("iohprofiler", "coco"):
        EXPORTS[name](store, tmp_path / name)
    _, rows = readers.iohinspector(tmp_path / "iohprofiler", monotonic=False)
    assert sorted(rows["evaluations"]) == [1, 1, 4, 5, 30]
    assert readers.cocopp(tmp_path / "coco")["said"].tolist() == [[30, 20]]


def test_a_loss_that_ioh_could_not_write_is_a_failure(tmp_path: Path) -> None:
    import_(put(tmp_path / "data", rows=ROWS.replace("63.25", "None")), tmp_path / "store")
    curve = Store(tmp_path / "store").curves()
    assert curve["loss"].isna().sum() == 1
    assert curve["best"].tolist().count(np.inf) == 1


@pytest.mark.parametrize("make", [Path.mkdir, lambda folder: None])
def test_a_folder_without_an_index_is_refused(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "data")
    with pytest.raises(InputError, match=r"data has no IOHprofiler_\*\.json or \.info; name the folder that a logger"):
        import_(tmp_path / "data", tmp_path / "store")


def test_files_of_coco_are_told_from_those_of_iohprofiler(tmp_path: Path) -> None:
    (tmp_path / "bbobexp_f1.info").write_text("funcId = 1, DIM = 2, algId = 'a'\n%\ndata_f1/f1.dat, 1:3|1e-9\n")
    with pytest.raises(InputError, match="; for files of COCO: dfo-bench import coco"):
        import_(tmp_path, tmp_path / "store")


def test_a_name_cannot_steer_a_terminal(tmp_path: Path) -> None:
    index = INDEX | {"function_name": "a\x1b[31m\nb", "algorithm": {"name": "[bold]<b>'\"", "info": ""}}
    import_(put(tmp_path / "data", index), tmp_path / "store")
    run = Store(tmp_path / "store").runs().iloc[0]
    assert (run["task"], run["optimizer"]) == ("a?[31m?b", "[bold]<b>'\"")


losses = st.floats(allow_nan=True, allow_infinity=True, width=64)
printable = st.characters(categories=["L", "M", "N", "P", "S"], include_characters=" ")
names = st.text(printable, min_size=1, max_size=12)


@st.composite
def curves(draw: st.DrawFn) -> tuple[list[int], list[float], list[float]]:
    gaps = draw(st.lists(st.integers(1, 5), max_size=12))
    evaluation = np.cumsum([1, *gaps]).tolist()
    seconds = st.lists(st.floats(0, 1e6), min_size=len(evaluation), max_size=len(evaluation))
    return evaluation, draw(st.lists(losses, min_size=len(evaluation), max_size=len(evaluation))), draw(seconds)


@settings(max_examples=20, deadline=None)
@given(
    runs=st.dictionaries(
        st.tuples(names, names, st.integers(1, 3), st.integers(0, 3)), curves(), min_size=1, max_size=6
    )
)
def test_what_is_exported_and_imported_is_the_same(
    tmp_path_factory: pytest.TempPathFactory, runs: dict[Any, Any]
) -> None:
    folder = tmp_path_factory.mktemp("trip")
    store = Store.create(folder / "store")
    ends: dict[Any, int] = {}
    for (*group, _), (evaluation, *_) in runs.items():
        ends[tuple(group)] = max(ends.get(tuple(group), 0), evaluation[-1])
    for (function, algorithm, dim, seed), (evaluation, loss, seconds) in runs.items():
        ImportedRun(
            function=function,
            algorithm=algorithm,
            dim=dim,
            budget=ends[function, algorithm, dim],
            seed=seed,
            spent=evaluation[-1],
            source={},
            evaluation=np.array(evaluation),
            # Minus infinity is a failure like nan, and written as such.
            loss=np.array([np.nan if value == -np.inf else value for value in loss]),
            seconds=np.array([seconds, [np.nan] * len(seconds)]).T,
        ).write(store.path)
    EXPORTS["iohprofiler"](store, folder / "ioh")
    import_(folder / "ioh", folder / "again")
    again = Store(folder / "again")
    pd.testing.assert_frame_equal(store.runs(), again.runs())
    for key in store:
        pd.testing.assert_frame_equal(store.curves([key]), again.curves([key]), check_exact=True)


def test_every_command_takes_imported_runs_beside_own_ones(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "store")
    execute(toys.planned("sphere:dim=20", "cma", dim=3, budget=12), store.path)
    EXPORTS["iohprofiler"](store, tmp_path / "ioh")
    put(tmp_path / "data")

    def dfo_bench(*arguments: str | Path) -> str:
        done = CliRunner().invoke(app, [*map(str, arguments), "--store", str(store.path)])
        assert done.exit_code == 0, done.output
        return done.output

    assert "imported: 1 run" in dfo_bench("import", "iohprofiler", tmp_path / "ioh")
    assert "imported: 2 runs" in dfo_bench("import", "iohprofiler", tmp_path / "data")
    assert "4 finished" in dfo_bench("status")
    assert json.loads(dfo_bench("status", "--json"))
    dfo_bench("report")
    page = (store.path / "report.html").read_text()
    assert all(name in page for name in ("my search · imported", "cma · normal · imported", "cma · normal"))
    dfo_bench("plot", "curve", "--output", tmp_path / "curve.png")
    for name in ("iohprofiler", "coco", "csv", "parquet"):
        dfo_bench("export", name, tmp_path / name)
    runs = store.runs().query("task == 'sphere:dim=20'")
    assert runs["best_loss"].nunique() == 1
    dfo_bench("run", "-t", "sphere:dim=20", "-o", "cma", "-d", "3", "-b", "12")
    assert len(store.runs()) == 4


@pytest.mark.filterwarnings("error")
def test_failures_before_the_first_success_are_no_improvements(tmp_path: Path) -> None:
    rows = "evaluations raw_y\n1 nan\n2 nan\n30 3.0\nevaluations raw_y\n1 inf\n2 inf\n"
    import_(put(tmp_path / "data", rows=rows), tmp_path / "store")
    assert Store(tmp_path / "store").curves(improvements=True)["evaluation"].tolist() == [30]


def test_a_run_of_any_name_does_not_end_the_verification(tmp_path: Path) -> None:
    import_(put(tmp_path / "data", {**INDEX, "function_name": "a:b, 'q\""}), tmp_path / "store")
    verdicts = list(verify(Store(tmp_path / "store")))
    assert [verdict.run for verdict in verdicts] == [f"my search on a:b, 'q\", imported, seed {n}" for n in range(2)]
    assert all("named 'imported'" in verdict.problems[0] for verdict in verdicts)


def test_the_commands_of_a_report_import_what_was_imported(tmp_path: Path) -> None:
    import_(put(tmp_path / "data"), tmp_path / "store")
    store = Store(tmp_path / "store")
    assert commands(store.runs(), "s") == ["dfo-bench import FORMAT DIR --store s  # for 2 imported runs"]


def test_a_sweep_does_not_take_an_imported_run_for_its_own(tmp_path: Path) -> None:
    import_(put(tmp_path / "data"), tmp_path / "store")
    summary = Store(tmp_path / "store").summary(next(iter(Store(tmp_path / "store"))))
    assert summary
    with pytest.raises(InputError, match=r"no projection named 'imported'|no optimizer named 'imported'"):
        execute(summary.spec, tmp_path / "store")
