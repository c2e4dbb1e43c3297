"""What is said of a sweep before it is paid."""

import math
from pathlib import Path
from typing import Any

import pytest

import dfo_bench
from dfo_bench.core import Array, Points
from dfo_bench.errors import InputError
from dfo_bench.lm import TextTask
from dfo_bench.runs.defaults import DEV_EVERY
from dfo_bench.sweeps.estimate import Estimate
from dfo_bench.sweeps.events import Listener
from dfo_bench.sweeps.request import SweepRequest
from dfo_bench.sweeps.sweep import _prepare
from tests import toys
from tests.texts_of import written
from tests.tiny_lm import Zoo

AXES: dict[str, Any] = {"tasks": ["toy"], "optimizers": ["odd", "start"], "dim": 3, "budget": 30, "dev_every": 10}


def estimate(store: Path, **changed: Any) -> Estimate:
    return dfo_bench.estimate(SweepRequest(**{**AXES, "store": store, **changed}))


@pytest.fixture
def path(tmp_path: Path, toys: Path) -> Path:
    return tmp_path / "store"


def test_it_counts_runs_calls_scores_tokens_and_bytes_and_writes_nothing(path: Path, tmp_path: Path) -> None:
    ahead = estimate(path, tasks=[f"toy:log={tmp_path / 'log'}"], seeds=range(2))
    assert (ahead.runs, ahead.finished, ahead.calls) == (4, 0, 62)
    # Dev after 10, 20 and 30 evaluations, or after the only one, and test.
    assert ahead.scores == 2 * (3 + 1 + 1 + 1)
    assert (ahead.tokens, ahead.bytes_up, ahead.bytes_up_prompt) == (62 * 30, 62 * (100 + 12), 62 * 500)
    assert not path.exists()
    assert not (tmp_path / "log").exists()


def test_what_a_store_holds_is_not_paid_again(path: Path) -> None:
    path.mkdir()
    dfo_bench.sweep(**{**AXES, "optimizers": ["start"]}, store=path, listener=Listener())
    assert (estimate(path).runs, estimate(path).finished, estimate(path).calls) == (2, 1, 30)
    toys.interrupt(toys.planned("toy", "odd", dim=3, budget=40), path, after=10)
    assert estimate(path, optimizers=["odd"], budget=40, dev_every=DEV_EVERY).calls == 30
    dfo_bench.sweep(**AXES, store=path, listener=Listener())
    done = estimate(path)
    assert (done.finished, done.calls, done.scores, done.tokens) == (2, 0, 0, 0)
    assert done.lines == ["0 of 2 runs ahead: 0 calls"]


def test_money_is_the_price_of_a_million_tokens_times_all_of_them(path: Path) -> None:
    assert estimate(path).money is None
    assert estimate(path, price=2.0).money == pytest.approx(2.0 * 31 * 30 / 1e6)
    assert estimate(path, price=2.0).lines[-1] == "money: 0.0019, at 2 per million tokens"
    for price in (-1.0, math.nan, math.inf):
        with pytest.raises(InputError, match=r"price must be a number per million tokens, 0 or more, got"):
            estimate(path, price=price)


def test_a_model_is_timed_and_what_is_not_known_is_said(path: Path, tmp_path: Path, zoo: Zoo) -> None:
    assert estimate(path).untimed == 2
    texts = written(tmp_path, zoo.folder(), prompt_tokens=2)
    ahead = estimate(path, tasks=[texts], optimizers=["random"], references=False)
    assert ahead.untimed == 0
    assert ahead.seconds > 0
    mixed = estimate(path, tasks=[texts, "toy"], optimizers=["random"], references=False)
    assert mixed.lines[3].endswith(" here, models only; 1 run not timed")


def test_the_tokens_of_a_text_task_are_those_that_its_runs_count(path: Path, tmp_path: Path, zoo: Zoo) -> None:
    axes = {
        **AXES,
        "tasks": [written(tmp_path, zoo.folder(), prompt_tokens=2)],
        "optimizers": ["random"],
        "budget": 6,
        "dev_every": 6,
    }
    ahead = estimate(path, **axes)
    runs = dfo_bench.sweep(**axes, store=path, price=3.0, listener=Listener()).runs()
    spent = (runs["tokens"] + runs["measuring_tokens"]).sum()
    assert ahead.runs == len(runs)
    # The checks evaluate the start once with the prompt and once without.
    once = (runs["tokens"] / runs["evaluations"]).unique()
    assert ahead.checks == len(once) == 2
    assert ahead.tokens == spent + once.sum()
    assert runs["money"].sum() == pytest.approx(3.0 * spent / 1e6)


def test_starts_are_evaluated_once_by_a_sweep_and_never_by_its_estimate(
    path: Path, tmp_path: Path, zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated: list[int] = []
    evaluate = TextTask.evaluate

    def counted(self: TextTask, points: Points) -> Array:
        evaluated.append(self.prompt_tokens)
        return evaluate(self, points)

    monkeypatch.setattr(TextTask, "evaluate", counted)
    plain = written(tmp_path, zoo.folder(), prompt_tokens=2)
    axes = {**AXES, "tasks": [plain, f"{plain},calibrate=bias"], "optimizers": ["random"], "references": False}
    asked = estimate(path, **axes)
    assert asked.checks == 3
    assert evaluated == []
    # What needs no evaluation is said.
    assert any(line.endswith("for test") for line in asked.known)
    assert any("equal outputs for all labels: loss 0.69" in line for line in asked.known)
    assert not any("start" in line for line in asked.known)
    _, ahead, *_ = _prepare(SweepRequest(**axes, store=path))
    assert ahead.checks == 3
    assert sorted(evaluated) == [0, 2, 2]
    assert "3 calls more for the checks at the start, in no budget" in ahead.lines


def test_a_line_has_80_characters_at_most() -> None:
    large = Estimate(
        runs=10_000,
        finished=1_000,
        calls=80_000_000,
        checks=100,
        fits=800_000,
        scores=800_000,
        tokens=10**13,
        bytes_up=10**13,
        bytes_up_prompt=10**15,
        bytes_down=10**12,
        seconds=1e8,
        workers=64,
        untimed=1_000,
        price=0.15,
    )
    assert max(map(len, large.lines)) <= 80
