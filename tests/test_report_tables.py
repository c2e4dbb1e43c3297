import re

import numpy as np
import pytest

from dfo_bench.report.labels import looks
from dfo_bench.report.page.tables import tabulate_costs, tabulate_results
from dfo_bench.report.stats.groups import summarise
from tests.frames import TEXT, Frames, one_task, run, sweep


@pytest.fixture(scope="module")
def frames() -> Frames:
    return sweep()


def test_a_table_of_results_shows_spread_gap_and_how_many_runs_have_a_value(frames: Frames) -> None:
    runs = frames[0]
    groups = summarise(runs).loc[[TEXT]].droplevel("task")
    table = tabulate_results(groups, looks(runs))
    names = ["train loss", "dev accuracy", "test accuracy", "gap in accuracy", "finished", "failed"]
    assert table.columns == ["optimizer · projection", *names]
    failed = next(row for row in table.rows if row[0].text == "random · normal")
    assert re.fullmatch(r"\d\.\d{3} ± \d\.\d{3}", failed[1].text)
    assert (failed[1].note, failed[3].note, failed[5].text, failed[6].text) == ("", "seeds 0, 1", "2 of 3", "1")
    assert failed[4].text == "0.030"


def test_a_table_of_costs_is_the_mean_of_a_run_in_units_for_people(frames: Frames) -> None:
    runs = frames[0]
    table = tabulate_costs(summarise(runs).loc[[TEXT]].droplevel("task"), looks(runs))
    row = dict(zip(table.columns, [cell.text for cell in table.rows[0]], strict=True))
    assert row == {
        "optimizer · projection": "cma:sigma=0.5 · normal", "task time": "12.0 s", "optimizer time": "300 ms",
        "optimizer's share": "2.4 %", "evaluations": "300", "examples": "19,200", "tokens": "630,000",
        "upload as z": "240 kB",
        "upload as prompt": "4.61 MB", "download": "307 kB",
    }  # fmt: skip


def test_what_costs_nothing_has_no_column() -> None:
    runs, _, _ = one_task(run(tokens=0, examples=0, bytes_up_z=0, bytes_up_prompt=0, bytes_down=0))
    table = tabulate_costs(summarise(runs).droplevel("task"), looks(runs))
    assert table.columns[1:] == ["task time", "optimizer time", "optimizer's share", "evaluations"]


def test_peak_memory_is_a_cost_where_it_is_known() -> None:
    runs, _, _ = one_task(run(peak_memory=2.5e9, peak_device_memory=np.nan), run(optimizer="cma", peak_memory=np.nan))
    table = tabulate_costs(summarise(runs).droplevel("task"), looks(runs))
    assert [row[table.columns.index("peak memory")].text for row in table.rows] == ["—", "2.5 GB"]
    assert "peak GPU memory" not in table.columns
