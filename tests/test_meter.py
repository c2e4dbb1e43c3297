from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dfo_bench.core import Anchor, Array, Dense, Points, Space, Task
from dfo_bench.errors import ReplayError, RunError
from dfo_bench.runs.journal import Journal, Log
from dfo_bench.runs.meter import Meter
from dfo_bench.runs.oracle import Oracle
from tests import toys

Losses = Callable[[Array], Array]


class Answering(Task):
    """Answers a one-dimensional point with whatever function it is given."""

    def __init__(self, answer: Losses) -> None:
        self.space = Space(1, None, None, Anchor.origin(1), 1.0)
        self.answer = answer
        self.seen: list[float] = []

    def evaluate(self, points: Points) -> Array:
        x = points.dense()[:, 0]
        self.seen += x.tolist()
        return self.answer(x)


def _meter(path: Path, answer: Losses = np.abs, budget: int = 10) -> Meter:
    return Meter(Oracle(Answering(answer)), budget, Journal(path, toys.header()), lambda spent, best, replayed: None)


def _points(*values: float) -> Points:
    return Dense(np.array(values, dtype=float)[:, None])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


class Rounding(Answering):
    """Two points that are one number when rounded are the same to it."""

    def identify(self, points: Points) -> list[str]:
        return [f"{x:.0f}" for x in points.dense()[:, 0]]

    def evaluate(self, points: Points) -> Array:
        return super().evaluate(Dense(points.dense().round()))


def test_what_comes_to_the_same_is_evaluated_once_and_counted_each_time_after_a_resume_too(path: Path) -> None:
    batches = (_points(1.1, 3, 0.9), _points(3.2, 2, 1))
    task = Rounding(np.abs)
    meter = Meter(Oracle(task), 10, Journal(path, toys.header()), lambda spent, best, replayed: None)
    told = [meter.evaluate(batch) for batch in batches]
    np.testing.assert_array_equal(told, [[1, 3, 1], [3, 2, 1]])
    assert (meter.spent, task.seen, [batch.repeats for batch in meter.batches]) == (6, [1, 3, 2], [1, 2])
    # What the journal holds is known to the next process.
    meter._journal.close()
    again = Rounding(np.abs)
    meter = Meter(Oracle(again), 10, Journal(path, toys.header()), lambda spent, best, replayed: None)
    np.testing.assert_array_equal([meter.evaluate(batch) for batch in (*batches, _points(2.4, 4, 3.3))][2], [2, 4, 3])
    assert again.seen == [4]


def test_losses_come_back_and_the_incumbent_is_the_best(path: Path) -> None:
    meter = _meter(path)
    np.testing.assert_array_equal(meter.evaluate(_points(3, -1, 2)), [3, 1, 2])
    meter.evaluate(_points(5, 1))
    assert (meter.spent, meter.best, meter.found_at) == (5, 1.0, 2)
    assert meter.incumbent is not None
    assert meter.incumbent.dense()[0, 0] == -1


def test_the_current_candidate_is_the_last_one_evaluated_and_none_where_it_failed(path: Path) -> None:
    meter = _meter(path, lambda x: np.where(x == 0, np.nan, x), budget=6)
    for batch, last in (((3, 2), 2), ((1, 0), None), ((0, 4, 9), 4)):
        meter.evaluate(_points(*batch))
        assert (None if meter.current is None else meter.current.dense()[0, 0]) == last


def test_a_batch_that_crosses_the_budget_is_cut_and_not_told(path: Path) -> None:
    meter = _meter(path, budget=4)
    assert meter.evaluate(_points(3, 2, 5)) is not None
    assert meter.evaluate(_points(1, 0)) is None
    assert (meter.spent, meter.best) == (4, 1.0)
    assert meter.events == []


def test_a_budget_below_the_first_batch_leaves_a_warning(path: Path) -> None:
    meter = _meter(path, budget=2)
    assert meter.evaluate(_points(3, 2, 1)) is None
    assert meter.best == 2.0
    assert "smaller than the first batch of 3" in meter.events[0]


@pytest.mark.parametrize("bad", [np.nan, -np.inf, np.inf])
def test_a_point_that_cannot_be_evaluated_costs_one_and_is_told_as_inf(path: Path, bad: float) -> None:
    meter = _meter(path, lambda x: np.where(x == 0, bad, x))
    np.testing.assert_array_equal(meter.evaluate(_points(0, 7)), [np.inf, 7])
    assert (meter.spent, meter.best) == (2, 7.0)
    np.testing.assert_array_equal(Log.read(path).batches[0].losses, [bad, 7])


def test_an_exception_costs_the_batch_and_three_in_a_row_fail_the_run(path: Path) -> None:
    def refuse(x: Array) -> Array:
        raise OSError("no answer")

    meter = _meter(path, refuse)
    for _ in range(2):
        np.testing.assert_array_equal(meter.evaluate(_points(1, 2)), [np.inf, np.inf])
    with pytest.raises(RunError, match="3 times in a row, at last OSError: no answer"):
        meter.evaluate(_points(3))
    log = Log.read(path)
    assert [batch.error for batch in log.batches] == ["OSError: no answer"] * 3
    assert log.evaluations == 5


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_run_without_one_finite_loss_fails_after_a_tenth_of_its_budget(path: Path, bad: float) -> None:
    meter = _meter(path, lambda x: np.full(len(x), bad), budget=1500)
    for _ in range(14):
        meter.evaluate(_points(*range(10)))
    with pytest.raises(RunError, match=rf"none of 150 evaluations gave a finite loss, the last was {bad}"):
        meter.evaluate(_points(*range(10)))


@pytest.mark.parametrize(("budget", "batch", "spent"), [(300, 1, 100), (300, 60, 180), (8000, 20, 800), (90, 10, 90)])
def test_it_fails_after_100_evaluations_and_3_batches_at_least(path: Path, budget: int, batch: int, spent: int) -> None:
    meter = _meter(path, lambda x: np.full(len(x), np.nan), budget=budget)
    try:
        while meter.spent < budget:
            meter.evaluate(_points(*range(batch)))
    except RunError:
        assert meter.spent < budget
    assert meter.spent == spent


def test_one_finite_loss_is_enough(path: Path) -> None:
    meter = _meter(path, lambda x: np.where(x == 0, 1.0, np.nan), budget=300)
    meter.evaluate(_points(0))
    for _ in range(299):
        meter.evaluate(_points(1))
    assert (meter.spent, meter.best) == (300, 1.0)


def test_a_run_without_a_finite_loss_goes_on_where_its_journal_does_and_has_as_many_tries_anew(path: Path) -> None:
    """A journal of another rule may hold more; and whoever tries again has mended something."""

    def spend(journal: Journal, calls: int) -> int:
        meter = Meter(Oracle(Answering(lambda x: np.full(len(x), np.nan))), 1000, journal, lambda *_: None)
        with suppress(RunError):
            for _ in range(calls):
                meter.evaluate(_points(*range(10)))
        return meter.spent

    with Journal(path, toys.header()) as journal:
        journal.begin_attempt()
        # Killed after the batch that would have failed it: the next process knows no more, and pays for nothing.
        assert spend(journal, 10) == 100
        assert spend(journal, 50) == 100
        journal.begin_attempt(retry=True)
        assert spend(journal, 50) == 200
        journal.begin_attempt(retry=True)
        assert spend(journal, 50) == 300


def test_losses_of_another_shape_are_an_error_of_the_task(path: Path) -> None:
    meter = _meter(path, lambda x: x[:-1])
    meter.evaluate(_points(1, 2))
    assert "shape (1,) for 2 points" in Log.read(path).batches[0].error


def test_points_of_another_space_fail_the_run(path: Path) -> None:
    with pytest.raises(RunError, match="Points of the task's space"):
        _meter(path).evaluate(Dense(np.zeros((2, 3))))


def test_a_batch_is_in_the_journal_before_anybody_is_told(path: Path) -> None:
    meter = _meter(path)
    meter.evaluate(_points(4))
    assert Log.read(path).batches[-1].losses == [4.0]


def test_a_replay_asks_the_task_for_nothing_and_other_points_are_refused(path: Path) -> None:
    journal = Journal(path, toys.header())
    journal.begin_attempt()
    first = Meter(Oracle(Answering(np.abs)), 9, journal, lambda *_: None)
    first.evaluate(_points(3, 2))
    journal.close()
    task = Answering(np.abs)
    journal = Journal(path, toys.header())
    journal.begin_attempt()
    again = Meter(Oracle(task), 9, journal, lambda *_: None)
    np.testing.assert_array_equal(again.evaluate(_points(3, 2)), [3, 2])
    assert task.seen == []
    again.evaluate(_points(1))
    assert task.seen == [1.0]
    assert [batch.repaid for batch in again.batches] == [0, 1]
    again._journal.close()
    other = Meter(Oracle(task), 9, Journal(path, toys.header()), lambda *_: None)
    with pytest.raises(ReplayError, match="evaluation 1"):
        other.evaluate(_points(3, 2.5))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    batches=st.lists(
        st.lists(st.floats(allow_nan=True, allow_infinity=True) | st.just(0.0), min_size=1, max_size=5),
        min_size=1,
        max_size=8,
    ),
    budget=st.integers(1, 20),
    stop=st.integers(0, 8),
)
def test_whatever_comes_the_budget_is_exact_and_a_resume_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[float]], budget: int, stop: int
) -> None:
    folder = tmp_path_factory.mktemp("meter")
    values = [np.array(batch) for batch in batches]

    def play(meter: Meter, number: int) -> None:
        for x in values[:number]:
            if meter.spent < budget:
                meter.evaluate(Dense(x[:, None]))

    whole = _meter(folder / "whole", lambda x: x, budget)
    play(whole, len(values))
    part = _meter(folder / "part", lambda x: x, budget)
    play(part, stop)
    part._journal.close()
    resumed = _meter(folder / "part", lambda x: x, budget)
    play(resumed, len(values))
    assert whole.spent == min(budget, sum(map(len, values)))
    assert (resumed.spent, resumed.best, resumed.found_at) == (whole.spent, whole.best, whole.found_at)
    told, again = (np.array([loss for batch in m.batches for loss in batch.losses]) for m in (whole, resumed))
    np.testing.assert_array_equal(told, again)
    finite = told[told > -np.inf]
    assert whole.best == (finite.min() if len(finite) else np.inf)
