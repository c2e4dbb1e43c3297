"""Packing changes where runs are kept and nothing else."""

import json
import multiprocessing
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from dfo_bench.errors import BusyError, StoreError
from dfo_bench.plugins.component import parse
from dfo_bench.runs.header import Header
from dfo_bench.runs.spec import RunSpec
from dfo_bench.runs.summary import Summary
from dfo_bench.store import packs
from dfo_bench.store.filenames import JOURNAL, PACKS, SUMMARY
from dfo_bench.store.store import Store
from dfo_bench.sweeps.execute import execute


def _run(store: Store, seed: int, optimizer: str = "odd") -> Summary:
    return execute(RunSpec(parse("toy"), parse(optimizer), parse("normal"), 3, 60, seed, 20), store.path)


@pytest.fixture
def store(tmp_path: Path, toys: Path) -> Store:
    store = Store.create(tmp_path / "store")
    for seed in range(3):
        _run(store, seed)
    return store


def _frames(store: Store) -> list[pd.DataFrame]:
    return [store.runs(), store.curves(), store.curves(improvements=True), store.measures()]


def _assert_same(store: Store, frames: list[pd.DataFrame]) -> None:
    for now, then in zip(_frames(store), frames, strict=True):
        pd.testing.assert_frame_equal(now, then, check_exact=True)


def _folders(store: Store) -> list[str]:
    return [key for key in store if (store.path / key).exists()]


def test_packed_runs_read_as_before_and_have_no_folder(store: Store) -> None:
    frames, keys = _frames(store), list(store)
    summaries = [store.summary(key) for key in keys]
    (pack,), left = store.compact()
    assert not left
    assert pack.parent == store.path / PACKS
    assert (list(store), _folders(store)) == (keys, [])
    _assert_same(store, frames)
    _assert_same(Store(store.path), frames)
    assert [store.summary(key) for key in keys] == summaries
    pd.testing.assert_frame_equal(
        store.curves([keys[1]]), frames[1][frames[1]["key"] == keys[1]].reset_index(drop=True)
    )


def test_only_finished_runs_are_packed_and_others_go_on(store: Store) -> None:
    failed = _run(store, 0, "odd:fail=third").key
    store.compact()
    assert _folders(store) == [failed]
    assert _run(store, 0, "odd:fail=third").attempts == 2
    assert store.runs()["status"].value_counts().to_dict() == {"finished": 3, "failed": 1}


def test_a_packed_run_is_not_run_again(store: Store) -> None:
    summary = store.summary(next(iter(store)))
    assert summary
    store.compact()
    assert _run(store, summary.spec.seed) == summary
    assert _folders(store) == []


def test_compacting_again_packs_only_what_is_new(store: Store) -> None:
    first, _ = store.compact()
    assert store.compact() == ([], [])
    _run(store, 3)
    second, _ = store.compact()
    assert len({*first, *second}) == 2
    assert len(store.runs()) == 4


def test_the_same_runs_make_the_same_pack(store: Store, tmp_path: Path) -> None:
    shutil.copytree(store.path, tmp_path / "copy")
    (pack,), _ = store.compact()
    (other,), _ = Store(tmp_path / "copy").compact()
    assert (pack.name, pack.read_bytes()) == (other.name, other.read_bytes())


def test_unzipping_brings_the_folders_back(store: Store) -> None:
    before = {path: path.read_bytes() for key in store for path in (store.path / key).iterdir()}
    (pack,), _ = store.compact()
    subprocess.run([sys.executable, "-m", "zipfile", "-e", pack, store.path], check=True)
    pack.unlink()
    assert {path: path.read_bytes() for key in store for path in (store.path / key).iterdir()} == before


def test_stores_with_packs_are_merged_by_copying(store: Store, tmp_path: Path) -> None:
    other = Store.create(tmp_path / "other")
    _run(other, 7)
    other.compact()
    store.compact()
    _run(store, 8)
    frames = [pd.concat([one, two]) for one, two in zip(_frames(store), _frames(other), strict=True)]
    subprocess.run(["cp", "-r", f"{other.path}/.", store.path], check=True)
    for now, then in zip(_frames(store), frames, strict=True):
        columns = ["key", *[c for c in ("evaluation", "split", "metric") if c in then]]
        now, then = (frame.sort_values(columns, ignore_index=True) for frame in (now, then))
        pd.testing.assert_frame_equal(now, then, check_exact=True)


def test_what_a_pack_holds_counts_against_an_unfinished_run_copied_over_it(store: Store, tmp_path: Path) -> None:
    frames, key = _frames(store), next(iter(store))
    store.compact()
    summary = store.summary(key)
    assert summary
    header = {"header": Header.to_json(summary)}
    (store.path / key).mkdir()
    (store.path / key / JOURNAL).write_text(json.dumps(header) + '\n{"attempt": 5, "retry": false}\n')
    _assert_same(store, frames)


def test_another_version_of_a_packed_run_is_left_in_its_folder(store: Store, tmp_path: Path) -> None:
    shutil.copytree(store.path, tmp_path / "copy")
    key = next(iter(store))
    store.compact()
    shutil.copytree(tmp_path / "copy" / key, store.path / key)
    summary = store.path / key / SUMMARY
    summary.write_text(summary.read_text().replace('"repaid": 0', '"repaid": 9'))
    assert store.compact() == ([], [store.path / key])
    assert summary.exists()


def _compact(path: Path) -> None:
    Store(path).compact()


def _killed(moment: int, work: Callable[[Path], None], path: Path) -> bool:
    """Do work in a process that dies at the moment-th change it makes to the file system; say whether it died."""

    def child() -> None:
        left = moment

        def dying(change: Callable[..., Any]) -> Callable[..., Any]:
            def changed(*args: Any, **given: Any) -> Any:
                nonlocal left
                left -= 1
                if left < 0:
                    os._exit(9)
                return change(*args, **given)

            return changed

        for name in ("replace", "rename", "unlink", "rmdir", "mkdir"):
            setattr(os, name, dying(getattr(os, name)))
        work(path)

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join()
    return process.exitcode == 9


def test_a_compaction_killed_at_any_change_loses_nothing_and_is_finished_by_the_next(
    store: Store, tmp_path: Path
) -> None:
    frames = _frames(store)
    for moment in range(100):
        copy = tmp_path / f"copy{moment}"
        shutil.copytree(store.path, copy)
        died = _killed(moment, _compact, copy)
        _assert_same(Store(copy), frames)
        Store(copy).compact()
        _assert_same(Store(copy), frames)
        left = {path.name for path in copy.iterdir()} - {"cache"}
        assert left == {"dfo-bench.json", PACKS}
        assert [path.suffix for path in (copy / PACKS).iterdir()] == [".zip"]
        if not died:
            break
    assert 8 < moment < 99


def test_a_second_compaction_is_refused_while_one_is_under_way(store: Store) -> None:
    with packs._alone(store.path), pytest.raises(BusyError, match="is being compacted by another process"):
        store.compact()


def test_a_damaged_pack_is_named(store: Store) -> None:
    (pack,), _ = store.compact()
    data = bytearray(pack.read_bytes())
    pack.write_bytes(data[: len(data) // 2])
    with pytest.raises(StoreError, match=rf"{pack.name} is damaged; copy it again, or delete it"):
        store.runs()
    data[len(data) // 3] ^= 1
    pack.write_bytes(data)
    with pytest.raises(StoreError, match=rf"{pack.name} is damaged"):
        _read_all(store)


def _read_all(store: Store) -> None:
    for key in store:
        store.summary(key)
        store.curves([key])
