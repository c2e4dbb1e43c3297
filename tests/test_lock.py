"""A file system without locks is refused before anything runs, and what is stored on it can be read."""

import errno
import fcntl
import os
from pathlib import Path

import pytest

import dfo_bench
from dfo_bench.errors import StoreError
from dfo_bench.store.filenames import MARKER
from dfo_bench.store.store import Store
from dfo_bench.sweeps.events import Listener


def _take_locks_away(monkeypatch: pytest.MonkeyPatch, number: int = errno.ENOSYS) -> None:
    """Let the kernel answer as it does for a file system that has no locks."""

    def flock(fd: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)


def _sweep(store: Path, budget: int) -> Store:
    return dfo_bench.sweep(tasks=["toy"], optimizers=["odd"], budget=budget, store=store, listener=Listener())


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_sweep_is_refused_before_its_first_run(
    tmp_path: Path, toys: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    _take_locks_away(monkeypatch, number)
    path = tmp_path / "store"
    with pytest.raises(StoreError, match=r"cannot be locked: .* name a store on a local disk, and copy it") as caught:
        _sweep(path, 20)
    assert "\n" not in str(caught.value)
    assert [file.name for file in path.iterdir()] == [MARKER]


def test_a_store_is_read_and_not_compacted(tmp_path: Path, toys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = _sweep(tmp_path / "store", 20)
    _take_locks_away(monkeypatch)
    assert store.runs()["status"].tolist() == ["finished"]
    with pytest.raises(StoreError, match="cannot be locked"):
        store.compact()
