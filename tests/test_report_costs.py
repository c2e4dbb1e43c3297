import numpy as np
import pandas as pd

from dfo_bench.report.stats.costs import add_costs, per_call, totals
from tests.frames import curve, run


def two_runs() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return two runs of a group: the second costs twice the tokens and half the seconds."""
    costs = {"evaluations": 4, "budget": 4, "examples": 8, "optimizer_seconds": 4.0}
    rows = [
        run(seed=0, tokens=40, task_seconds=8.0, **costs),
        run(seed=1, tokens=80, task_seconds=4.0, **costs),
    ]
    # The second and third evaluation are of one batch.
    ticks = np.array([2.0, 4.0, 4.0, 8.0])
    curves = [
        curve(row["key"], [4.0, 3.0, 2.0, 1.0]).assign(task_seconds=ticks * share, optimizer_seconds=ticks / 2)
        for row, share in zip(rows, [1.0, 0.5], strict=True)
    ]
    return pd.DataFrame(rows), pd.concat(curves, ignore_index=True)


def test_what_a_run_has_spent_grows_by_its_own_price_per_call_and_by_its_own_clock() -> None:
    runs, curves = two_runs()
    assert per_call(runs)["tokens"].tolist() == [10, 20]
    assert totals(runs)["total_seconds"].tolist() == [12, 8]
    rows = add_costs(runs, curves, curves)
    second = rows[rows["key"] == runs["key"][1]]
    assert second["tokens"].tolist() == [20, 40, 60, 80]
    assert second["task_seconds"].tolist() == [1, 2, 2, 4]
    assert second["total_seconds"].tolist() == [2, 4, 4, 8]


def test_the_time_of_a_measurement_lies_between_the_improvements_around_it() -> None:
    runs, curves = two_runs()
    improvements = curves[(curves["evaluation"] == 1) | (curves["evaluation"] == 4)]
    asked = pd.DataFrame({"key": runs["key"][:1], "evaluation": [2]})
    assert add_costs(runs, improvements, asked)["task_seconds"].tolist() == [2 + (8 - 2) / 3]
