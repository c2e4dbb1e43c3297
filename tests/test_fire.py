"""What a store goes through: kills, full disks, copies, clocks, two sweeps at once. No evaluation is lost."""

import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dfo_bench.errors import StoreError
from dfo_bench.plugins.component import parse
from dfo_bench.runs.journal import Log
from dfo_bench.runs.meter import Progress
from dfo_bench.runs.spec import RunSpec
from dfo_bench.store.filenames import CACHES, CURVE, JOURNAL
from dfo_bench.store.store import Store
from dfo_bench.sweeps.execute import execute

EXACT = ["key", "evaluation", "loss", "best", "digest"]
"""The columns that nothing may change; seconds are another matter."""


def _spec(task: str = "toy", seed: int = 0) -> RunSpec:
    return RunSpec(parse(task), parse("odd"), parse("normal"), 3, 60, seed, 20)


@pytest.fixture
def store(tmp_path: Path, toys: Path) -> Store:
    return Store.create(tmp_path / "store")


def _assert_same(store: Store, whole: Store) -> None:
    pd.testing.assert_frame_equal(store.curves()[EXACT], whole.curves()[EXACT], check_exact=True)
    pd.testing.assert_frame_equal(store.measures(), whole.measures(), check_exact=True)
    kept = ["key", "status", "best_loss", "evaluations", "dev_closeness", "test_closeness", "discarded"]
    pd.testing.assert_frame_equal(store.runs()[kept], whole.runs()[kept], check_exact=True)
    for key in whole:
        found, expected = store.summary(key), whole.summary(key)
        assert found
        assert expected
        assert (found.incumbent, found.selected) == (expected.incumbent, expected.selected)


RUNS = """
import sys
from pathlib import Path
from dfo_bench.plugins.component import parse
from dfo_bench.sweeps.execute import execute
from dfo_bench.runs.spec import RunSpec
for seed in range(4):
    task = parse("toy:pause=0.005,log=/dev/stdout")
    execute(RunSpec(task, parse("odd"), parse("normal"), 3, 60, seed, 20), Path(sys.argv[1]))
"""


def test_a_dozen_kill_minus_nine_lose_nothing(store: Store, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    calls: list[str] = []
    for _ in range(12):
        process = subprocess.Popen([sys.executable, "-c", RUNS, store.path], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        # The task says what it is asked for: a kill comes in the middle of something.
        calls += [process.stdout.readline() for _ in range(rng.integers(1, 25))]
        process.send_signal(signal.SIGKILL)
        calls += process.stdout.readlines()
        assert process.wait() == -signal.SIGKILL
        process.stdout.close()
        assert store.runs()["evaluations"].sum() <= len(calls)
    whole = Store.create(tmp_path / "whole")
    for path in (store.path, whole.path):
        done = subprocess.run([sys.executable, "-c", RUNS, path], capture_output=True, text=True, check=True)
        calls += done.stdout.splitlines(keepends=True) if path == store.path else []
    _assert_same(store, whole)
    evaluated = [call for call in calls if call.startswith("evaluate")]
    repaid = store.runs()["repaid"].sum()
    assert len(set(evaluated)) == 4 * 60
    assert 0 <= len(evaluated) - 4 * 60 <= repaid <= 12 * 5


@contextmanager
def full_disk(at: int, journal: Path, room: int | None) -> Iterator[Progress]:
    """After `at` evaluations let no file grow beyond the journal's size and `room` bytes, or beyond 100 where None."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def progress(spent: float, best: float, replayed: bool) -> None:
        if spent == at:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100 if room is None else journal.stat().st_size + room, hard))

    try:
        yield progress
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room", [0, 25])
def test_a_full_disk_ends_a_run_with_a_line_and_it_goes_on_when_there_is_room(
    store: Store, tmp_path: Path, room: int
) -> None:
    key = execute(_spec(), (whole := Store.create(tmp_path / "whole")).path).key
    journal = store.path / key / JOURNAL
    for at in (35, 60):
        with (
            full_disk(at, journal, room) as progress,
            pytest.raises(
                StoreError, match=r"journal\.jsonl cannot be written: File too large; free space and run again"
            ),
        ):
            execute(_spec(), store.path, progress)
        assert Log.read(journal).evaluations == at
        assert journal.read_bytes().endswith(b"\n") == (room == 0)
        assert store.runs()["evaluations"].tolist() == [at]
    execute(_spec(), store.path)
    _assert_same(store, whole)


def test_a_disk_too_full_for_the_curve_leaves_the_journal(store: Store, tmp_path: Path) -> None:
    spec = replace(_spec("sphere:dim=12"), budget=20)
    key = execute(spec, (whole := Store.create(tmp_path / "whole")).path).key
    journal = store.path / key / JOURNAL
    with (
        full_disk(20, journal, None) as progress,
        pytest.raises(StoreError, match=r"cannot be written: .*; free space"),
    ):
        execute(spec, store.path, progress)
    assert Log.read(journal).evaluations == 20
    assert not (store.path / key / CURVE).exists()
    execute(spec, store.path)
    pd.testing.assert_frame_equal(store.curves()[EXACT], whole.curves()[EXACT], check_exact=True)


@pytest.mark.parametrize("damage", ["torn", "doubled", "doubled and torn"])
def test_a_torn_or_doubled_last_line_is_passed_over(store: Store, tmp_path: Path, damage: str) -> None:
    key = execute(_spec(), (whole := Store.create(tmp_path / "whole")).path).key
    journal = store.path / key / JOURNAL
    with full_disk(35, journal, 0) as progress, pytest.raises(StoreError):
        execute(_spec(), store.path, progress)
    last = journal.read_bytes().splitlines(keepends=True)[-1]
    with journal.open("ab") as file:
        file.write((last if "doubled" in damage else b"") + (last[:30] if "torn" in damage else b""))
    assert store.runs()["evaluations"].tolist() == [35]
    execute(_spec(), store.path)
    _assert_same(store, whole)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Take away the right to write from a folder and all in it, from root by being somebody else meanwhile."""
    # pytest's own folders let nobody else through.
    closed = [path for path in folder.parents if not path.stat().st_mode & stat.S_IXOTH]
    modes = {path: path.stat().st_mode for path in [folder, *folder.rglob("*"), *closed]}
    for path in modes:
        path.chmod(0o555 if path.is_dir() else 0o444)
    nobody, root = 65534, os.geteuid() == 0
    if root:
        os.seteuid(nobody)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        for path, mode in modes.items():
            path.chmod(mode)


def test_a_read_only_store_is_read_as_ever_and_refuses_to_be_written(store: Store) -> None:
    for seed in range(2):
        execute(_spec(seed=seed), store.path)
    frames = [store.runs(), store.curves(improvements=True), store.measures()]
    shutil.rmtree(store.path / CACHES)
    before = sorted(store.path.rglob("*"))
    with read_only(store.path):
        again = [store.runs(), store.curves(improvements=True), store.measures()]
        with pytest.raises(StoreError, match="cannot be written: Permission denied; name another folder"):
            Store.create(store.path)
        with pytest.raises(StoreError, match="cannot be written: Permission denied"):
            execute(_spec(seed=2), store.path)
        with pytest.raises(StoreError, match="cannot be compacted: Permission denied"):
            store.compact()
    for one, other in zip(frames, again, strict=True):
        pd.testing.assert_frame_equal(one, other, check_exact=True)
    assert sorted(store.path.rglob("*")) == before


def test_a_clock_that_jumps_changes_nothing(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    execute(_spec(), (whole := Store.create(tmp_path / "whole")).path)
    jumps = count()
    now, year = time.time(), 3e7
    monkeypatch.setattr(time, "time", lambda: now - next(jumps) * year)
    monkeypatch.setattr(time, "time_ns", lambda: int(1e9 * (now - next(jumps) * year)))
    summary = execute(_spec(), store.path)
    assert all(0 <= seconds < 60 for seconds in vars(summary.seconds).values())
    _assert_same(store, whole)


def test_two_sweeps_started_on_one_store_share_the_work_and_pay_nothing_twice(store: Store, tmp_path: Path) -> None:
    task = f"toy:pause=0.02,log={tmp_path / 'calls'}"
    command = ["sweep", "-t", task, "-o", "odd", "-d", "3", "-b", "60", "-s", "0-3", "--dev-every", "20"]
    both = [
        subprocess.Popen(
            [sys.executable, "-m", "dfo_bench", *command, "--store", store.path],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    told = [process.communicate()[1] for process in both]
    for process, text in zip(both, told, strict=True):
        assert "Traceback" not in text
        # Whoever met the other at a run has left it to him, and said so, which is no failure.
        assert process.returncode == 0
        assert ("runs under way in another process" in text) == (": under way in another process" in text)
    assert store.runs()["status"].tolist() == ["finished"] * 4
    evaluated = [line for line in (tmp_path / "calls").read_text().splitlines() if line.startswith("evaluate")]
    assert (len(evaluated), len(set(evaluated))) == (240, 240)
    assert (store.runs()["repaid"] == 0).all()


def test_a_store_copied_over_one_that_went_another_way_keeps_what_finished(store: Store, tmp_path: Path) -> None:
    """Merging is copying run folders, whoever of two copies of a run came further."""
    whole, other = Store.create(tmp_path / "whole"), Store.create(tmp_path / "other")
    for seed in range(2):
        execute(_spec(seed=seed), whole.path)
    execute(_spec(seed=0), store.path)
    execute(_spec(seed=1), other.path)
    # Each has begun the run that the other has finished.
    for part, seed in ((store, 1), (other, 0)):
        key = next(key for key in whole if key not in list(part))
        journal = part.path / key / JOURNAL
        with full_disk(35, journal, 0) as progress, pytest.raises(StoreError):
            execute(_spec(seed=seed), part.path, progress)
        assert part.runs()["status"].value_counts().to_dict() == {"finished": 1, "unfinished": 1}
    subprocess.run(["cp", "-r", f"{other.path}/.", store.path], check=True)
    _assert_same(store, whole)
    for seed in range(2):
        execute(_spec(seed=seed), store.path)
    _assert_same(store, whole)
    assert not list(store.path.rglob(JOURNAL))
