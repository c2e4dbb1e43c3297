"""Speedups: what a method spends to reach the loss that a reference has at a budget, beside what that spent."""

import numpy as np
import pandas as pd
import pytest

from dfo_bench.errors import InputError
from dfo_bench.report.counting import Counting
from dfo_bench.report.figures import KINDS
from dfo_bench.report.rules import parse_rules
from dfo_bench.report.stats.speedup import mean_speedups, speedups, tabulate
from tests.frames import Case, store_of

DOWN = [float(loss) for loss in range(12, 0, -1)]
"""A loss that falls by 1 with every evaluation."""
FAST = [12.0, *[float(loss) for loss in range(10, 0, -2)], 1.0]
NEVER = [12.0] * 6
SEEN: dict[Case, list[float]] = {
    ("sphere", "cma", 0): DOWN, ("sphere", "quick", 0): FAST, ("sphere", "stuck", 0): NEVER}  # fmt: skip


def ratios(found: pd.DataFrame, method: str) -> dict[int, float]:
    rows = found[found["method"] == f"{method} · normal"]
    return dict(zip(rows["evaluations"], rows["ratio"], strict=True))


def test_a_ratio_is_what_the_reference_spent_by_what_was_spent_until_its_loss_was_reached() -> None:
    found = speedups(*store_of(SEEN))
    # Losses 9 and 1, after 4 and 12 evaluations, are below 10 at the third and 2 at the last.
    assert ratios(found, "quick")[4] == pytest.approx(4 / 3)
    assert ratios(found, "quick")[12] == pytest.approx(12 / 7)
    assert set(found["method"]) == {"quick · normal", "stuck · normal"}


def test_a_loss_that_is_not_reached_is_a_ratio_of_at_most_one() -> None:
    found = speedups(*store_of(SEEN))
    # It ended after six evaluations: nobody knows of the seventh.
    assert ratios(found, "stuck") == {1: 1.0, **{n: min(1.0, n / 6) for n in range(2, 13)}}
    assert found.groupby("method")["reached"].mean().to_dict() == {"quick · normal": 1.0, "stuck · normal": 1 / 12}


def test_under_worst_a_run_that_failed_has_spent_its_budget() -> None:
    case = ("sphere", "stuck", 0)
    runs, curves = store_of(SEEN, status={case: "failed"}, budget={case: 12})
    last, worst = (
        ratios(speedups(runs, curves, counting=rule), "stuck")[6] for rule in (Counting.LAST, Counting.WORST)
    )
    assert (last, worst) == (1.0, 0.5)


def test_of_several_runs_of_the_reference_the_best_at_that_budget_counts() -> None:
    """One is ahead until the fourth evaluation, the other afterwards; both in hindsight."""
    seen: dict[Case, list[float]] = {
        ("sphere", "cma/normal", 0): [8, 7, 6, 5, 5, 5], ("sphere", "cma/uniform", 0): [9, 9, 9, 9, 3, 2],
        ("sphere", "quick", 0): [8, 5, 2]}  # fmt: skip
    found = speedups(*store_of(seen))
    assert found.set_index("evaluations")["target"].to_dict() == {1: 8, 2: 7, 3: 6, 4: 5, 5: 3, 6: 2}
    one = speedups(*store_of(seen), "cma · uniform")
    assert set(one["method"]) == {"cma · normal", "quick · normal"}


def test_costs_are_counted_in_any_unit() -> None:
    """A call of quick takes three times as many tokens."""
    tokens = {case: 10 * len(losses) * (3 if case[1] == "quick" else 1) for case, losses in SEEN.items()}
    runs, curves = store_of(SEEN, tokens=tokens)
    found = speedups(runs, curves, against="tokens")
    assert ratios(found, "quick")[12] == pytest.approx(12 / 7 / 3)
    with pytest.raises(InputError, match="or its bytes down are not known"):
        speedups(runs, curves, against="bytes_down")


def test_means_are_geometric_over_tasks_of_those_over_seeds() -> None:
    rows = [("a", 0, 2.0), ("a", 1, 8.0), ("b", 0, 1.0)]
    found = pd.DataFrame([
        {"task": task, "seed": seed, "method": "m", "sees": "outputs", "share": 1.0, "evaluations": 200,
         "ratio": ratio, "reached": ratio > 1}
        for task, seed, ratio in rows
    ])  # fmt: skip
    (mean,) = mean_speedups(found).to_dict("records")
    assert (mean["ratio"], mean["worst"]) == (pytest.approx(2.0), pytest.approx(1.0))
    assert (mean["n"], mean["tasks"], mean["reached"]) == (3, 2, pytest.approx(2 / 3))
    assert 1.0 <= mean["low"] < 2.0 < mean["high"] <= 8.0
    (alone,) = mean_speedups(found[:1]).to_dict("records")
    assert np.isnan([alone["low"], alone["high"]]).all()
    heads, cells = tabulate(mean_speedups(found))
    assert heads == ["method", "sees", "200 calls"]
    assert cells[0][:2] == ["m", "outputs"]
    assert "worst 1.00, reached 67% of 3" in cells[0][2]


def test_without_the_reference_there_is_nothing_to_compare_with() -> None:
    with pytest.raises(InputError, match="no run of bo to compare with; name another reference, of: cma · normal"):
        speedups(*store_of(SEEN), "bo")
    alone = {case: losses for case, losses in SEEN.items() if case[1] == "cma"}
    with pytest.raises(InputError, match="no other method has run on a task and seed of cma"):
        speedups(*store_of(alone))


def test_the_figure_says_what_each_method_sees() -> None:
    runs, curves = store_of(SEEN, sees={("sphere", "quick", 0): "outputs"})
    figure = KINDS["speedup"].draw(runs, curves, rules=parse_rules(budget=8))
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "quick (sees outputs) · normal",
        "stuck · normal",
    ]
    assert figure.axes[0].get_xlabel() == "calls of cma"
