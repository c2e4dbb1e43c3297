"""A newcomer runs alone and is compared with the finished runs of another store, once a few of these were verified."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dfo_bench
from dfo_bench.errors import InputError, StoreError
from dfo_bench.store.filenames import CURVE
from dfo_bench.store.store import Store
from dfo_bench.sweeps.events import Ended, Event, Listener

AXES: dict[str, Any] = {"tasks": ["toy"], "dim": 3, "budget": 30, "seeds": range(3)}
RESULTS = ["task", "optimizer", "seed", "best_loss", "status"]


class Counting(Listener):
    """Keeps the keys of the runs that a sweep made, and what it said."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.lines: list[str] = []

    def hear(self, event: Event) -> None:
        if isinstance(event, Ended):
            self.made.append(event.key)

    def tell(self, line: str) -> None:
        self.lines.append(line)


def _sweep(store: Path, **changed: Any) -> Store:
    return dfo_bench.sweep(**{**AXES, "listener": Listener(), **changed}, store=store)


@pytest.fixture
def board(tmp_path: Path, toys: Path) -> Store:
    return _sweep(tmp_path / "board", optimizers=["random", "cma:popsize=6"])


def test_the_newcomer_alone_is_run_and_stands_beside_everybody(board: Store, tmp_path: Path) -> None:
    listener = Counting()
    mine = _sweep(tmp_path / "mine", optimizers=["odd"], opponents=board.path, listener=listener)
    assert len(listener.made) == 3
    assert listener.lines == [f"6 runs of {board.path} taken over, 3 of them verified"]
    whole = _sweep(tmp_path / "whole", optimizers=["random", "cma:popsize=6", "odd"])
    found, expected = (store.runs().sort_values("key", ignore_index=True)[RESULTS] for store in (mine, whole))
    assert found.equals(expected)


def test_an_estimate_leaves_out_what_is_taken_over_and_refuses_what_a_sweep_refuses(
    board: Store, tmp_path: Path
) -> None:
    def asked(opponents: Path) -> dfo_bench.SweepRequest:
        request = {**AXES, "optimizers": ["odd", "random"], "store": tmp_path / "mine", "opponents": opponents}
        return dfo_bench.SweepRequest(**request)

    assert dfo_bench.estimate(asked(board.path)).calls == 3 * 30
    with pytest.raises(StoreError, match="does not exist"):
        dfo_bench.estimate(asked(tmp_path / "none"))


def test_the_same_command_takes_over_nothing_twice(board: Store, tmp_path: Path) -> None:
    listener = Counting()
    for _ in range(2):
        mine = _sweep(tmp_path / "mine", optimizers=["odd"], opponents=board.path, listener=listener)
    assert listener.lines[1] == f"6 runs of {board.path} are here"
    assert len(list(mine)) == 9


def test_runs_with_another_seed_dimension_or_task_stay_where_they_are(board: Store, tmp_path: Path) -> None:
    _sweep(board.path, optimizers=["random"], seeds=[7])
    _sweep(board.path, optimizers=["random"], dim=2)
    _sweep(board.path, optimizers=["random"], tasks=["sphere"])
    assert len(list(_sweep(tmp_path / "mine", optimizers=["odd"], opponents=board.path))) == 9


def test_a_method_that_the_opponents_have_is_not_run_again(board: Store, tmp_path: Path) -> None:
    mine = _sweep(tmp_path / "mine", optimizers=["odd", "random"], opponents=board.path)
    taken = mine.runs().query("optimizer == 'random'").set_index("key")["ended"]
    assert taken.equals(board.runs().query("optimizer == 'random'").set_index("key")["ended"][taken.index])


@pytest.mark.parametrize("changed", [{"tasks": ["sphere"]}, {"dim": 2}, {"budget": 20}, {"seeds": [0, 5]}])
def test_a_question_that_no_opponent_has_met_is_refused_with_those_they_have(
    board: Store, tmp_path: Path, changed: dict[str, Any]
) -> None:
    message = r"has no finished run on .*; it has toy \(dim 3, budget 30, seeds 0 to 2\)"
    with pytest.raises(InputError, match=message):
        _sweep(tmp_path / "mine", optimizers=["odd"], opponents=board.path, **changed)
    assert not (tmp_path / "mine").exists()


def test_opponents_that_this_machine_does_not_confirm_are_refused_before_anything_runs(
    board: Store, tmp_path: Path
) -> None:
    for key in board:
        path = board.path / key / CURVE
        table = pq.read_table(path)
        column = table.column_names.index("loss")
        pq.write_table(table.set_column(column, "loss", pa.array([9.0] * len(table))), path)
    listener = Counting()
    with pytest.raises(InputError, match=r"is not what is computed here.*leave out --opponents"):
        _sweep(tmp_path / "mine", optimizers=["odd"], opponents=board.path, listener=listener)
    assert not listener.made
    assert not list(Store(tmp_path / "mine"))


def test_a_folder_that_is_no_store_is_refused(tmp_path: Path, toys: Path) -> None:
    with pytest.raises(StoreError, match="nothing"):
        _sweep(tmp_path / "mine", optimizers=["odd"], opponents=tmp_path / "nothing")
