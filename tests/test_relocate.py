"""A store is told where its data and its model have moved, and believes only the same contents."""

import shutil
from pathlib import Path

import pytest

from dfo_bench.errors import InputError, UnknownNameError
from dfo_bench.runs.assembly import assemble
from dfo_bench.store import checksums
from dfo_bench.store.store import Store
from tests.text_runs import run
from tests.tiny_lm import Zoo, reviews, write


@pytest.fixture
def store(tmp_path: Path, zoo: Zoo) -> Store:
    """Return a store of one run whose data have moved."""
    store = Store.create(tmp_path / "old" / "store")
    run(store, zoo.folder("bert"), "random")
    shutil.move(tmp_path / "old" / "store", tmp_path / "store")
    return Store(tmp_path / "store")


def test_runs_of_data_that_moved_are_used_again_under_their_keys(store: Store, tmp_path: Path) -> None:
    (key,) = store
    checksums.write(store)
    (tmp_path / "old").rename(tmp_path / "new")
    with pytest.raises(InputError, match="cannot be built again"):
        store.classifier(key)
    assert store.relocate({str(tmp_path / "old"): str(tmp_path / "new")}) == [key]
    assert store.classifier(key).predict(["a film"])[0] in ("negative", "positive")
    assert str(tmp_path / "old") not in str(store.runs()["task"].to_list())
    assert checksums.compare(store) == ([], [])
    assert (summary := store.summary(key))
    assert assemble(summary.spec).key == key


def test_a_packed_run_and_the_model_are_relocated_too(store: Store, tmp_path: Path, zoo: Zoo) -> None:
    (key,) = store
    store.compact()
    shutil.copytree(zoo.folder("bert"), tmp_path / "model")
    (tmp_path / "old").rename(tmp_path / "new")
    moved = {str(tmp_path / "old"): str(tmp_path / "new"), zoo.folder("bert"): str(tmp_path / "model")}
    assert store.relocate(moved) == [key]
    assert (summary := Store(store.path).summary(key))
    assert summary.spec.task.params["model"] == str(tmp_path / "model")
    assert not (store.path / key).exists()


def test_other_contents_and_wrong_paths_are_refused_and_nothing_changes(store: Store, tmp_path: Path) -> None:
    (key,) = store
    before = store.summary(key)
    old = str(tmp_path / "old")
    write(tmp_path / "other" / "train.jsonl", reviews(8)), write(tmp_path / "other" / "test.jsonl", reviews(8))
    for moved, error, message in (
        ({old: str(tmp_path / "other")}, InputError, f"run {key} was made of other contents"),
        ({old: str(tmp_path / "none")}, InputError, "does not exist; write OLD=NEW"),
        ({old: ""}, InputError, "does not exist; write OLD=NEW"),
        ({old: str(tmp_path)}, InputError, "cannot be built with what has moved"),
        ({old[:-1]: str(tmp_path / "other")}, UnknownNameError, "no path in the runs of"),
    ):
        with pytest.raises(error, match=message):
            store.relocate(moved)
    assert store.summary(key) == before
