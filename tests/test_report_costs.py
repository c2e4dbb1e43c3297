"""Curves against what they cost, on runs small enough to check by hand."""

import numpy as np
import pandas as pd
import pytest

from dfo_bench.report.stats.costs import loss_bands, optimizer_share, per_call, score_bands, spent, totals
from dfo_bench.report.stats.statistics import curve_bands, measure_bands, summary
from tests.test_report_page import Frames, curve, one_task, run, sweep

TICKS = [2.0, 4.0, 4.0, 8.0]
"""Seconds of the task after each of four evaluations, the second and third of one batch."""


def two_runs() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return two runs of a group: the second costs twice the tokens and half the seconds."""
    costs = {"evaluations": 4, "budget": 4, "examples": 8, "optimizer_seconds": 4.0}
    rows = [
        run(seed=0, tokens=40, task_seconds=8.0, **costs),
        run(seed=1, tokens=80, task_seconds=4.0, **costs),
    ]
    curves = [
        curve(row["key"], losses).assign(task_seconds=np.array(TICKS) * share, optimizer_seconds=[1.0, 2.0, 2.0, 4.0])
        for row, losses, share in zip(rows, [[4.0, 3.0, 2.0, 1.0], [8.0, 7.0, 6.0, 5.0]], [1.0, 0.5], strict=True)
    ]
    return pd.DataFrame(rows), pd.concat(curves, ignore_index=True)


@pytest.fixture(scope="module")
def frames() -> Frames:
    return sweep()


def test_what_a_run_has_spent_grows_by_its_own_price_a_call_and_by_its_own_clock() -> None:
    runs, curves = two_runs()
    assert per_call(runs)["tokens"].tolist() == [10, 20]
    assert totals(runs)["total_seconds"].tolist() == [12, 8]
    rows = spent(runs, curves, curves)
    second = rows[rows["key"] == runs["key"][1]]
    assert second["tokens"].tolist() == [20, 40, 60, 80]
    assert second["task_seconds"].tolist() == [1, 2, 2, 4]
    assert second["total_seconds"].tolist() == [2, 4, 4, 8]


def test_a_curve_against_a_cost_has_its_steps_where_each_run_had_spent_that_much() -> None:
    runs, curves = two_runs()
    band = loss_bands(runs, spent(runs, curves, curves), "tokens")
    # The first run has used its budget up at 40 tokens, where the second has made two calls, and holds its best.
    assert band["tokens"].tolist() == [20, 40, 60, 80]
    assert band["median"].tolist() == [(3 + 8) / 2, (1 + 7) / 2, (1 + 6) / 2, (1 + 5) / 2]
    assert set(band["n"]) == {2}


def test_a_batch_counts_when_it_has_ended() -> None:
    runs, curves = two_runs()
    band = loss_bands(runs[:1], spent(runs[:1], curves, curves), "task_seconds")
    assert dict(zip(band["task_seconds"], band["median"], strict=True)) == {2: 4, 4: 2, 6: 2, 8: 1}


def test_against_calls_the_bands_are_those_of_the_statistics(frames: Frames) -> None:
    runs, curves, measures = frames
    rows = spent(runs, curves, curves)
    ours, theirs = loss_bands(runs, rows, "evaluation"), curve_bands(runs, curves)
    both = theirs.merge(ours, on=["task", "optimizer", "projection", "evaluation"], suffixes=("", "_ours"))
    assert len(both) == len(ours)
    for column in ("lower", "median", "upper", "n"):
        assert both[column].to_numpy(float) == pytest.approx(both[f"{column}_ours"].to_numpy(float))
    scores = measures[(measures["split"] == "dev") & (measures["metric"] == "accuracy")]
    ours = score_bands(runs, spent(runs, curves, scores), "evaluation")
    theirs = measure_bands(runs, measures, "dev", "accuracy")
    assert ours["median"].tolist() == theirs["median"].tolist()


def test_the_time_of_a_measurement_lies_between_the_improvements_around_it() -> None:
    runs, curves = two_runs()
    improvements = curves[(curves["evaluation"] == 1) | (curves["evaluation"] == 4)]
    asked = pd.DataFrame({"key": runs["key"][:1], "evaluation": [2]})
    assert spent(runs, improvements, asked)["task_seconds"].tolist() == [2 + (8 - 2) / 3]


def test_an_unfinished_group_ends_where_its_dearest_run_has_come() -> None:
    rows = [run(budget=9, evaluations=n, seed=n, status="unfinished", tokens=10 * n) for n in (2, 3)]
    runs, curves, _ = one_task(*rows)
    assert loss_bands(runs, spent(runs, curves, curves), "tokens")["tokens"].max() == 30


def test_a_cost_that_no_run_has_gives_no_band_and_divides_by_nothing() -> None:
    runs, curves, measures = one_task(
        run(evaluations=0, status="failed", tokens=0, task_seconds=0.0, optimizer_seconds=0.0), run(seed=1, tokens=0)
    )
    with np.errstate(all="raise"):
        rows = spent(runs, curves, curves)
        assert loss_bands(runs, rows, "tokens").empty
        assert score_bands(runs, spent(runs, curves, measures), "evaluation").empty
        assert not loss_bands(runs, rows, "evaluation").empty


def test_a_baseline_is_as_long_as_the_dearest_run_of_its_task() -> None:
    runs, curves, _ = one_task(run(budget=9, evaluations=9, tokens=90), run(optimizer="start", tokens=10))
    band = loss_bands(runs, spent(runs, curves, curves), "tokens")
    assert band[band["optimizer"] == "start"]["tokens"].tolist() == [10, 90]


def test_the_share_of_the_optimizer_is_of_both_and_unknown_where_nothing_took_time() -> None:
    runs, _, _ = one_task(
        run(optimizer="cma", task_seconds=3.0, optimizer_seconds=1.0),
        run(optimizer="idle", task_seconds=0.0, optimizer_seconds=0.0),
    )
    share = optimizer_share(summary(runs)).droplevel(["task", "projection", "dim", "budget", "dev_every", "selection"])
    assert share["cma"] == 0.25
    assert np.isnan(share["idle"])
