"""A deleted run leaves nothing behind, and all others as they were."""

import multiprocessing
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from dfo_bench.errors import BusyError, InputError, UnknownNameError
from dfo_bench.runs.journal import open_locked
from dfo_bench.store import checksums
from dfo_bench.store.filenames import CHECKSUMS, JOURNAL, PACKS
from dfo_bench.store.store import Store
from dfo_bench.sweeps.execute import execute
from tests.toys import interrupt, planned


@pytest.fixture
def store(tmp_path: Path, toys: Path) -> Store:
    store = Store.create(tmp_path / "store")
    for seed in range(3):
        execute(planned("toy", "odd", dim=3, budget=20, seed=seed), store.path)
    return store


def _unfinished(store: Store) -> Path:
    """Leave a run unfinished; return its folder."""
    before = set(store)
    interrupt(planned("toy", "odd", dim=3, budget=60, seed=9), store.path, after=20)
    (key,) = set(store) - before
    return store.path / key


@pytest.mark.parametrize("packed", [False, True])
def test_a_deleted_run_is_in_no_frame_and_the_others_stay(store: Store, packed: bool) -> None:
    if packed:
        store.compact()
    frames = [store.runs(), store.curves(), store.measures()]
    gone, *left = store
    assert store.delete(gone, gone[:12]) == [gone]
    assert list(store) == left
    assert not list(store.path.glob(f"*{gone}*"))
    for now, then in zip([store.runs(), store.curves(), store.measures()], frames, strict=True):
        pd.testing.assert_frame_equal(now, then[then["key"] != gone].reset_index(drop=True), check_exact=True)


def test_a_pack_without_runs_goes_and_a_run_packed_twice_is_gone_from_both(store: Store, tmp_path: Path) -> None:
    key, *others = store
    other = Store.create(tmp_path / "other")
    subprocess.run(["cp", "-r", store.path / key, other.path], check=True)
    for one in (store, other):
        one.compact()
    subprocess.run(["cp", "-r", f"{other.path}/.", store.path], check=True)
    assert len(list((store.path / PACKS).iterdir())) == 2
    store.delete(key)
    assert list(store) == others
    assert len(list((store.path / PACKS).iterdir())) == 1
    store.delete(*others)
    assert not list(store)
    assert not list((store.path / PACKS).iterdir())


def test_one_packed_and_in_a_folder_is_gone_from_both(store: Store, tmp_path: Path) -> None:
    key = next(iter(store))
    subprocess.run(["cp", "-r", store.path / key, tmp_path / key], check=True)
    store.compact()
    subprocess.run(["cp", "-r", tmp_path / key, store.path], check=True)
    store.delete(key)
    assert key not in set(store)


def test_a_run_that_stopped_is_deleted_and_begins_anew(store: Store) -> None:
    folder = _unfinished(store)
    store.delete(folder.name)
    assert not folder.exists()
    assert execute(planned("toy", "odd", dim=3, budget=60, seed=9), store.path).repaid == 0


def _hold(journal: Path, ready: "multiprocessing.synchronize.Event", done: "multiprocessing.synchronize.Event") -> None:
    open_locked(journal)
    ready.set()
    done.wait(60)


def test_a_run_under_way_in_another_process_is_refused_and_none_is_deleted(store: Store) -> None:
    folder, keys = _unfinished(store), list(store)
    context = multiprocessing.get_context("fork")
    ready, done = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(folder / JOURNAL, ready, done))
    process.start()
    assert ready.wait(60)
    with pytest.raises(BusyError, match=f"{folder.name} is being written by another process"):
        store.delete(*keys)
    done.set()
    process.join()
    assert list(store) == keys
    store.delete(*keys)
    assert list(store) == []


@pytest.mark.parametrize("packed", [False, True])
def test_the_digests_of_a_published_store_go_on_without_it(store: Store, packed: bool) -> None:
    if packed:
        store.compact()
    checksums.write(store)
    gone = next(iter(store))
    store.delete(gone)
    assert gone not in (store.path / CHECKSUMS).read_text()
    assert checksums.compare(store) == ([], [])
    if not packed:
        subprocess.run(["sha256sum", "--check", "--quiet", CHECKSUMS], cwd=store.path, check=True)


def test_a_name_of_no_run_or_of_several_deletes_nothing(store: Store) -> None:
    first, *others = keys = list(store)
    wrong = f"{'0' if first[0] != '0' else '1'}{first[1:]}"
    with pytest.raises(UnknownNameError, match=f"no run in .* named '{wrong}'; did you mean {first}"):
        store.delete(*others, wrong)
    with pytest.raises(UnknownNameError, match="named ''"):
        store.delete("")
    for key in keys:
        (store.path / f"abc{key[3:]}").mkdir()
    with pytest.raises(InputError, match=r"3 runs in .* begin with 'abc'; give more: abc"):
        store.delete("abc")
    assert set(keys) < set(store)


def test_a_run_that_cannot_be_read_is_deleted(store: Store) -> None:
    key = next(iter(store))
    (store.path / key / "summary.json").write_text("{")
    store.delete(key)
    assert key not in set(store)
