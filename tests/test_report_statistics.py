"""The numbers of the report against cases worked out by hand."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dfo_bench.report.format import count, precision, seconds, size
from dfo_bench.report.labels import looks
from dfo_bench.report.page.cautions import cautions
from dfo_bench.report.stats.statistics import (
    curve_bands,
    grid,
    measure_bands,
    quartiles,
    spans_decades,
    steps,
    summary,
    value_at,
)

INF, NAN = math.inf, math.nan


def runs_of(*rows: dict[str, Any]) -> pd.DataFrame:
    """Return `runs`: finished ones of budget 4 that differ in seed and key, unless a row says otherwise."""
    common = {
        "task": "sphere", "optimizer": "cma", "projection": "normal", "dim": 2, "budget": 4, "dev_every": 100,
        "selection": "incumbent", "status": "finished", "error": "",
        "evaluations": 4, "best_loss": 1.0, "task_seconds": 2.0, "tokens": 10,
    }  # fmt: skip
    return pd.DataFrame([{"key": f"k{i}", "seed": i, **common, **row} for i, row in enumerate(rows)])


def curves_of(**losses: list[float]) -> pd.DataFrame:
    """Return `curves` of the losses that each key saw."""
    frames = []
    for key, seen in losses.items():
        best = np.minimum.accumulate(np.nan_to_num(seen, nan=INF, posinf=INF))
        frames.append(pd.DataFrame({"key": key, "evaluation": range(1, len(seen) + 1), "loss": seen, "best": best}))
    return pd.concat(frames, ignore_index=True)


def measures_of(*rows: tuple[str, int, float]) -> pd.DataFrame:
    """Return dev accuracies: key, evaluation, value."""
    return pd.DataFrame([(k, e, "dev", "accuracy", v) for k, e, v in rows], columns=[
        "key", "evaluation", "split", "metric", "value"])  # fmt: skip


def test_a_value_holds_until_the_next_and_is_infinite_before_the_first() -> None:
    assert list(value_at(np.array([2, 5]), np.array([3.0, 1.0]), np.array([1, 2, 4, 5, 9]))) == [INF, 3, 3, 1, 1]


def test_a_curve_of_improvements_says_the_same_as_the_whole_curve_in_any_order_of_rows() -> None:
    whole = curves_of(k0=[5.0, NAN, 6.0, 2.0])
    improvements = whole.iloc[[3, 0]]
    at = np.arange(1, 5)
    values = [value_at(*steps(frame, "best")["k0"], at) for frame in (whole, improvements)]
    assert list(values[0]) == list(values[1]) == [5, 5, 5, 2]


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


def test_a_short_grid_holds_every_evaluation_and_a_long_one_both_ends() -> None:
    assert list(grid(3)) == [1, 2, 3]
    long = grid(8000)
    assert (long[0], long[-1]) == (1, 8000)
    assert len(long) <= 400
    assert (np.diff(long) > 0).all()


def test_a_band_is_the_quartiles_of_the_incumbents_of_its_seeds() -> None:
    bands = curve_bands(runs_of({}, {}, {}), curves_of(k0=[4, 3, 9, 1], k1=[8, 7, 6, 5], k2=[NAN, 2, 2, 2]))
    assert list(bands["evaluation"]) == [1, 2, 3, 4]
    assert list(bands["median"]) == [8, 3, 3, 2]
    assert list(bands["lower"]) == [6, 2.5, 2.5, 1.5]
    assert list(bands["upper"]) == [INF, 5, 4.5, 3.5]
    assert set(bands["n"]) == {3}


def test_a_run_that_ended_early_counts_with_its_last_best() -> None:
    runs = runs_of({}, {"status": "failed", "evaluations": 2})
    bands = curve_bands(runs, curves_of(k0=[4, 3, 2, 1], k1=[8, 6]))
    assert list(bands["median"]) == [6, 4.5, 4, 3.5]


def test_a_run_that_failed_before_its_first_evaluation_counts_as_infinite() -> None:
    runs = runs_of({}, {}, {"status": "failed", "evaluations": 0, "best_loss": INF})
    bands = curve_bands(runs, curves_of(k0=[1, 1, 1, 1], k1=[2, 2, 2, 2]))
    assert list(bands["median"]) == [2] * 4
    assert list(bands["upper"]) == [INF] * 4


def test_a_run_that_still_waits_does_not_count() -> None:
    runs = runs_of({}, {"status": "unfinished", "evaluations": 0, "best_loss": INF})
    assert set(curve_bands(runs, curves_of(k0=[1, 1, 1, 1]))["n"]) == {1}
    assert summary(runs).iloc[0]["runs"].to_dict() == {"finished": 1, "failed": 0, "unfinished": 1, "begun": 1}


def test_a_curve_ends_where_the_longest_unfinished_run_has_come() -> None:
    runs = runs_of({"status": "unfinished", "evaluations": 2}, {"status": "unfinished", "evaluations": 1})
    assert list(curve_bands(runs, curves_of(k0=[3, 2], k1=[5]))["median"]) == [4, 3.5]


def test_a_baseline_of_one_evaluation_is_level_to_the_end_of_the_longest_curve_of_its_task() -> None:
    start = {"optimizer": "start", "budget": 1, "evaluations": 1}
    ackley = {"task": "ackley", "evaluations": 3, "status": "unfinished"}
    runs = runs_of({}, ackley, start, {**start, "task": "ackley"})
    curves = curves_of(k0=[4, 3, 2, 1], k1=[8, 7, 6], k2=[5], k3=[9])
    bands = curve_bands(runs, curves).query("optimizer == 'start'")
    assert bands[["task", "evaluation", "median"]].values.tolist() == [
        ["ackley", 1, 9], ["ackley", 3, 9], ["sphere", 1, 5], ["sphere", 4, 5]]  # fmt: skip
    measures = measures_of(("k0", 2, 0.5), ("k0", 4, 0.7), ("k2", 1, 0.3))
    bands = measure_bands(runs, measures, "dev", "accuracy").query("optimizer == 'start'")
    assert bands[["evaluation", "median"]].values.tolist() == [[1, 0.3], [4, 0.3]]


def test_a_baseline_alone_is_one_point() -> None:
    bands = curve_bands(runs_of({"budget": 1, "evaluations": 1}), curves_of(k0=[5]))
    assert list(bands["evaluation"]) == [1]


def test_runs_of_different_rules_of_selection_are_different_groups() -> None:
    runs = runs_of({}, {"selection": "current"})
    assert len(summary(runs)) == 2
    assert [look.label for look in looks(runs).values()] == [
        "cma · normal · selection=current",
        "cma · normal · selection=incumbent",
    ]


def test_a_group_of_several_budgets_ends_at_the_smallest() -> None:
    runs = runs_of({}, {"budget": 2, "evaluations": 2})
    curves = curves_of(k0=[4, 3, 2, 1], k1=[8, 6])
    pooled = curve_bands(runs, curves, by=["task", "optimizer", "projection", "dim"])
    assert list(pooled["median"]) == [6, 4.5]
    assert list(curve_bands(runs, curves).groupby("budget").size()) == [2, 4]


def test_a_metric_begins_where_every_run_that_has_it_was_measured() -> None:
    measures = measures_of(("k0", 2, 0.5), ("k0", 4, 0.7), ("k1", 1, 0.3), ("k1", 3, 0.9), ("k2", 1, NAN))
    bands = measure_bands(runs_of({}, {}, {}), measures, "dev", "accuracy")
    assert list(bands["evaluation"]) == [2, 3, 4]
    assert list(bands["median"]) == pytest.approx([0.4, 0.7, 0.8])
    assert set(bands["n"]) == {2}
    assert measure_bands(runs_of({}), measures, "test", "accuracy").empty


def test_a_summary_describes_the_seeds_of_each_group_the_best_first() -> None:
    runs = runs_of(
        {"best_loss": 1.0, "dev_accuracy": 0.8, "test_accuracy": 0.7, "optimizer": "random"},
        {"best_loss": 3.0, "dev_accuracy": 0.6, "test_accuracy": NAN, "optimizer": "random", "status": "failed"},
        {"best_loss": 1.5, "dev_accuracy": 0.5, "test_accuracy": 0.5},
    )
    table = summary(runs)
    assert list(table.index.get_level_values("optimizer")) == ["cma", "random"]
    cma, random = table.iloc[0], table.iloc[1]
    assert random["best_loss"].to_dict() == pytest.approx({"mean": 2.0, "sd": math.sqrt(2), "n": 2})
    assert (random["test_accuracy", "mean"], random["test_accuracy", "n"]) == (0.7, 1)
    assert random["gap_accuracy", "mean"] == pytest.approx(0.1)
    assert random["runs"].to_dict() == {"finished": 1, "failed": 1, "unfinished": 0, "begun": 2}
    assert random["task_seconds", "mean"] == 2.0
    assert math.isnan(cma["best_loss", "sd"])
    assert math.isnan(cma["bytes_down", "mean"])


def test_a_run_without_a_loss_is_missing_from_the_mean_and_from_its_number() -> None:
    table = summary(runs_of({"best_loss": INF}, {"best_loss": 2.0}, {"best_loss": NAN}))
    assert table.iloc[0]["best_loss"][["mean", "n"]].to_list() == [2.0, 1]


@pytest.mark.parametrize(
    ("losses", "logarithmic"), [([1, 50], False), ([1, 500], True), ([0, 500], False), ([NAN, INF], False), ([], False)]
)
def test_an_axis_is_logarithmic_only_for_positive_losses_of_different_size(
    losses: list[float], logarithmic: bool
) -> None:
    assert spans_decades(pd.Series(losses, dtype=float)) is logarithmic


def test_dimension_and_budget_are_named_only_where_they_tell_groups_apart() -> None:
    assert [look.label for look in looks(runs_of({}, {"task": "ackley", "dim": 9})).values()] == ["cma · normal"] * 2
    assert [look.label for look in looks(runs_of({}, {"dim": 9})).values()] == [
        "cma · normal · d=2",
        "cma · normal · d=9",
    ]


def test_an_optimizer_keeps_its_colour_and_marker_and_a_projection_its_dash() -> None:
    named = looks(runs_of(*({"optimizer": o, "projection": p} for o in "ab" for p in "xy")))
    a_x, a_y, b_x, b_y = named.values()
    assert (a_x.colour, a_x.marker, b_x.dash) == (a_y.colour, a_y.marker, a_x.dash)
    assert len({(look.marker, look.dash) for look in (a_x, a_y, b_x, b_y)}) == 4


def test_only_a_baseline_is_dashed() -> None:
    runs = runs_of(*({"projection": p} for p in "abcdefg"), {"optimizer": "start", "budget": 1})
    assert [look.dash == "dash" for look in looks(runs).values()] == [False] * 7 + [True]


def test_cautions_say_what_the_runs_cannot_show() -> None:
    def said(*rows: dict[str, Any]) -> str:
        runs = runs_of(*rows)
        return " ".join(cautions(runs, looks(runs)))

    assert "no difference here can be told from chance" in said({})
    assert "No run has finished" in said({"status": "failed"})
    assert "No run has begun" in said({"status": "unfinished", "evaluations": 0})
    assert "sweep is unfinished" in said({}, {"status": "unfinished"})
    assert "Groups have only 2 seeds" in said({}, {})
    assert "not paired" in said({}, {}, {"optimizer": "random"})
    assert "Budgets differ" in said({}, {"budget": 5})
    assert "Budgets differ" not in said({}, {"optimizer": "start", "budget": 1})
    assert "cma · normal on sphere: 2 of its runs had no successful" in said({"best_loss": INF}, {"best_loss": NAN})
    assert said(*({} for _ in range(5))) == ""


def test_numbers_are_written_for_people() -> None:
    assert [seconds(s) for s in (0.0123, 3.21, 59.97, 754, 7260, NAN)] == [
        "12.3 ms", "3.2 s", "1 min 0 s", "12 min 34 s", "2 h 1 min", "—"]  # fmt: skip
    assert [size(b) for b in (0, 950, 12345, 999_700, 4.6e15, NAN)] == [
        "0 B",
        "950 B",
        "12.3 kB",
        "1 MB",
        "4.6 PB",
        "—",
    ]
    assert [count(n) for n in (12345.4, NAN)] == ["12,345", "—"]


@pytest.mark.parametrize(
    ("column", "written"),
    [
        ([0.51234, 0.7], ["0.512", "0.700"]),
        ([1.23456, 0.5, NAN], ["1.235", "0.500", "—"]),
        ([31.4159, 2], ["31.42", "2.00"]),
        ([1e-9, 3.0], ["1.000e-09", "3.000e+00"]),
        ([0, 0.0], ["0.000", "0.000"]),
        ([INF], ["—"]),
        ([], []),
    ],
)
def test_a_column_of_numbers_has_one_precision(column: list[float], written: list[str]) -> None:
    assert [precision(column)(number) for number in column] == written
