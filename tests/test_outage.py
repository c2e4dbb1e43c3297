"""A task that is unavailable: waited for within its patience, then interrupted, and nothing is counted."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dfo_bench
from dfo_bench.errors import Unavailable
from dfo_bench.runs.journal import Log
from dfo_bench.runs.outage import Patience
from dfo_bench.store.filenames import JOURNAL
from dfo_bench.store.store import Store
from dfo_bench.sweeps.events import Ended, Event, Listener
from dfo_bench.sweeps.execute import execute
from tests import toys


class Clock:
    """A clock that only sleeping moves; every pause is kept."""

    def __init__(self) -> None:
        self.now, self.pauses = 0.0, list[float]()

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.pauses.append(seconds)


def refusing(times: float) -> Callable[[], str]:
    """Return a call that is unavailable so many times, then answers."""
    left = times

    def call() -> str:
        nonlocal left
        left -= 1
        if left >= 0:
            raise Unavailable("the service is down")
        return "here"

    return call


def patience(clock: Clock, seconds: float = 900.0, draw: float = 1.0) -> Patience:
    return Patience(seconds, sleep=clock.sleep, clock=lambda: clock.now, draw=lambda: draw)


def test_pauses_double_up_to_a_minute_and_one_event_tells_of_them() -> None:
    waiting = patience(clock := Clock())
    assert waiting.ask(refusing(8)) == "here"
    assert clock.pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    assert waiting.events == ["unavailable for a time: the service is down"]


def test_jitter_takes_up_to_half_of_a_pause() -> None:
    patience(clock := Clock(), draw=0.0).ask(refusing(3))
    assert clock.pauses == [0.5, 1, 2]


def test_an_outage_is_raised_when_patience_is_over_and_not_before_a_last_call() -> None:
    with pytest.raises(Unavailable):
        patience(clock := Clock(), 10.0).ask(refusing(np.inf))
    assert clock.pauses == [1, 2, 4, 3]


def test_who_is_stopped_while_waiting_has_nothing_in_flight() -> None:
    def stop(seconds: float) -> None:
        raise KeyboardInterrupt

    waiting = Patience(10.0, sleep=stop)
    with pytest.raises(KeyboardInterrupt):
        waiting.ask(refusing(1))
    assert waiting.waiting
    waiting.ask(refusing(0))
    assert not waiting.waiting


def test_every_outage_has_the_whole_patience() -> None:
    waiting = patience(clock := Clock(), 10.0)
    assert [waiting.ask(refusing(3)) for _ in range(3)] == ["here"] * 3
    assert sum(clock.pauses) == 21


@pytest.fixture
def store(tmp_path: Path, toys: Path) -> Store:
    return Store.create(tmp_path / "store")


@pytest.mark.parametrize("at", ["evaluate", "dev", "test"])
def test_a_run_is_interrupted_and_goes_on_as_if_nothing_had_been(store: Store, tmp_path: Path, at: str) -> None:
    down = tmp_path / "down"
    down.write_text(at)
    spec = toys.planned(f"toy:down={down},log={tmp_path / 'log'}", "odd", dim=3, budget=20)
    with pytest.raises(Unavailable, match=f"no {at}"):
        execute(spec, store.path)
    (begun,) = store.runs().to_dict("records")
    assert (begun["status"], begun["evaluations"]) == ("unfinished", 5 if at == "evaluate" else 20)
    down.unlink()
    summary = execute(spec, store.path)
    assert (summary.status, summary.evaluations, summary.attempts) == ("finished", 20, 2)
    assert (summary.repaid, summary.discarded, summary.lost) == (0, 0, 0)
    asked = (tmp_path / "log").read_text().splitlines()
    assert len(asked) == len(set(asked))


def test_what_was_in_flight_of_a_process_that_was_killed_before_an_outage_is_still_counted(
    store: Store, tmp_path: Path
) -> None:
    down = tmp_path / "down"
    spec = toys.planned(f"toy:down={down}", "odd", dim=3, budget=20)
    toys.interrupt(spec, store.path, after=5)
    down.write_text("evaluate")
    with pytest.raises(Unavailable):
        execute(spec, store.path)
    down.unlink()
    assert execute(spec, store.path).repaid == 5


def test_a_failed_run_that_is_tried_again_asks_anew_for_what_was_never_answered(store: Store, tmp_path: Path) -> None:
    down = tmp_path / "down"
    whole = execute(toys.planned("toy", "odd", dim=3, budget=40), store.path)
    spec = toys.planned(f"toy:down={down}", "odd", dim=3, budget=40)
    toys.interrupt(spec, store.path, after=10)
    down.write_text("refuse")
    assert (execute(spec, store.path).status, execute(spec, store.path).lost) == ("failed", 15)
    down.unlink()
    summary = execute(spec, store.path)
    assert (summary.status, summary.evaluations, summary.lost) == ("finished", 40, 30)
    assert summary.best_loss == whole.best_loss
    assert store.runs().set_index("task").at[f"toy:down={down}", "lost"] == 30


@pytest.mark.parametrize("optimizer", ["odd", "adam"])
def test_what_an_optimizer_was_told_is_asked_for_anew_too(store: Store, tmp_path: Path, optimizer: str) -> None:
    down = tmp_path / "down"
    down.write_text("refuse")
    spec = toys.planned(f"toy:down={down}", optimizer, dim=3, budget=20)
    failed = execute(spec, store.path)
    assert failed.status == "failed"
    log = Log.read(store.path / failed.key / JOURNAL)
    assert log.unanswered == len(log.batches) - 1 == 3
    down.unlink()
    assert execute(spec, store.path).status == "finished"


def test_a_sweep_goes_on_with_its_other_runs_and_tells_of_those_interrupted(store: Store, tmp_path: Path) -> None:
    heard: list[Ended] = []

    class Hearing(Listener):
        def hear(self, event: Event) -> None:
            if isinstance(event, Ended):
                heard.append(event)

    down = tmp_path / "down"
    down.write_text("evaluate")
    axes: dict[str, Any] = {"optimizers": ["odd"], "dim": 3, "budget": 20, "store": store.path}
    dfo_bench.sweep(tasks=[f"toy:down={down}", "toy"], listener=Hearing(), **axes)
    assert [(event.interrupted, event.failed) for event in heard] == [(True, False), (False, False)]
    assert heard[0].error == "interrupted, its task is unavailable: no evaluate"
    down.unlink()
    assert set(dfo_bench.sweep(tasks=[f"toy:down={down}"], listener=Listener(), **axes).runs()["status"]) == {
        "finished"
    }
