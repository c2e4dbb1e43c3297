"""A cache is never seen: what it changes is only the time that reading takes."""

import os
import shutil
import threading
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from dfo_bench.plugins.component import parse
from dfo_bench.runs.spec import RunSpec
from dfo_bench.store.cache import Cache
from dfo_bench.store.filenames import CACHES, SUMMARY
from dfo_bench.store.store import Store
from dfo_bench.sweeps.execute import execute

SCHEMA = pa.schema([("key", pa.string()), ("value", pa.int64())])


class Source:
    """Rows by key, and how often they were asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, key: str) -> pa.Table | None:
        self.asked.append(key)
        rows = [3, 1, 2] if key != "none" else []
        return None if key == "unreadable" else pa.table([[key] * len(rows), rows], schema=SCHEMA)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / CACHES / "table.parquet", SCHEMA, "1")


def test_rows_are_sorted_by_key_and_within_a_run_as_they_were_made(cache: Cache) -> None:
    for stamps in ({"b": "1", "none": "1"}, {"c": "1", "a": "1", "none": "1", "b": "1"}):
        table = cache.read(stamps, Source())
    assert table.to_pydict() == {"key": list("aaabbbccc"), "value": [3, 1, 2] * 3}


def test_only_what_is_new_or_has_another_stamp_is_made(cache: Cache) -> None:
    source = Source()
    for stamps in ({"a": "1", "none": "1"}, {"a": "1", "none": "1"}, {"a": "2", "b": "1"}, {"b": "1"}, {"b": "1"}):
        assert set(cache.read(stamps, source)["key"].to_pylist()) == set(stamps) - {"none"}
    assert source.asked == ["a", "none", "a", "b"]


def test_an_older_file_is_as_good_a_reason_as_a_newer_one(cache: Cache) -> None:
    source = Source()
    for stamp in ("2026", "1970"):
        cache.read({"a": stamp}, source)
    assert source.asked == ["a", "a"]


def test_what_cannot_be_read_is_left_out_and_tried_again(cache: Cache) -> None:
    source = Source()
    for _ in range(2):
        assert cache.read({"a": "1", "unreadable": "1"}, source)["key"].to_pylist() == ["a"] * 3
    assert source.asked == ["a", "unreadable", "unreadable"]


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "deleted", "other version", "other table"])
def test_a_cache_that_cannot_be_trusted_is_made_again(cache: Cache, damage: str) -> None:
    cache.read({"a": "1"}, Source())
    data = bytearray(cache.path.read_bytes())
    match damage:
        case "cut":
            cache.path.write_bytes(data[:-20])
        case "flipped":
            data[12] ^= 1
            cache.path.write_bytes(data)
        case "empty":
            cache.path.write_bytes(b"")
        case "deleted":
            shutil.rmtree(cache.path.parent)
        case "other version":
            cache.version = "2"
        case "other table":
            cache.schema = pa.schema([("key", pa.string()), ("other", pa.int64())])
    source = Source()
    if damage == "other table":
        assert cache.read({}, source).column_names == ["key", "other"]
        return
    assert cache.read({"a": "1"}, source)["value"].to_pylist() == [3, 1, 2]
    assert source.asked == ["a"]


def test_where_it_cannot_be_written_everything_works(cache: Cache) -> None:
    cache.path.parent.write_text("a file in its place")
    for _ in range(2):
        assert cache.read({"a": "1"}, Source())["value"].to_pylist() == [3, 1, 2]


def test_many_readers_at_once_agree(cache: Cache) -> None:
    stamps = {f"{i:03}": "1" for i in range(50)}
    tables: list[pa.Table] = []

    def read(runs: int) -> None:
        tables.append(cache.read(dict(list(stamps.items())[:runs]), Source()))

    threads = [threading.Thread(target=read, args=(20 + i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(len(table) for table in tables) == [3 * (20 + i) for i in range(8)]
    assert len(cache.read(stamps, Source())) == 150


def test_frames_are_the_same_with_a_cache_and_without(tmp_path: Path, toys: Path) -> None:
    store = Store.create(tmp_path / "store")
    for optimizer in ("odd", "odd:fail=third", "start"):
        for seed in range(2):
            execute(RunSpec(parse("toy"), parse(optimizer), parse("normal"), 3, 60, seed, 20), store.path)

    def frames() -> list[pd.DataFrame]:
        return [store.runs(), store.measures(), store.curves(improvements=True)]

    first, again = frames(), frames()
    shutil.rmtree(store.path / CACHES)
    for one, two, three in zip(first, again, frames(), strict=True):
        pd.testing.assert_frame_equal(one, two, check_exact=True)
        pd.testing.assert_frame_equal(one, three, check_exact=True)


def test_a_run_that_changes_under_the_cache_is_read_again_even_by_a_clock_that_jumps_back(
    tmp_path: Path, toys: Path
) -> None:
    store = Store.create(tmp_path / "store")
    key = execute(RunSpec(parse("toy"), parse("odd"), parse("normal"), 3, 60), store.path).key
    assert store.runs()["repaid"].tolist() == [0]
    path = store.path / key / SUMMARY
    path.write_text(path.read_text().replace('"repaid": 0', '"repaid": 7'))
    os.utime(path, (0, 0))
    assert store.runs()["repaid"].tolist() == [7]
    shutil.rmtree(store.path / key)
    assert [len(frame) for frame in (store.runs(), store.measures(), store.curves(improvements=True))] == [0, 0, 0]
