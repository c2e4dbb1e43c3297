"""Other people's runs in a store of ours."""

import json
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
from tests import toys

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
    }
    assert summary.provenance is None


def test_what_was_imported_before_is_left_as_it_is(tmp_path: Path) -> None:
    import_(put(tmp_path / "data"), tmp_path / "store")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("*.*")}
    notes = import_(put(tmp_path / "elsewhere"), tmp_path / "store")
    assert notes == ["imported: 0 runs", "left as they were: 2 runs that were there before"]
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("*.*")} == before
    # The same names over another curve are another run.
    import_(put(tmp_path / "data", rows=ROWS.replace("46.75", "46.5")), tmp_path / "store")
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
    # Ten decimals are what the logger writes.
    assert runs["best_loss"].tolist() == pytest.approx([expected[1], expected[2]], abs=1e-9)


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
        (INDEX | {"maximization": True}, ROWS, "maximises; only minimisation can be compared here"),
        ("{", ROWS, r"\.json is damaged; write it again, or move it away"),
        ("[" * 100_000, ROWS, r"\.json is damaged"),
        ("[]", ROWS, "is no index of IOHprofiler"),
        ({"version": "1"}, ROWS, "is no index of IOHprofiler: function_name: Field required"),
        (INDEX | {"function_name": ""}, ROWS, "function_name: String should have at least 1 character"),
        (scenario(dimension=0), ROWS, r"scenarios\.0\.dimension: Input should be greater than"),
        (scenario(path="../outside.dat"), ROWS, "'../outside.dat', which lies elsewhere or is named twice"),
        (scenario(path="/etc/passwd"), ROWS, "'/etc/passwd', which lies elsewhere"),
        (scenario(path="none.dat"), ROWS, r"none\.dat cannot be read: No such file"),
        (scenario(runs=INDEX["scenarios"][0]["runs"][:1]), ROWS, "has more runs than the 1 of its index"),
        (INDEX, ROWS.partition("evaluations raw_y x0 x1\n1 46")[0], "run 2 of 2 is missing"),
        (INDEX, ROWS.replace("30 82.75", "31 82.75"), "run 1 of 2 goes beyond its 30 evaluations"),
        (INDEX, ROWS.replace("raw_y", "transformed_y"), "line 1: no column raw_y"),
        (
            INDEX,
            ROWS.replace("evaluations raw_y", '"function evaluation" "current f(x)"'),
            "does not begin with the col",
        ),
        (INDEX, ROWS.replace("22.5 3.631789", "22.5"), "line 3: 3 cells, not 4"),
        (INDEX, ROWS.replace("22.5", "much"), "line 3: a cell is no number"),
        (INDEX, ROWS.replace("5 22.5", "2.5 22.5"), "the evaluations of a run must begin with 1 and ascend"),
        (INDEX, ROWS.replace("5 22.5", "nan 22.5"), "the evaluations of a run must begin with 1 and ascend"),
        (INDEX, ROWS.replace("1 63.25", "2 63.25"), "the evaluations of a run must begin with 1 and ascend"),
        (INDEX, ROWS.replace("5 22.5", "1 22.5"), "the evaluations of a run must begin with 1 and ascend"),
        (INDEX, ROWS.replace("1 46.75 0.118216 4.504637\n", ""), "the evaluations of a run must begin with 1"),
        (INDEX, "", "run 1 of 2 is missing"),
    ],
)
def test_damage_is_one_line_and_writes_nothing(tmp_path: Path, index: Any, rows: str, message: str) -> None:
    put(tmp_path / "data", index, rows)
    with pytest.raises(InputError, match=message) as raised:
        import_(tmp_path / "data", tmp_path / "store")
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("make", [Path.mkdir, lambda folder: None])
def test_a_folder_without_an_index_is_refused(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "data")
    with pytest.raises(InputError, match=r"data has no IOHprofiler_\*.json; name the folder that a logger"):
        import_(tmp_path / "data", tmp_path / "store")


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

    assert "imported: 1 runs" in dfo_bench("import", "iohprofiler", tmp_path / "ioh")
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
    assert commands(store.runs(), "s") == ["dfo-bench import iohprofiler DIR --store s  # for 2 imported runs"]


def test_a_sweep_does_not_take_an_imported_run_for_its_own(tmp_path: Path) -> None:
    import_(put(tmp_path / "data"), tmp_path / "store")
    summary = Store(tmp_path / "store").summary(next(iter(Store(tmp_path / "store"))))
    assert summary
    with pytest.raises(InputError, match=r"no projection named 'imported'|no optimizer named 'imported'"):
        execute(summary.spec, tmp_path / "store")
