"""What we write, as the programs it is for read it: they swallow errors, so counts and values are compared."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from dfo_bench.cli import app
from dfo_bench.errors import InputError
from dfo_bench.exchange import EXPORTS
from dfo_bench.exchange.coco_writer import CEILING
from dfo_bench.exchange.imported import ImportedRun
from dfo_bench.exchange.suite import FUNCTIONS
from dfo_bench.plugins.component import parse
from dfo_bench.runs.spec import RunSpec
from dfo_bench.store.store import Store
from dfo_bench.sweeps.execute import execute
from tests import readers, toys

RUNS = [
    ("toy", "random", 10),
    ("toy", "random", 2),
    ("toy", "odd:fail=third", 10),
    ("toy:fail=nan", "random", 10),
    ("toy:fail=minus-inf", "random", 10),
    ("toy:fail=always", "random", 10),
    ("toy:dim=90", "random", 80),
    ("sphere:dim=20", "cma:popsize=8", 5),
]
SEEDS = (0, 1)
CURVES = ["iohprofiler", "coco", "csv", "parquet"]
"""The formats of curves; those of prompts have tests of their own."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Return a store of runs of every fate, one of them unfinished, one without an evaluation."""
    folder = tmp_path_factory.mktemp("toys")
    with pytest.MonkeyPatch.context() as patch:
        toys.declare(folder, patch)
        store = Store.create(folder / "store")
        specs = [toys.planned(t, o, dim=d, budget=40, seed=s) for t, o, d in RUNS for s in SEEDS]
        specs.append(RunSpec(parse("toy"), parse("odd:fail=constructor"), parse("normal"), dim=10, budget=40))
        for spec in specs:
            execute(spec, store.path)

        toys.interrupt(toys.planned("toy", "odd", dim=10, budget=40), store.path, 20)
        yield store


@pytest.fixture(scope="module")
def ioh(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(store, "iohprofiler", tmp_path_factory.mktemp("ioh"))


@pytest.fixture(scope="module")
def coco(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(store, "coco", tmp_path_factory.mktemp("coco"))


def exported(store: Store, name: str, folder: Path) -> Path:
    EXPORTS[name](store, folder / "out")
    return folder / "out"


def ours(store: Store) -> pd.DataFrame:
    """Return every evaluation, with its run's names as the exports have them."""
    runs = store.runs()
    runs["algorithm"] = runs["optimizer"] + " · " + runs["projection"]
    frame = store.curves().merge(runs[["key", "task", "algorithm", "dim", "seed", "status"]], on="key")
    frame["loss"] = frame["loss"].where(frame["loss"] > -np.inf)
    return frame


def test_the_store_holds_runs_of_every_fate(store: Store) -> None:
    assert store.runs()["status"].value_counts().to_dict() == {"finished": 12, "failed": 5, "unfinished": 1}
    losses = store.curves()["loss"]
    assert losses.isna().any()
    assert np.isneginf(losses).any()


def test_iohinspector_reads_every_evaluation(store: Store, ioh: Path) -> None:
    _, rows = readers.iohinspector(ioh, monotonic=False)
    names = {"function_name": "task", "algorithm_name": "algorithm", "dimension": "dim", "evaluations": "evaluation"}
    found, expected = rows.rename(columns=names), ours(store)
    keys = ["task", "algorithm", "dim", "seed", "evaluation"]
    assert len(found) == len(expected) > 500
    both = expected.merge(found, on=keys, suffixes=("", "_read"))
    assert len(both) == len(expected)
    for column in ("loss", "task_seconds", "optimizer_seconds"):
        read = both["raw_y" if column == "loss" else f"{column}_read"]
        np.testing.assert_array_equal(both[column].to_numpy(float), read.to_numpy(float))
    assert (both["instance"] == both["seed"] + 1).all()


def test_iohinspector_sees_the_incumbents_that_we_see(store: Store, ioh: Path) -> None:
    overview, rows = readers.iohinspector(ioh, monotonic=True)
    runs = store.runs().query("evaluations > 0")
    assert len(overview) == len(runs)
    assert sorted(overview["evals"]) == sorted(runs["evaluations"])
    names = ["function_name", "algorithm_name", "dimension", "instance"]
    last = rows.sort_values("evaluations").groupby(names)["raw_y"].last().reset_index()
    both = last.merge(overview, on=names)
    assert len(both) == len(runs)
    failed = both["best_y"].isna()
    assert set(both.loc[failed, "function_name"]) == {"toy:fail=always"}
    np.testing.assert_array_equal(both.loc[~failed, "raw_y"], both.loc[~failed, "best_y"])
    best = runs["best_loss"][np.isfinite(runs["best_loss"])]
    np.testing.assert_array_equal(np.sort(both.loc[~failed, "best_y"]), np.sort(best))


def test_files_of_iohprofiler_give_the_reader_nothing_to_run(ioh: Path) -> None:
    for path in ioh.rglob("IOHprofiler_*.json"):
        index = json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
        assert "experiment_attributes" not in index
        assert index["attributes"] == ["evaluations", "raw_y", "seed", "task_seconds", "optimizer_seconds"]
        for scenario in index["scenarios"]:
            text = (path.parent / scenario["path"]).read_text()
            header = f"{' '.join(index['attributes'])}\n"
            assert re.findall(r"\n?evaluations.*\n(\S+)", text) == ["1"] * len(scenario["runs"])
            assert text.count(header) == len(scenario["runs"])


def test_cocopp_reads_every_curve(store: Store, coco: Path) -> None:
    found = readers.cocopp(coco)
    ids = pd.read_csv(coco / FUNCTIONS).set_index("task")["function"].to_dict()
    expected = ours(store)
    groups = {
        (re.sub(r"\W+", "_", str(algorithm).replace("=", "EQ")).replace("EQ", "="), ids[task], dim): rows
        for (algorithm, task, dim), rows in expected.groupby(["algorithm", "task", "dim"])
    }
    assert set(zip(found["algorithm"], found["function"], found["dim"], strict=True)) == set(groups)
    for one in found.to_dict("records"):
        rows = groups[one["algorithm"], one["function"], one["dim"]]
        task = rows["task"].iloc[0]
        finite = expected.loc[(expected["task"] == task) & np.isfinite(expected["best"]), "best"]
        reference = 0.0 if task == "sphere:dim=20" or finite.empty else finite.min()
        curves = [(run["best"] - reference).clip(upper=CEILING).to_numpy() for _, run in rows.groupby("seed")]
        assert one["instances"] == [seed + 1 for seed in sorted(set(rows["seed"]))]
        assert one["said"] == [len(curve) for curve in curves]
        assert one["suite"] == ("bbob-largescale" if one["dim"] == 80 else "bbob")
        read = np.array(one["curves"])
        np.testing.assert_array_equal(read[:, 0], np.arange(1, len(read) + 1))
        np.testing.assert_array_equal(read[:, 1:], np.column_stack(curves))
        np.testing.assert_array_equal(one["final"], [curve[-1] for curve in curves])
        said = "the optimum" if task == "sphere:dim=20" else "the best loss of all exported runs, not a known optimum"
        assert f"'{task}', not a function of COCO; Fopt is {said};" in one["comment"]


def test_iohinspector_reads_the_files_of_coco_too(store: Store, coco: Path) -> None:
    overview, rows = readers.iohinspector(coco, monotonic=False)
    assert len(overview) == (store.runs()["evaluations"] > 0).sum()
    assert len(rows) == len(store.curves())


def test_the_first_and_the_last_row_of_every_run_stand_in_both_files_of_coco(coco: Path) -> None:
    for path in coco.rglob("*.*dat"):
        blocks = [block.splitlines()[1:] for block in path.read_text().split("% f eval")[1:]]
        (line,) = re.findall(
            rf"{path.stem}.dat, (.*)", "\n".join(p.read_text() for p in path.parents[1].glob("*.info"))
        )
        ends = [entry.split("|")[0].split(":")[1] for entry in line.split(", ")]
        assert [block[0].split()[0] for block in blocks] == ["1"] * len(ends)
        assert [block[-1].split()[0] for block in blocks] == ends


@pytest.mark.parametrize("name", ["csv", "parquet"])
def test_long_frames_hold_every_evaluation_to_the_bit(store: Store, tmp_path: Path, name: str) -> None:
    notes = EXPORTS[name](store, tmp_path / "new" / f"all.{name}")
    assert notes == [
        "left out: 1 run without an evaluation",
        "written up to the last evaluation: 5 runs, failed or unfinished",
    ]
    path = tmp_path / "new" / f"all.{name}"
    read = pd.read_csv(path, dtype={"key": str, "digest": str}) if name == "csv" else pd.read_parquet(path)
    runs = store.runs()
    named = ["key", "task", "optimizer", "projection", "dim", "budget", "dev_every", "selection", "seed", "status"]
    expected = store.curves().merge(runs[named], on="key")[read.columns]
    assert list(read.columns[: len(named)]) == named
    order = ["key", "evaluation"]
    pd.testing.assert_frame_equal(
        read.sort_values(order, ignore_index=True), expected.sort_values(order, ignore_index=True), check_dtype=False
    )


def test_an_algorithm_is_one_over_dimensions_and_another_with_another_budget(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "store")
    for dim, budget in ((2, 5), (2, 6), (3, 5)):
        execute(toys.planned("sphere:dim=20", "random", dim=dim, budget=budget), store.path)
    EXPORTS["iohprofiler"](store, tmp_path / "out")
    overview, _ = readers.iohinspector(tmp_path / "out", monotonic=False)
    assert overview.groupby("algorithm_name")["dimension"].apply(sorted).to_dict() == {
        "random · normal · budget=5": [2, 3],
        "random · normal · budget=6": [2],
    }


@pytest.mark.parametrize("name", ["iohprofiler", "coco"])
def test_a_task_keeps_its_id(store: Store, tmp_path: Path, name: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / FUNCTIONS).write_text('function,task\n3,toy\n1,"an older, other task"\n')
    EXPORTS[name](store, tmp_path / "out")
    ids = pd.read_csv(tmp_path / "out" / FUNCTIONS).set_index("task")["function"]
    assert ids["toy"] == 3
    assert ids["an older, other task"] == 1
    assert sorted(ids) == list(range(1, 8))
    with pytest.raises(
        InputError, match=r"out is not empty; name a new folder, or one with nothing but a functions\.csv"
    ):
        EXPORTS[name](store, tmp_path / "out")


@pytest.mark.parametrize(
    "text", ["x", "function,task\n1,a\n1,b", "function,task\nx,a", "function,task\n70000,a", "h\n1"]
)
def test_a_damaged_file_of_ids_is_refused(store: Store, tmp_path: Path, text: str) -> None:
    (tmp_path / FUNCTIONS).write_text(text)
    if text == "x":
        EXPORTS["coco"](store, tmp_path)  # a header alone holds no ids
    else:
        with pytest.raises(InputError, match=r"functions\.csv (is damaged|has an id twice, or one out of range)"):
            EXPORTS["coco"](store, tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == [FUNCTIONS]


def test_what_16_bits_cannot_hold_is_left_out_and_said(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "store")
    for dim, seed in ((70_000, 0), (10, 65_535), (65_535, 65_534)):
        execute(toys.planned(f"sphere:dim={dim}", "random", "identity", budget=1, seed=seed), store.path)
    for name in ("iohprofiler", "coco"):
        notes = EXPORTS[name](store, tmp_path / name)
        assert notes[0] == "left out: 2 runs of a dimension or a seed that 16 bits cannot hold"
    overview, rows = readers.iohinspector(tmp_path / "iohprofiler", monotonic=False)
    assert (overview["dimension"].item(), overview["instance"].item(), len(rows)) == (65_535, 65_535, 1)


@pytest.mark.parametrize("name", ["iohprofiler", "coco"])
def test_no_name_leads_out_of_its_folder_or_into_that_of_another(tmp_path: Path, name: str) -> None:
    store = Store.create(tmp_path / "store")
    names = ["my alg", "My/Alg", "../my alg", "'; import os", "%", "\N{LATIN SMALL LETTER E WITH ACUTE}" * 300]
    for number, text in enumerate(names):
        curve = np.array([1, 2]), np.array([1.5, number]), np.full((2, 2), np.nan)
        ImportedRun(text, text, 5, 2, 0, 2, {}, *curve).write(store.path)
    EXPORTS[name](store, tmp_path / "one" / "out")
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["out"]
    folders = {path.name.lower() for path in (tmp_path / "one" / "out").iterdir() if path.is_dir()}
    assert folders == {
        "my_alg_imported",
        "my_alg_imported-2",
        "my_alg_imported-3",
        "import_os_imported",
        "imported",
        "imported-2",
    }
    overview, rows = readers.iohinspector(tmp_path / "one" / "out", monotonic=False)
    assert len(overview) == len(names)
    assert len(rows) == 2 * len(names)


def imported(store: Store, losses: dict[int, list[float]], optimum: float | None = None) -> None:
    """Write runs of these losses, by seed."""
    for seed, loss in losses.items():
        curve = np.arange(1, len(loss) + 1), np.array(loss), np.full((len(loss), 2), np.nan)
        ImportedRun("f", "a", 5, len(loss), seed, len(loss), {}, *curve, optimum=optimum).write(store.path)


ENDS = [-1.7e308, -1e308, -5e-324, 0.1 + 0.2, 1e-17, 1 / 3, 2.0**-1074, 1e300, 1.7976931348623157e308]


def test_every_number_is_written_to_the_last_bit_and_to_the_ends_of_floats(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "store")
    losses = {seed: list(np.roll(ENDS, seed)) for seed in range(len(ENDS))}
    imported(store, losses)
    given = np.concatenate(list(losses.values()))
    for name in CURVES:
        EXPORTS[name](store, tmp_path / name)
    _, rows = readers.iohinspector(tmp_path / "iohprofiler", monotonic=False)
    np.testing.assert_array_equal(rows.sort_values(["seed", "evaluations"])["raw_y"], given)
    for frame in (pd.read_csv(tmp_path / "csv"), pd.read_parquet(tmp_path / "parquet")):
        np.testing.assert_array_equal(frame.sort_values(["seed", "evaluation"])["loss"], given)
    (one,) = readers.cocopp(tmp_path / "coco").to_dict("records")
    best = np.minimum.accumulate(np.column_stack(list(losses.values())))
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(np.array(one["curves"])[:, 1:], np.minimum(best + 1.7e308, CEILING))


def test_differences_beyond_what_cocopp_takes_are_said(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "store")
    imported(store, {0: [1.7e308, 3.0], 1: [2.0, 1.0]}, optimum=0.0)
    notes = EXPORTS["coco"](store, tmp_path / "coco")
    assert notes == [
        "differences of 1e+308 and more are written as 1e+308, the largest cocopp takes, in a · imported on f, d=5"
    ]
    assert readers.cocopp(tmp_path / "coco")["curves"].tolist() == [[[1, 1e308, 2.0], [2, 3.0, 1.0]]]


@pytest.mark.parametrize(
    ("losses", "ends"),
    [
        ([3e-9, 1e-10], True),
        ([3e-9, 3e-9], False),
        ([2e-8, 1e-10], False),
        ([-1.0, -2.0], True),
        ([-1.0, -1.0], True),
        ([0.0, 0.0], False),
    ],
)
def test_the_export_warns_exactly_where_cocopp_ends_with_its_own_assertion(
    tmp_path: Path, losses: list[float], ends: bool
) -> None:
    store = Store.create(tmp_path / "store")
    imported(store, {0: losses, 1: losses}, optimum=0.0)
    warned = [
        note for note in EXPORTS["coco"](store, tmp_path / "coco") if "AssertionError at a · imported on f" in note
    ]
    assert bool(warned) == ends
    if ends:
        with pytest.raises(AssertionError, match="_evals"):
            readers.cocopp(tmp_path / "coco")
    else:
        assert len(readers.cocopp(tmp_path / "coco")) == 1


@pytest.mark.parametrize("name", CURVES)
def test_a_store_without_evaluations_is_refused(tmp_path: Path, name: str) -> None:
    store = Store.create(tmp_path / "store")
    with pytest.raises(InputError, match="has no run with an evaluation; make some: dfo-bench sweep"):
        EXPORTS[name](store, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", CURVES)
def test_a_place_that_cannot_be_written_is_refused(store: Store, tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot be written: .*; name another place"):
        EXPORTS[name](store, tmp_path / "file" / "out")


def test_the_command_line_says_where_it_wrote_and_what_is_doubtful(store: Store, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["export", "coco", str(out), "--store", str(store.path)])
    assert (done.exit_code, done.stdout.strip()) == (0, str(out))
    assert "for want of an optimum, for: toy, toy:dim=90" in done.stderr


@pytest.mark.parametrize("name", ["csv", "parquet"])
def test_a_folder_where_a_file_should_be_is_refused_with_the_reason(store: Store, tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"cannot be written: .*(d|D)irectory.*; name another place"):
        EXPORTS[name](store, tmp_path)
