import numpy as np
import pandas as pd
import pytest

from dfo_bench.errors import InputError
from dfo_bench.report.counting import Counting
from dfo_bench.report.stats.scales import heights
from dfo_bench.report.stats.targets import data_profile, expected_running_time, hits, performance_profile, run_time_ecdf
from tests.frames import store_of

INF, NAN = np.inf, np.nan

A0, B0, A1, B1 = [("sphere", optimizer, seed) for seed in (0, 1) for optimizer in ("a", "b")]
# Of seed 0 the heights are 1, 0.5, 0.5, 0 and 1, 1, 0.5, 0.5; of seed 1 twice 1, 0, 0, 0.
SEEN: dict[tuple[str, str, int], list[float]] = {
    A0: [10, 6, 8, 2], B0: [10, 12, 6, 7], A1: [10, 2, 2, 2], B1: [10, 2, 2, 2]}  # fmt: skip


def test_a_height_is_one_at_the_beginning_of_a_block_and_zero_at_its_best() -> None:
    members, scaled = heights(*store_of(SEEN))
    found = [(list(scaled[key][0]), list(scaled[key][1])) for key in members["key"]]
    assert found == [
        ([1, 2, 3, 4], [1, 0.5, 0.5, 0]), ([1, 2, 3, 4], [1, 1, 0.5, 0.5]),
        ([1, 2, 3, 4], [1, 0, 0, 0]), ([1, 2, 3, 4], [1, 0, 0, 0]),
    ]  # fmt: skip


def test_a_scale_ends_at_the_budget_and_what_is_worse_than_the_beginning_counts_as_it() -> None:
    members, scaled = heights(*store_of({A0: [10, 4, 0], B0: [NAN, 30, 12], ("sphere", "c", 0): [8, 8]}))
    assert list(members["common"]) == [2, 2, 2]
    assert [list(scaled[key][1]) for key in members["key"]] == [[1, 0], [1], [4 / 6, 4 / 6]]


def test_distances_to_a_known_optimum_that_span_decades_are_logarithmic() -> None:
    runs, curves = store_of({A0: [103, 13, 3.1, 3.0]}, optimum={A0: 3.0})
    _, scaled = heights(runs, curves)
    # 100, 10, 0.1 and, for an exact hit, 1e-8.
    assert list(scaled[runs["key"][0]][1]) == pytest.approx([1, 0.9, 0.7, 0])


def test_a_block_in_which_nothing_improves_is_left_out() -> None:
    members, scaled = heights(*store_of({**SEEN, ("ackley", "a", 0): [3, 3]}))
    assert set(members["task"]) == {"sphere"}
    assert len(scaled) == 4
    with pytest.raises(InputError, match="no run improves on the loss that its task begins with, among 1 that count"):
        heights(*store_of({A0: [3, 3]}))
    with pytest.raises(InputError, match="no run improves"):
        heights(*store_of({A0: [NAN, INF]}))


def test_a_target_is_hit_at_the_first_evaluation_that_is_low_enough() -> None:
    found = hits(*store_of(SEEN), np.array([0.5, 0.1]))
    assert found["evaluations"].to_list() == [2, 4, 3, INF, 2, 2, 2, 2]
    assert found["spent"].to_list() == [2, 4, 3, 4, 2, 2, 2, 2]


def test_a_failed_run_has_spent_what_it_made_or_under_worst_its_budget() -> None:
    runs, curves = store_of({**SEEN, B0: [10, 12]}, status={B0: "failed"}, budget={B0: 4})
    spent = [hits(runs, curves, np.array([0.1]), counting=rule)["spent"].to_list() for rule in Counting]
    assert spent == [[4, 2, 2, 2], [4, 4, 2, 2], [4, 2, 2]]


def test_the_ert_is_all_evaluations_spent_over_the_hits() -> None:
    a, b = expected_running_time(hits(*store_of(SEEN), np.array([0.1]))).to_dict("records")
    assert (a["ert"], a["hits"], a["n"], a["method"]) == (3, 2, 2, "a · normal")
    assert (b["ert"], b["hits"], b["n"], b["high"]) == (6, 1, 2, INF)
    never = expected_running_time(hits(*store_of({A0: [3, 2], B0: [3, 3]}), np.array([0.0])))
    assert never["ert"].to_list() == [2, INF]


def test_the_bounds_of_an_ert_hold_it_nearly_as_often_as_they_say() -> None:
    # A run hits within 10 evaluations with chance 0.7, uniformly: (5.5 * 0.7 + 10 * 0.3) / 0.7 evaluations a hit.
    rng, truth, held = np.random.default_rng(0), (5.5 * 0.7 + 10 * 0.3) / 0.7, []
    for _ in range(300):
        hit = np.where(rng.random(20) < 0.7, rng.integers(1, 11, 20), INF)
        spent = np.where(np.isfinite(hit), hit, 10)
        frame = pd.DataFrame({"task": "t", "method": "m", "target": 0.1, "evaluations": hit, "spent": spent})
        (row,) = expected_running_time(frame).to_dict("records")
        held.append(row["low"] <= truth <= row["high"])
    assert np.mean(held) == pytest.approx(0.94, abs=4 * np.sqrt(0.94 * 0.06 / 300))


def test_a_run_time_distribution_is_the_share_of_runs_and_targets_hit_by_then() -> None:
    found = run_time_ecdf(hits(*store_of(SEEN), np.array([0.5, 0.1])))
    table = found.pivot_table(index="evaluations", columns="method", values="share")
    assert table["a · normal"].to_list() == [0, 0.75, 0.75, 1]
    assert table["b · normal"].to_list() == [0, 0.5, 0.75, 0.75]
    # Of the shares of b's runs at 2 evaluations, 0 and 1, the bounds of the mean are cut.
    assert found.query("method == 'b · normal'")[["low", "high"]].iloc[1].to_list() == [0, 1]
    assert set(found["n"]) == {2}


def test_a_data_profile_counts_simplex_gradients() -> None:
    found = data_profile(hits(*store_of(SEEN), np.array([0.1])), 0.1)
    a = found[found["method"] == "a · normal"]
    # dim 1: hits at 4 / 2 and 2 / 2 simplex gradients.
    assert [a[a["gradients"] >= at]["share"].iloc[0] for at in (0.9, 1, 2)] == [0, 0.5, 1]
    low, high = a.iloc[-1][["low", "high"]]
    assert (low, high) == (pytest.approx(0.025**0.5), 1)  # exact bounds of 2 of 2


def test_a_performance_profile_counts_ratios_to_the_fastest() -> None:
    found = performance_profile(hits(*store_of({**SEEN, B1: [10, 9, 9, 2]}), np.array([0.1])), 0.1)
    first, last = (found.groupby("method")["share"].agg(end).to_dict() for end in ("first", "last"))
    assert first == {"a · normal": 1, "b · normal": 0}
    assert last == {"a · normal": 1, "b · normal": 0.5}  # twice as slow on seed 1, never on seed 0
    assert found["ratio"].max() == 2


def test_a_block_that_nothing_hits_counts_for_no_method() -> None:
    found = hits(*store_of(SEEN), np.array([0.1]))
    found.loc[found["seed"] == 0, "evaluations"] = INF
    assert set(performance_profile(found, 0.1)["share"]) == {0.5}
    with pytest.raises(InputError, match=r"no target 0\.2"):
        data_profile(found, 0.2)
