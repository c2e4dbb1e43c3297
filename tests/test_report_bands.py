import numpy as np
import pandas as pd
import pytest

from dfo_bench.report.counting import Counting
from dfo_bench.report.stats.bands import loss_bands, quartiles, score_bands
from dfo_bench.report.stats.costs import add_costs
from tests.frames import NO_MEASURES, Case, curves_of, measures_of, one_task, run, runs_of, store_of

INF, NAN = np.inf, np.nan


def bands_of(
    runs: pd.DataFrame, curves: pd.DataFrame, axis: str = "evaluation", counting: Counting = Counting.LAST
) -> pd.DataFrame:
    return loss_bands(runs, add_costs(runs, curves, curves), axis, counting=counting)


def accuracy_bands(runs: pd.DataFrame, measures: pd.DataFrame) -> pd.DataFrame:
    return score_bands(runs, add_costs(runs, curves_of(k0=[1.0]), measures), "evaluation")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([4.0, 1.0, 3.0, 2.0], [1.75, 2.5, 3.25]),
        ([7.0], [7, 7, 7]),
        ([1.0, 2.0, INF], [1.5, 2, INF]),
        ([1.0, INF], [INF, INF, INF]),
        ([1.0, 2.0, 3.0, 4.0, INF], [2, 3, 4]),
        ([INF, INF], [INF, INF, INF]),
    ],
)
def test_quartiles_interpolate_and_next_to_infinity_the_worse_neighbour_stands(
    values: list[float], expected: list[float]
) -> None:
    assert list(quartiles(np.array(values)[:, None])[:, 0]) == expected


def test_a_band_is_the_quartiles_of_the_incumbents_of_its_seeds() -> None:
    bands = bands_of(runs_of({}, {}, {}), curves_of(k0=[4, 3, 9, 1], k1=[8, 7, 6, 5], k2=[NAN, 2, 2, 2]))
    assert list(bands["evaluation"]) == [1, 2, 3, 4]
    assert list(bands["median"]) == [8, 3, 3, 2]
    assert list(bands["lower"]) == [6, 2.5, 2.5, 1.5]
    assert list(bands["upper"]) == [INF, 5, 4.5, 3.5]
    assert set(bands["n"]) == {3}


def test_a_run_that_ended_early_counts_with_its_last_best() -> None:
    runs = runs_of({}, {"status": "failed", "evaluations": 2})
    bands = bands_of(runs, curves_of(k0=[4, 3, 2, 1], k1=[8, 6]))
    assert list(bands["median"]) == [6, 4.5, 4, 3.5]


def test_a_run_that_failed_before_its_first_evaluation_counts_as_infinite() -> None:
    runs = runs_of({}, {}, {"status": "failed", "evaluations": 0, "best_loss": INF})
    bands = bands_of(runs, curves_of(k0=[1, 1, 1, 1], k1=[2, 2, 2, 2]))
    assert list(bands["median"]) == [2] * 4
    assert list(bands["upper"]) == [INF] * 4


def test_a_run_that_still_waits_does_not_count() -> None:
    runs = runs_of({}, {"status": "unfinished", "evaluations": 0, "best_loss": INF})
    assert set(bands_of(runs, curves_of(k0=[1, 1, 1, 1]))["n"]) == {1}


def test_a_curve_ends_where_the_longest_unfinished_run_has_come() -> None:
    runs = runs_of({"status": "unfinished", "evaluations": 2}, {"status": "unfinished", "evaluations": 1})
    assert list(bands_of(runs, curves_of(k0=[3, 2], k1=[5]))["median"]) == [4, 3.5]


def test_a_baseline_of_one_evaluation_is_level_to_the_end_of_the_longest_curve_of_its_task() -> None:
    start = {"optimizer": "start", "baseline": True, "budget": 1, "evaluations": 1}
    ackley = {"task": "ackley", "evaluations": 3, "status": "unfinished"}
    runs = runs_of({}, ackley, start, {**start, "task": "ackley"})
    curves = curves_of(k0=[4, 3, 2, 1], k1=[8, 7, 6], k2=[5], k3=[9])
    bands = bands_of(runs, curves).query("optimizer == 'start'")
    assert bands[["task", "evaluation", "median"]].values.tolist() == [
        ["ackley", 1, 9], ["ackley", 3, 9], ["sphere", 1, 5], ["sphere", 4, 5]]  # fmt: skip
    measures = measures_of(("k0", 2, 0.5), ("k0", 4, 0.7), ("k2", 1, 0.3))
    bands = accuracy_bands(runs, measures).query("optimizer == 'start'")
    assert bands[["evaluation", "median"]].values.tolist() == [[1, 0.3], [4, 0.3]]


def test_a_baseline_alone_is_one_point() -> None:
    bands = bands_of(runs_of({"baseline": True, "budget": 1, "evaluations": 1}), curves_of(k0=[5]))
    assert list(bands["evaluation"]) == [1]


def test_a_search_of_one_evaluation_is_no_baseline() -> None:
    bands = bands_of(runs_of({}, {"optimizer": "random", "budget": 1, "evaluations": 1}), curves_of(k0=[4, 3], k1=[5]))
    assert list(bands.groupby("optimizer").size()) == [4, 1]


def test_runs_of_several_budgets_are_groups_of_their_own() -> None:
    runs = runs_of({}, {"budget": 2, "evaluations": 2})
    assert list(bands_of(runs, curves_of(k0=[4, 3, 2, 1], k1=[8, 6])).groupby("budget").size()) == [2, 4]


def test_a_metric_begins_where_every_run_that_has_it_was_measured() -> None:
    measures = measures_of(("k0", 2, 0.5), ("k0", 4, 0.7), ("k1", 1, 0.3), ("k1", 3, 0.9), ("k2", 1, NAN))
    bands = accuracy_bands(runs_of({}, {}, {}), measures)
    assert list(bands["evaluation"]) == [2, 3, 4]
    assert list(bands["median"]) == pytest.approx([0.4, 0.7, 0.8])
    assert set(bands["n"]) == {2}
    assert accuracy_bands(runs_of({}), NO_MEASURES).empty


def test_failed_runs_count_by_the_rule_on_every_axis() -> None:
    cut: Case = ("s", "a", 1)
    runs, curves = store_of(
        {("s", "a", 0): [5, 4, 3, 2], cut: [9, 8]},
        status={cut: "failed"}, budget={cut: 4}, tokens={("s", "a", 0): 40.0, cut: 20.0},
    )  # fmt: skip
    for axis, at in {"evaluation": [1, 2, 3, 4], "tokens": [10, 20, 30, 40]}.items():
        bands = [bands_of(runs, curves, axis, rule) for rule in Counting]
        assert [list(band["upper"]) for band in bands] == [[8, 7, 6.75, 6.5], [8, 7, INF, INF], [5, 4, 3, 2]]
        assert [list(band["high"]) for band in bands[:2]] == [[9, 8, 8, 8], [9, 8, INF, INF]]
        assert list(bands[0][axis]) == at


def test_a_curve_against_a_cost_has_its_steps_where_each_run_had_spent_that_much() -> None:
    seen: dict[Case, list[float]] = {("s", "a", 0): [4, 3, 2, 1], ("s", "a", 1): [8, 7, 6, 5]}
    band = bands_of(*store_of(seen, tokens={("s", "a", 0): 40, ("s", "a", 1): 80}), "tokens")
    # The first run has used its budget up at 40 tokens, where the second has made two calls, and holds its best.
    assert band["tokens"].tolist() == [20, 40, 60, 80]
    assert band["median"].tolist() == [(3 + 8) / 2, (1 + 7) / 2, (1 + 6) / 2, (1 + 5) / 2]
    assert set(band["n"]) == {2}


def test_a_batch_counts_when_it_has_ended() -> None:
    runs, curves = store_of({("s", "a", 0): [4, 3, 2, 1]}, task_seconds={("s", "a", 0): 8.0})
    band = bands_of(runs, curves.assign(task_seconds=[2.0, 4.0, 4.0, 8.0], optimizer_seconds=0.0), "task_seconds")
    assert dict(zip(band["task_seconds"], band["median"], strict=True)) == {2: 4, 4: 2, 6: 2, 8: 1}


def test_an_unfinished_group_ends_where_its_dearest_run_has_come() -> None:
    rows = [run(budget=9, evaluations=n, seed=n, status="unfinished", tokens=10 * n) for n in (2, 3)]
    runs, curves, _ = one_task(*rows)
    assert bands_of(runs, curves, "tokens")["tokens"].max() == 30


def test_a_cost_that_no_run_has_gives_no_band_and_divides_by_nothing() -> None:
    runs, curves, measures = one_task(
        run(evaluations=0, status="failed", tokens=0, task_seconds=0.0, optimizer_seconds=0.0), run(seed=1, tokens=0)
    )
    with np.errstate(all="raise"):
        assert bands_of(runs, curves, "tokens").empty
        assert accuracy_bands(runs, measures).empty
        assert not bands_of(runs, curves).empty


def test_a_baseline_is_as_long_as_the_dearest_run_of_its_task() -> None:
    runs, curves, _ = one_task(run(budget=9, evaluations=9, tokens=90), run(optimizer="start", tokens=10))
    band = bands_of(runs, curves, "tokens")
    assert band[band["optimizer"] == "start"]["tokens"].tolist() == [10, 90]
