import math

import numpy as np
import pytest

from dfo_bench.report.stats.groups import optimizer_share, summarise
from dfo_bench.runs.columns import GROUP
from tests.frames import one_task, run, runs_of

INF, NAN = math.inf, math.nan


def test_a_summary_describes_the_seeds_of_each_group_the_best_first() -> None:
    runs = runs_of(
        {"best_loss": 1.0, "dev_accuracy": 0.8, "test_accuracy": 0.7, "optimizer": "random"},
        {"best_loss": 3.0, "dev_accuracy": 0.6, "test_accuracy": NAN, "optimizer": "random", "status": "failed"},
        {"best_loss": 1.5, "dev_accuracy": 0.5, "test_accuracy": 0.5},
    )
    table = summarise(runs)
    assert list(table.index.get_level_values("optimizer")) == ["cma", "random"]
    cma, random = table.iloc[0], table.iloc[1]
    assert random["best_loss"].to_dict() == pytest.approx({"mean": 2.0, "sd": math.sqrt(2), "n": 2})
    assert (random["test_accuracy", "mean"], random["test_accuracy", "n"]) == (0.7, 1)
    assert random["gap_accuracy", "mean"] == pytest.approx(0.1)
    assert random["runs"].to_dict() == {"finished": 1, "failed": 1, "unfinished": 0, "begun": 2}
    assert random["task_seconds", "mean"] == 2.0
    assert math.isnan(cma["best_loss", "sd"])
    assert math.isnan(cma["peak_memory", "mean"])


def test_a_run_without_a_loss_is_missing_from_the_mean_and_from_its_number() -> None:
    table = summarise(runs_of({"best_loss": INF}, {"best_loss": 2.0}, {"best_loss": NAN}))
    assert table.iloc[0]["best_loss"][["mean", "n"]].to_list() == [2.0, 1]


def test_runs_that_wait_are_counted_apart_from_those_that_have_begun() -> None:
    runs = runs_of({}, {"status": "unfinished", "evaluations": 0, "best_loss": INF})
    assert summarise(runs).iloc[0]["runs"].to_dict() == {"finished": 1, "failed": 0, "unfinished": 1, "begun": 1}


def test_a_metric_called_as_a_setting_is_described_like_any_other() -> None:
    table = summarise(runs_of({"dev_every": 7, "dev_accuracy": 0.5}))
    assert "dev_accuracy" in table.columns.get_level_values(0)
    assert "dev_every" not in table.columns.get_level_values(0)


def test_the_share_of_the_optimizer_is_of_both_and_unknown_where_nothing_took_time() -> None:
    runs, _, _ = one_task(
        run(optimizer="cma", task_seconds=3.0, optimizer_seconds=1.0),
        run(optimizer="idle", task_seconds=0.0, optimizer_seconds=0.0),
    )
    share = optimizer_share(summarise(runs)).droplevel([name for name in GROUP if name != "optimizer"])
    assert share["cma"] == 0.25
    assert np.isnan(share["idle"])
