"""Runs that COCO logged, in a store of ours."""

import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dfo_bench.errors import InputError
from dfo_bench.exchange import EXPORTS, IMPORTS
from dfo_bench.exchange.imported import ImportedRun
from dfo_bench.store.store import Store
from tests import readers

# One algorithm on two instances, as COCO logs it: rows at targets, and at numbers of evaluations.
INFO = (
    "suite = 'bbob', funcId = 1, DIM = 2, Precision = 1.000e-08, algId = 'NM, \"it's\"', coco_version = '2.6.3', "
    "logger = 'bbob', data_format = 'bbob-new2'\n"
    "% simplex, restarted\n"
    "data_f1/bbobexp_f1_DIM2_i1.dat, 1:14|2.5e-12, 2:9|3.0e-01\n"
)
HEADER = (
    "% f evaluations | g evaluations | best noise-free fitness - Fopt (7.948000000000e+01) + sum g_i+ | "
    "measured fitness | best measured fitness or single-digit g-values | x1 | x2...\n"
)
X = " +1.0e+00 -1.0e+00\n"
DAT = (
    f"{HEADER}1 0 +5.000000000e+00 +8.448e+01 +8.448e+01{X}3 0 +1.250000000e+00 +8.073e+01 +8.073e+01{X}"
    f"12 0 +4.000000000e-09 +7.948e+01 +7.948e+01{X}"
    f"{HEADER.replace('7.948', '-1.25')}1 0 +3.000000000e-01 -0.95 -0.95{X}"
)
TDAT = (
    f"{HEADER}1 0 +5.000000000e+00 +8.448e+01 +8.448e+01{X}2 0 +5.000000000e+00 +9e+01 +8.448e+01{X}"
    f"4 0 +1.000000000e+00 +9e+01 +8.448e+01{X}14 0 +2.500000000e-12 +9e+01 +8.448e+01{X}"
    f"{HEADER.replace('7.948', '-1.25')}1 0 +3.000000000e-01 -0.95 -0.95{X}9 0 +3.000000000e-01 5 -0.95{X}"
)
FILES = {
    "bbobexp_f1_i1.info": INFO,
    "data_f1/bbobexp_f1_DIM2_i1.dat": DAT,
    "data_f1/bbobexp_f1_DIM2_i1.tdat": TDAT,
}


def put(folder: Path, **changes: str) -> Path:
    """Write the files, those of an ending as given; without text a file is left out."""
    for name, text in FILES.items():
        if written := changes.get(name.rpartition(".")[2], text):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(written)
    return folder


def import_(folder: Path, store: Path) -> list[str]:
    return IMPORTS["coco"](folder, store)


def packed(archive: Path, folder: Path, **members: str) -> Path:
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, arcname="NM")
        for name, text in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return archive


def test_curves_are_the_improvements_of_both_files_down_from_an_optimum_of_0(tmp_path: Path) -> None:
    assert import_(put(tmp_path / "data"), tmp_path / "store") == ["imported: 2 runs"]
    store = Store(tmp_path / "store")
    runs = store.runs().set_index("seed")
    assert set(runs[["task", "optimizer", "dim", "budget", "optimum"]].itertuples(index=False, name=None)) == {
        ("bbob f1", 'NM, "it\'s"', 2, 14, 0.0)
    }
    assert runs["evaluations"].tolist() == [14, 9]
    assert runs["best_loss"].tolist() == [2.5e-12, 0.3]
    curve = store.curves([str(runs.loc[0, "key"])])
    assert curve["evaluation"].tolist() == [1, 3, 4, 12, 14]
    assert curve["loss"].tolist() == [5.0, 1.25, 1.0, 4e-9, 2.5e-12]
    summary = store.summary(str(runs.loc[1, "key"]))
    assert summary
    assert summary.imported == {
        "file": "data_f1/bbobexp_f1_DIM2_i1.dat",
        "run": 2,
        "instance": 2,
        "suite": "bbob",
        "algorithm_info": "simplex, restarted",
        "version": "2.6.3",
        "negated": False,
        "f_opt": -12.5,
    }


def test_cocopp_reads_the_same_from_the_same_files(tmp_path: Path) -> None:
    (one,) = readers.cocopp(put(tmp_path / "in" / "data").parent).to_dict("records")
    import_(tmp_path / "in" / "data", tmp_path / "store")
    store = Store(tmp_path / "store")
    runs = store.runs().sort_values("seed")
    assert one["instances"] == (runs["seed"] + 1).tolist()
    assert one["said"] == runs["evaluations"].tolist()
    assert one["final"] == runs["best_loss"].tolist()
    for at, key in enumerate(runs["key"], 1):
        curve = store.curves([key])
        # cocopp holds the rows of one of the two files alone.
        held = {row[0]: row[at] for row in one["curves"]}
        ours = {e: curve.loc[curve["evaluation"] <= e, "loss"].iloc[-1] for e in (1, 2, 4, 9, 14) if e in held}
        assert ours == {e: held[e] for e in ours}


OLD = (
    "funcId = 1, DIM = 2, Precision = 1.000e-08, algId = 'NM'\n"
    "% BBOB-2009\n"
    "data_f1\\bbobexp_f1_DIM2_i1.dat, 1:14|2.5e-12, 2:9|3.0e-01\n"
)
OLD_DAT = DAT.replace(" 0 ", " +9e+01 ").replace(
    "g evaluations | best noise-free fitness - Fopt (7.948000000000e+01) + sum g_i+",
    "noise-free fitness - Fopt (7.948000000000e+01) | best noise-free fitness - Fopt",
)


@pytest.mark.parametrize(("function", "task"), [("1", "bbob f1"), ("101", "bbob-noisy f101")])
def test_the_first_format_is_read_and_its_suite_known_by_the_function(tmp_path: Path, function: str, task: str) -> None:
    put(tmp_path / "data", info=OLD.replace("funcId = 1", f"funcId = {function}"), dat=OLD_DAT, tdat="")
    assert import_(tmp_path / "data", tmp_path / "store") == ["imported: 2 runs"]
    store = Store(tmp_path / "store")
    assert set(store.runs()["task"]) == {task}
    assert store.runs()["best_loss"].tolist() == [4e-9, 0.3]


@pytest.mark.parametrize("given", ["archive", "folder"])
def test_an_archive_is_read_and_nothing_of_it_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "archives").mkdir()
    archive = packed(tmp_path / "archives" / "NM.tgz", put(tmp_path / "data"), **{"NM/._bbobexp_f1_i1.info": "\0\0\7"})
    folder = archive if given == "archive" else archive.parent
    assert import_(folder, tmp_path / "store") == ["imported: 2 runs"]
    assert list((tmp_path / "temporary").iterdir()) == []
    assert [path.name for path in archive.parent.iterdir()] == ["NM.tgz"]
    store = Store(tmp_path / "store")
    summary = store.summary(next(iter(store)))
    assert summary
    assert summary.imported
    assert summary.imported["file"] == "NM.tgz/NM/data_f1/bbobexp_f1_DIM2_i1.dat"


def test_an_algorithm_without_a_name_is_called_by_its_archive(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "NM.tgz", "w:gz") as tar:
        tar.add(put(tmp_path / "data", info=OLD.replace("'NM'", "''")), arcname=".")
    import_(tmp_path / "NM.tgz", tmp_path / "store")
    assert set(Store(tmp_path / "store").runs()["optimizer"]) == {"NM.tgz"}


def test_an_archive_that_cocopp_has_unpacked_is_imported_once(tmp_path: Path) -> None:
    packed(tmp_path / "NM.tar.gz", put(tmp_path / "_extracted_NM"))
    assert import_(tmp_path, tmp_path / "store") == ["imported: 2 runs"]


@pytest.mark.parametrize("name", ["../outside.info", "/tmp/outside.info", "NM/../../outside.dat"])
def test_an_archive_that_leads_out_of_itself_is_refused_as_a_whole(tmp_path: Path, name: str) -> None:
    packed(tmp_path / "bad.tgz", put(tmp_path / "data"), **{name: INFO})
    with pytest.raises(InputError, match=rf"bad\.tgz cannot be unpacked: it holds '{name}', which leads out of it"):
        import_(tmp_path / "bad.tgz", tmp_path / "store")
    assert not list(tmp_path.rglob("outside.*"))
    notes = import_(tmp_path, tmp_path / "store")
    assert notes[0] == "imported: 2 runs"
    assert notes[1].startswith("left out: bad.tgz cannot be unpacked")


def test_a_link_in_an_archive_is_no_way_out(tmp_path: Path) -> None:
    (tmp_path / "secret.dat").write_text(DAT)
    with tarfile.open(tmp_path / "links.tgz", "w:gz") as tar:
        tar.add(put(tmp_path / "data", dat="", tdat=""), arcname=".")
        link = tarfile.TarInfo("data_f1/bbobexp_f1_DIM2_i1.dat")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "secret.dat")
        tar.addfile(link)
    with pytest.raises(InputError, match=r"links\.tgz/data_f1/bbobexp_f1_DIM2_i1\.dat cannot be read: No such file"):
        import_(tmp_path / "links.tgz", tmp_path / "store")


@pytest.mark.parametrize("data", [b"", b"no archive", b"\x1f\x8b\x08"])
def test_a_damaged_archive_is_one_line(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "NM.tgz").write_bytes(data)
    with pytest.raises(InputError, match=r"NM\.tgz cannot be unpacked: .*; log it again") as raised:
        import_(tmp_path / "NM.tgz", tmp_path / "store")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("info", "suite"),
    [
        (
            "algorithm = 'NSGA', indicator = 'hyp', folder = 'x'\n% \nfunction =  1, dim =  2, a_hyp.dat, 1:20|4e-1\n",
            "biobj",
        ),
        (INFO.replace("'bbob',", "'bbob-biobj-ext',"), "bbob-biobj-ext"),
    ],
)
def test_a_suite_of_several_objectives_is_refused_by_its_name(tmp_path: Path, info: str, suite: str) -> None:
    put(tmp_path / "data", info=info)
    with pytest.raises(
        InputError, match=f"f1_i1.info: it is of .*{suite}.*, a suite of several objectives, and only one"
    ):
        import_(tmp_path / "data", tmp_path / "store")


@pytest.mark.parametrize(
    ("changes", "left_out"),
    [
        ({"info": INFO.replace("2:9|3.0e-01", "2")}, ", run 2: it was not finished"),
        ({"info": INFO.replace(", 2:9|3.0e-01", "")}, ", run 2: its index does not list it, so it was not finished"),
        ({"info": INFO.replace("3.0e-01\n", "3.0e-01, 3:50|1e-3\0\0\0")}, ", run 3: it has no rows"),
        ({"tdat": TDAT.replace("+3.000000000e-01 5", "much 5")}, ", run 2: line 8 has a cell that is no number"),
        ({"dat": DAT.replace("+3.000000000e-01 -0.95 -0.95", "")}, ", run 2: line 6 has 4 cells, not 5"),
        ({"dat": DAT.replace("best noise-free fitness", "hypervolume", 1)}, ", run 1: it has no column 'best noise-"),
        ({"tdat": TDAT.rstrip("\n").replace("9 0 +3", "8 0 +3")}, ", run 2: its last line is cut off"),
    ],
)
def test_a_broken_run_is_named_and_the_whole_ones_are_imported(
    tmp_path: Path, changes: dict[str, str], left_out: str
) -> None:
    notes = import_(put(tmp_path / "data", **changes), tmp_path / "store")
    assert len(notes) == 2
    assert notes[1].startswith(f"left out: data_f1/bbobexp_f1_DIM2_i1.dat{left_out}")
    assert notes[0] == "imported: " + ("2 runs" if "run 3" in left_out else "1 run")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"info": "\0\0\0"}, "f1_i1.info: it is no index: no line says what its runs are of"),
        ({"info": INFO.replace("DIM = 2", "DIM = two")}, "it is no index: DIM is 'two'"),
        ({"info": INFO.replace("DIM = 2", f"DIM = {'9' * 5000}")}, "it is no index: DIM is '9"),
        ({"info": INFO.replace("funcId = 1, ", "")}, "it is no index: a part has no funcId"),
        ({"info": INFO.replace("data_f1/", "../../data_f1/")}, r"it names '../../data_f1/.*', which lies outside"),
        ({"dat": "", "tdat": ""}, r"bbobexp_f1_DIM2_i1\.dat cannot be read: No such file"),
        ({"info": INFO.partition("data_f1")[0]}, "its indices list none"),
    ],
)
def test_where_no_run_is_whole_one_line_says_so_and_nothing_is_written(
    tmp_path: Path, changes: dict[str, str], message: str
) -> None:
    put(tmp_path / "data", **changes)
    with pytest.raises(InputError, match=f"data has no whole run: .*{message}") as raised:
        import_(tmp_path / "data", tmp_path / "store")
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "store").exists()


def test_a_folder_without_files_of_coco_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no \*\.info of COCO, nor an archive"):
        import_(tmp_path, tmp_path / "store")


def test_batches_of_one_experiment_are_one_algorithm(tmp_path: Path) -> None:
    put(tmp_path / "data" / "batch1")
    put(tmp_path / "data" / "batch2", info=INFO.replace("1:14", "3:14").replace("2:9", "4:9"))
    import_(tmp_path / "data", tmp_path / "store")
    assert Store(tmp_path / "store").runs()["seed"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("optimum", [0.0, None])
def test_what_is_exported_and_imported_is_the_same(tmp_path: Path, optimum: float | None) -> None:
    store = Store.create(tmp_path / "store")
    rng = np.random.default_rng(0)
    given: dict[str, Any] = {"function": "f", "algorithm": "a", "dim": 5, "budget": 40, "source": {}}
    for seed in range(3):
        loss = np.exp(rng.normal(size=30) * 20)
        times = np.full((30, 2), np.nan)
        ImportedRun(
            **given, seed=seed, spent=40, evaluation=np.arange(1, 31), loss=loss, seconds=times, optimum=optimum
        ).write(store.path)
    EXPORTS["coco"](store, tmp_path / "coco")
    assert import_(tmp_path / "coco", tmp_path / "again") == ["imported: 3 runs"]
    again = Store(tmp_path / "again")
    assert again.runs()["evaluations"].tolist() == [40] * 3
    reference = store.runs()["best_loss"].min() if optimum is None else 0.0
    for ours, theirs in zip(store.runs()["key"], again.runs()["key"], strict=True):
        first = store.curves([ours], improvements=True)
        second = again.curves([theirs], improvements=True)
        assert second["evaluation"].tolist() == first["evaluation"].tolist()
        assert second["loss"].tolist() == (first["loss"] - reference).tolist()
