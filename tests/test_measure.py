"""What dev scores and selects, under both rules, whatever the losses."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfo_bench.core import Anchor, Array, Cost, Dense, Points, Space, Task
from dfo_bench.errors import InputError, RunError
from dfo_bench.plugins.component import parse
from dfo_bench.runs.assembly import assemble
from dfo_bench.runs.defaults import Selection
from dfo_bench.runs.journal import Journal, Log
from dfo_bench.runs.measure import Measurer
from dfo_bench.runs.meter import Meter
from dfo_bench.runs.oracle import Oracle
from dfo_bench.runs.spec import RunSpec
from tests import toys


class Scored(Task):
    """The loss of a one-dimensional point is itself, its accuracy on dev another matter."""

    splits, metric = ("dev", "test"), "accuracy"

    def __init__(self) -> None:
        self.space = Space(1, None, None, Anchor.origin(1), 1.0)
        self.measured: list[tuple[str, float]] = []

    def evaluate(self, points: Points) -> Array:
        return points.dense()[:, 0]

    def measure(self, point: Points, split: str) -> tuple[dict[str, float], Cost]:
        x = float(point.dense()[0, 0])
        self.measured.append((split, x))
        return {"accuracy": accuracy(x)}, Cost()


def accuracy(x: float) -> float:
    return x * 7 % 5


def play(path: Path, batches: list[list[float]], selection: Selection) -> tuple[Scored, Measurer]:
    """Evaluate the batches, score dev after each and test at the end, and close the journal."""
    task, journal = Scored(), Journal(path, toys.header())
    meter = Meter(Oracle(task), sum(map(len, batches)), journal, lambda *_: None)
    measurer = Measurer(task, journal, selection)
    for batch in batches:
        meter.evaluate(Dense(np.array(batch)[:, None]))
        measurer.dev(meter)
    measurer.test(meter)
    journal.close()
    return task, measurer


def found(batches: list[list[float]], selection: Selection) -> list[tuple[int, int, float]]:
    """Return what dev has to score: after how many evaluations, found at which, and what."""
    scored, seen = [], list[float]()
    for batch in batches:
        seen += batch
        losses = [loss if loss > -np.inf else np.inf for loss in seen]
        at = int(np.argmin(losses)) if selection == "incumbent" else len(losses) - 1
        if losses[at] < np.inf:
            scored.append((len(seen), at + 1, seen[at]))
    return scored


LOSSES = st.lists(
    st.lists(st.integers(-9, 9).map(float) | st.sampled_from([np.nan, np.inf, -np.inf]), min_size=1, max_size=4),
    min_size=1,
    max_size=8,
)


@pytest.mark.parametrize("selection", ["incumbent", "current"])
@given(batches=LOSSES)
def test_dev_scores_by_its_rule_and_selects_the_first_of_the_best(
    tmp_path_factory: pytest.TempPathFactory, selection: Selection, batches: list[list[float]]
) -> None:
    path = tmp_path_factory.mktemp("measure") / "journal.jsonl"
    _, measurer = play(path, batches, selection)
    expected = found(batches, selection)
    dev = [m for m in Log.read(path).measurements if m.split == "dev"]
    assert [(m.evaluation, m.metrics["accuracy"]) for m in dev] == [(end, accuracy(x)) for end, _, x in expected]
    if expected:
        _, at, x = max(expected, key=lambda one: accuracy(one[2]))
        assert measurer.selected is not None
        assert (measurer.selected_at, measurer.selected.dense()[0, 0]) == (at, x)


@pytest.mark.parametrize("selection", ["incumbent", "current"])
@given(batches=LOSSES)
def test_a_replay_selects_the_same_and_measures_nothing(
    tmp_path_factory: pytest.TempPathFactory, selection: Selection, batches: list[list[float]]
) -> None:
    path = tmp_path_factory.mktemp("measure") / "journal.jsonl"
    first, again = (play(path, batches, selection) for _ in range(2))
    assert again[0].measured == []
    assert again[1].selected_at == first[1].selected_at


def test_where_dev_could_score_none_test_scores_the_incumbent(tmp_path: Path) -> None:
    task, measurer = play(tmp_path / "journal.jsonl", [[3.0, np.nan], [2.0, np.inf]], "current")
    assert task.measured == [("test", 2.0)]
    assert measurer.selected_at == 3


def test_a_metric_that_would_hide_a_column_is_refused_by_its_name(tmp_path: Path) -> None:
    class Every(Scored):
        def measure(self, point: Points, split: str) -> tuple[dict[str, float], Cost]:
            return {"every": 0.5}, Cost()

    with Journal(tmp_path / "journal.jsonl", toys.header()) as journal:
        task = Every()
        meter = Meter(Oracle(task), 1, journal, lambda *_: None)
        meter.evaluate(Dense(np.zeros((1, 1))))
        with pytest.raises(RunError, match="metric 'every', whose column dev_every is taken; rename it"):
            Measurer(task, journal, "incumbent").dev(meter)


def test_a_metric_that_selects_and_would_hide_a_column_is_refused_before_anything_is_paid() -> None:
    class Rows(Scored):
        metric = "rows"

    with pytest.raises(InputError, match="metric 'rows', whose column dev_rows is taken; rename it"):
        assemble(RunSpec(parse("sphere"), parse("random"), parse("normal")), Rows())
