"""Evaluations on some of a task's examples: what they cost, what counts as found, and who may ask for them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dfo_bench.core import Array, Dense, InputError
from dfo_bench.lm.engine import Engine
from dfo_bench.lm.losses import LOSSES
from dfo_bench.lm.templates import Encoded
from dfo_bench.plugins.component import parse
from dfo_bench.report.stats.costs import add_costs
from dfo_bench.runs.assembly import assemble
from dfo_bench.runs.calls import Calls
from dfo_bench.runs.journal import Batch, Log, Seconds
from dfo_bench.runs.spec import RunSpec
from dfo_bench.store.filenames import JOURNAL
from dfo_bench.store.store import Store
from dfo_bench.store.verify import verify
from dfo_bench.sweeps.execute import execute
from dfo_bench.testing import findings
from dfo_bench.testing.checks import title
from dfo_bench.testing.optimizers import completes_points
from tests import text_runs
from tests.tiny_lm import Zoo
from tests.toys import interrupt, planned

EXACT = ["evaluation", "loss", "best", "digest"]

HALVES = '''
import numpy as np
from dfo_bench.core import Array, ExampleOptimizer


class Halves(ExampleOptimizer):
    """Random points on one half of the examples, then on the other, or on what it is told to."""

    turn = -1

    def __init__(self, space, *, how: str = "", **given):
        super().__init__(space, **given)
        self.how = how

    def ask(self):
        self.turn += 1
        if self.turn % 2 == 0:
            self.x = self.rng.standard_normal((5, self.space.dim))
        examples = np.arange(self.examples)[self.turn % 2 :: 2]
        if self.how == "whole":
            return self.x
        return self.x, {"beyond": examples + 1, "twice": examples // 4, "none": examples[:0]}.get(self.how, examples)

    def tell(self, x: Array, losses: Array) -> None:
        assert losses.shape == (5,)
        if self.how == "first":
            self.turn += 1
'''


@pytest.fixture
def halves(tmp_path: Path) -> str:
    path = tmp_path / "halves.py"
    path.write_text(HALVES)
    return str(path)


@pytest.fixture
def store(tmp_path: Path, toys: Path) -> Store:
    return Store.create(tmp_path / "store")


def _spec(optimizer: str, task: str = "toy", budget: int = 40) -> RunSpec:
    return planned(task, optimizer, dim=3, budget=budget)


def _batch(digests: str, examples: tuple[int, ...], *losses: float) -> Batch:
    return Batch(0, list(losses), list(digests), Seconds(0, 0, 0, 0), examples=examples)


def test_a_point_is_complete_once_its_parts_are_all_and_has_their_mean() -> None:
    calls = Calls(4)
    assert [row.digest for row in calls.add(_batch("ab", (0, 3), 1.0, 5.0))] == [""]
    # The same examples again add nothing, and neither do some of them with others.
    assert np.isnan([row.loss for row in calls.add(_batch("ab", (1, 3), 0.0, 0.0))]).all()
    (row,) = calls.add(_batch("ab", (1, 2), 2.0, 3.0))
    assert (row.digest, row.loss) == ("a", 1.5)
    # A whole evaluation needs no parts, and one that failed in part has failed.
    assert [row.digest for row in calls.add(_batch("c", (), 7.0))] == ["c"]
    calls.add(_batch("d", (0, 1, 2), np.nan))
    assert [row.digest for row in calls.add(_batch("d", (3,), 0.0))] == [""]


def test_what_is_complete_within_a_call_counts_at_its_end_and_the_best_of_them_stands() -> None:
    calls = Calls(4)
    assert len(calls.add(_batch("abc", (0, 1), 3.0, 1.0, 2.0))) == 1
    # 6 parts were spent; a is complete at 8, b at 10, c at 12.
    assert [row.digest for row in calls.add(_batch("abc", (2, 3), 3.0, 1.0, 2.0))] == ["a", "b"]
    calls = Calls(4)
    calls.add(_batch("ab", (0, 1, 2), 3.0, 1.0))
    assert [row.digest for row in calls.add(_batch("ab", (3,), 3.0, 1.0))] == ["b"]


def test_a_run_spends_its_budget_in_example_calls_and_a_partial_loss_is_never_its_best(
    store: Store, halves: str, toys: Path
) -> None:
    interrupt(_spec(halves), store.path, after=38)
    key = assemble(_spec(halves)).key
    log = Log.read(store.path / key / JOURNAL)
    assert log.header
    assert (log.header.unit, log.evaluations) == (12, sum(6 * len(batch.losses) for batch in log.batches) // 12)
    partial = min(loss for batch in log.batches for loss in batch.losses)
    running = store.runs().iloc[0]
    assert running["best_loss"] > partial
    summary = execute(_spec(halves), store.path)
    curve = store.curves()
    assert (summary.status, summary.evaluations) == ("finished", 40)
    assert curve["evaluation"].tolist() == list(range(1, 41))
    # Of five points the first half takes two calls and a half, and in the rest of five calls all are completed.
    assert curve["loss"].isna().tolist() == 8 * [True, True, False, False, False]
    assert summary.best_loss == curve["best"].iloc[-1] == curve["loss"].min()
    rows = add_costs(store.runs(), curve, curve)
    assert rows["examples"].tolist() == (2.0 * curve["evaluation"]).tolist()


@pytest.mark.parametrize("optimizer", ["halving:inner=(cma:popsize=6)", "race:inner=(cma:popsize=6)"])
@pytest.mark.parametrize("task", ["toy", "toy:fail=nan", "toy:steps=true"])
def test_a_run_that_was_interrupted_is_the_same_to_the_bit(
    store: Store, tmp_path: Path, optimizer: str, task: str
) -> None:
    whole = execute(_spec(optimizer, task), store.path)
    other = Store.create(tmp_path / "other")
    for after in (7, 29):
        interrupt(_spec(optimizer, task), other.path, after)
    resumed = execute(_spec(optimizer, task), other.path)
    pd.testing.assert_frame_equal(other.curves()[EXACT], store.curves()[EXACT], check_exact=True)
    assert (resumed.best_loss, resumed.incumbent, resumed.selected) == (
        whole.best_loss,
        whole.incumbent,
        whole.selected,
    )
    assert [m.metrics for m in resumed.measurements] == [m.metrics for m in whole.measurements]


def test_other_examples_of_the_same_points_are_no_replay(store: Store, halves: str) -> None:
    interrupt(_spec(halves), store.path, after=20)
    path = store.path / assemble(_spec(halves)).key / JOURNAL
    path.write_text(path.read_text().replace("[0, 2, 4, 6, 8, 10]", "[0, 2, 4, 6, 8, 11]"))
    summary = execute(_spec(halves), store.path)
    assert (summary.status, summary.discarded) == ("finished", 20)


def test_what_was_found_is_evaluated_again_by_verify(store: Store) -> None:
    execute(_spec("race"), store.path)
    (verdict,) = verify(store)
    assert (verdict.agrees, verdict.compared) == (True, 1)
    assert verdict.notes == ["not replayed: losses on some examples only are not kept of a run that has ended"]


@pytest.mark.parametrize("optimizer", ["halving", "race"])
@pytest.mark.parametrize("budget", [1, 2, 7])
def test_the_smallest_budgets_have_a_best_point(store: Store, optimizer: str, budget: int) -> None:
    summary = execute(_spec(optimizer, budget=budget), store.path)
    assert (summary.status, summary.evaluations) == ("finished", budget)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("beyond", r"ask returned the examples \[ 1  3 .* 11\]; there are 0 to 10"),
        ("twice", r"ask returned the examples \[0 0 1 .*\]; they must be different ones"),
        ("none", r"ask returned the examples \[\]; they must be different ones"),
        ("whole", r"ask returned a ndarray; it must be points and examples"),
        ("first", r"no evaluation succeeded: every loss is nan or infinite, or of some of the examples only"),
    ],
)
def test_an_optimizer_that_asks_amiss_fails_its_run(store: Store, halves: str, how: str, message: str) -> None:
    summary = execute(_spec(f"{halves}:how={how}", "toy:dim=11"), store.path)
    assert summary.status == "failed"
    assert pd.Series([summary.error]).str.contains(message).all(), summary.error
    assert store.curves()["best"].isin([np.inf]).all()
    # Whoever tries again begins anew: there is nothing left to evaluate.
    again = execute(_spec(f"{halves}:how={how}", "toy:dim=11"), store.path)
    assert bool(again.discarded) == (how == "first")


def test_the_kit_finds_who_completes_no_point(halves: str) -> None:
    found = {check: problem for check, problem in findings("optimizer", parse(f"{halves}:how=first")) if problem}
    assert found == {title(completes_points): "of a budget of 1 no point has seen all 12 examples"}


@pytest.mark.parametrize(
    ("task", "optimizer", "message"),
    [
        (
            "rastrigin",
            "race",
            r"task rastrigin is only had whole: its loss is one number.* are .*least_squares.*sphere",
        ),
        ("sphere:tail=true", "halving", "only had whole: with tail=true there would be an output for every coordinate"),
        ("sphere", "rembo:inner=race", "race chooses examples and cannot stand inside rembo; .*-o race"),
        ("sphere", "halving:inner=race", "race chooses examples and cannot stand inside halving"),
        ("sphere", "race:inner=composite", "composite sees outputs and cannot stand inside race, which is told losses"),
    ],
)
def test_who_cannot_be_served_is_refused(task: str, optimizer: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        assemble(_spec(optimizer, task)).search(1.0, 40, [])


@pytest.mark.parametrize("task", ["sphere", "least_squares", "tanh_net"])
def test_parts_of_a_sum_of_squares_are_its_mean(task: str) -> None:
    built: Any = assemble(_spec("random", task)).task
    points = Dense(np.random.default_rng(0).uniform(-1, 1, (3, built.space.dim)))
    count = built.outer.shape[0]
    parts = np.array_split(np.arange(count), 3)
    losses = [len(part) / count * built.evaluate_on(points, part.tolist()) for part in parts]
    np.testing.assert_allclose(sum(losses), built.evaluate(points), rtol=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
def test_of_a_text_task_only_the_texts_that_are_asked_for_are_read(
    zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loss: str
) -> None:
    task = assemble(text_runs.planned(Store.create(tmp_path / "store"), zoo.folder(), loss=loss)).task
    points = Dense(np.random.default_rng(0).standard_normal((2, task.space.dim)))
    points.x[1] = 1e300
    whole = task.evaluate(points)
    read: list[int] = []
    logits = Engine.logits

    def noting(engine: Engine, prompts: Any, texts: Sequence[Encoded]) -> Array:
        read.append(len(texts))
        return logits(engine, prompts, texts)

    monkeypatch.setattr(Engine, "logits", noting)
    parts = [task.evaluate_on(points, part) for part in ((0, 3), (1, 2, 4, 5))]
    assert read == [2, 4]
    np.testing.assert_allclose((parts[0] + 2 * parts[1]) / 3, whole, atol=task.tolerance)
    assert np.isnan(whole).tolist() == [False, True]


@pytest.mark.parametrize("given", [{"calibrate": "bias"}, {"loss": "perf"}])
def test_a_text_loss_that_is_no_mean_is_only_had_whole(zoo: Zoo, tmp_path: Path, given: dict[str, str]) -> None:
    (name,) = given
    with pytest.raises(InputError, match=f"is only had whole: {name}={given[name]} .*; pass {name}="):
        assemble(text_runs.planned(Store.create(tmp_path / "store"), zoo.folder(), "race", **given))


def test_a_part_that_was_known_of_the_same_words_costs_nothing(zoo: Zoo, tmp_path: Path) -> None:
    store = Store.create(tmp_path / "store")
    summary = text_runs.run(
        store, zoo.folder(), "halving:inner=(cma:popsize=6),eta=2", mode="words", head="masked",
        template="{text} . it was [MASK]",
    )  # fmt: skip
    assert summary.cost
    assert 0 < summary.repeats < summary.evaluations == 12
    assert store.runs()["examples"].iloc[0] == (12 - summary.repeats) * summary.cost.examples
