import numpy as np
import pandas as pd
import pytest

from dfo_bench.errors import InputError, UnknownNameError
from dfo_bench.report.counting import Counting
from dfo_bench.report.scores import by_block, common_budgets, higher_is_better, scores
from tests.frames import store_of

INF, NAN = np.inf, np.nan

A0, B0, A1, B1 = [("sphere", optimizer, seed) for seed in (0, 1) for optimizer in ("a", "b")]
SEEN: dict[tuple[str, str, int], list[float]] = {A0: [5, 4, 3, 2], B0: [9, 8], A1: [NAN, 6, 1, 7], B1: []}
STATUS = {B0: "failed", B1: "failed"}
BUDGET = {B0: 4, B1: 4}


def table_of(**asked: object) -> dict[str, list[float]]:
    """Return the scores of each method, seed by seed."""
    found = by_block(scores(*store_of(SEEN, status=STATUS, budget=BUDGET), **asked))  # type: ignore[arg-type]
    return {str(name).partition(" ")[0]: list(column) for name, column in found.items()}


def test_a_score_is_the_best_loss_within_the_budget_and_a_failed_run_keeps_its_last() -> None:
    assert table_of() == {"a": [2, 1], "b": [8, INF]}
    assert table_of(budget=2) == {"a": [4, 6], "b": [8, INF]}
    assert table_of(budget=1) == {"a": [5, INF], "b": [9, INF]}


def test_under_worst_a_failed_run_is_infinite_from_its_end_on_and_not_before() -> None:
    assert table_of(counting=Counting.WORST) == {"a": [2, 1], "b": [INF, INF]}
    assert table_of(counting=Counting.WORST, budget=2) == {"a": [4, 6], "b": [8, INF]}


def test_under_drop_a_failed_run_is_not_there() -> None:
    assert table_of(counting=Counting.DROP) == {"a": [2, 1]}


def test_the_common_budget_is_the_smallest_of_a_task_and_a_baseline_has_none() -> None:
    runs, curves = store_of({
        ("sphere", "a", 0): [5, 4, 3], ("sphere", "b", 0): [6, 5, 4, 3, 2], ("sphere", "start", 0): [7],
        ("ackley", "start", 0): [3],
    })  # fmt: skip
    assert common_budgets(runs).to_dict() == {"sphere": 3, "ackley": 1}
    assert scores(runs, curves)["score"].to_list() == [3, 3, 4, 7]
    more, _ = store_of({("sphere", "random", 0): [5]})
    assert common_budgets(pd.concat([runs, more])).to_dict() == {"sphere": 1, "ackley": 1}  # a search, if a short one
    with pytest.raises(InputError, match="budget 9 is not within 1 to 1, the smallest on ackley"):
        scores(runs, curves, budget=9)


def test_a_metric_is_a_column_of_the_runs_and_is_missing_where_a_run_lacks_it() -> None:
    accuracy = {A0: 0.8, B0: 0.7, A1: 0.9}
    runs, curves = store_of(SEEN, status=STATUS, budget=BUDGET, test_accuracy=accuracy)
    found = by_block(scores(runs, curves, metric="test_accuracy")).to_numpy()
    assert np.array_equal(found, [[0.8, 0.7], [0.9, NAN]], equal_nan=True)
    worst = by_block(scores(runs, curves, metric="test_accuracy", counting=Counting.WORST))
    assert worst.to_numpy().tolist() == [[0.8, -INF], [0.9, -INF]]
    with pytest.raises(UnknownNameError, match="did you mean test_accuracy"):
        scores(runs, curves, metric="test_acuracy")
    with pytest.raises(InputError, match="at the end of runs only, not at budget 2"):
        scores(runs, curves, metric="test_accuracy", budget=2)


def test_which_way_a_metric_points() -> None:
    assert [higher_is_better(m) for m in ("loss", "dev_loss", "test_accuracy", "dev_f1")] == [False, False, True, True]


def test_runs_that_differ_in_nothing_that_is_shown_are_averaged() -> None:
    runs, curves = store_of({A0: [4.0], B0: [2.0]})
    assert scores(runs.assign(optimizer="a"), curves)["score"].to_list() == [3]


def test_where_no_run_counts_the_error_says_how_they_ended() -> None:
    runs, curves = store_of({B0: []}, status={B0: "failed"}, budget={B0: 4})
    with pytest.raises(InputError, match="none of the 1 runs counts: 1 failed; failed and unfinished runs are left"):
        scores(runs, curves, counting=Counting.DROP)
    with pytest.raises(InputError, match="holds no run yet"):
        scores(pd.DataFrame(), pd.DataFrame())
