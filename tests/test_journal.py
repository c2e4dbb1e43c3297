import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfo_bench.core import Cost
from dfo_bench.errors import BusyError, StoreError
from dfo_bench.runs.journal import Batch, Journal, Log, Measurement, Seconds
from dfo_bench.runs.summary import in_progress
from tests import toys

HEADER = toys.header()


def _batch(begin: int, *losses: float) -> Batch:
    return Batch(begin, list(losses), [f"{begin + i:016x}" for i in range(len(losses))], Seconds(0.1, 0.2, 0.3, 0.4))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


def _filled(path: Path) -> Log:
    journal = Journal(path, HEADER)
    journal.begin_attempt()
    journal.add_batch(_batch(0, 3.0, float("nan")))
    journal.add_measurement(Measurement(2, "dev", {"accuracy": 0.5}, Cost(examples=8), 0.01))
    journal.add_batch(_batch(2, 0.1, float("inf")))
    journal.close()
    return Log.read(path)


def test_what_is_written_is_read_back_to_the_bit(path: Path) -> None:
    log = _filled(path)
    assert log.header == HEADER
    assert (log.attempts, log.evaluations) == (1, 4)
    assert repr(log.batches) == repr([_batch(0, 3.0, float("nan")), _batch(2, 0.1, float("inf"))])
    assert log.measurements == [Measurement(2, "dev", {"accuracy": 0.5}, Cost(examples=8), 0.01)]


@given(st.data())
def test_a_journal_cut_anywhere_holds_whole_records_and_goes_on(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    _filled(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    journal = Journal(path, HEADER)
    kept = journal.log.evaluations
    assert kept in (0, 2, 4)
    journal.add_batch(_batch(kept, 9.0))
    journal.close()
    assert Log.read(path).evaluations == kept + 1
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_a_line_written_twice_counts_once(path: Path) -> None:
    _filled(path)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines, lines[-1], lines[-2]]))
    log = Log.read(path)
    assert (log.evaluations, len(log.batches), len(log.measurements)) == (4, 2, 1)


def test_every_process_stopped_since_the_last_batch_may_have_paid_for_the_next(path: Path) -> None:
    assert _filled(path).stopped == 0
    for stopped in (1, 2):
        journal = Journal(path, HEADER)
        journal.begin_attempt()
        assert journal.log.stopped == stopped
        journal.close()
    text = path.read_text()
    path.write_text(text + text.splitlines(keepends=True)[-1])
    log = Log.read(path)
    assert (log.attempts, log.stopped) == (3, 2)
    journal = Journal(path, HEADER)
    journal.add_batch(_batch(4, 7.0))
    journal.close()
    assert Log.read(path).stopped == 0


def test_a_run_under_way_ended_when_its_journal_was_last_written_however_often_it_is_read(path: Path) -> None:
    _filled(path)
    written = datetime(2025, 3, 4, 5, 6, 7, tzinfo=UTC).timestamp()
    os.utime(path, (written, written))

    log = Log.read(path)
    made = in_progress(toys.header(), log).provenance

    assert log.written == "2025-03-04T05:06:07+00:00"
    assert made
    assert made.ended == log.written


def test_damage_in_the_middle_is_named_and_never_skipped(path: Path) -> None:
    _filled(path)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(lines[0] + "{oops}\n" + "".join(lines[1:]))
    with pytest.raises(StoreError, match=f"damaged at byte {len(lines[0])}"):
        Log.read(path)


def test_a_second_writer_is_refused(path: Path) -> None:
    journal = Journal(path, HEADER)
    with pytest.raises(BusyError, match="another process"):
        Journal(path, HEADER)
    journal.close()
    Journal(path, HEADER).close()


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be written: No such file"):
        Journal(tmp_path / "nowhere" / "journal.jsonl", HEADER)
