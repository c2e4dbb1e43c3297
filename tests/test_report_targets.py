import numpy as np
import pytest

from dfo_bench.errors import InputError
from dfo_bench.report.counting import Counting
from dfo_bench.report.stats.targets import data_profile, hits, performance_profile, run_time_ecdf
from tests.frames import store_of

INF = np.inf

A0, B0, A1, B1 = [("sphere", optimizer, seed) for seed in (0, 1) for optimizer in ("a", "b")]
# Of seed 0 the heights are 1, 0.5, 0.5, 0 and 1, 1, 0.5, 0.5; of seed 1 twice 1, 0, 0, 0.
SEEN: dict[tuple[str, str, int], list[float]] = {
    A0: [10, 6, 8, 2], B0: [10, 12, 6, 7], A1: [10, 2, 2, 2], B1: [10, 2, 2, 2]}  # fmt: skip


def test_a_target_is_hit_at_the_first_evaluation_that_is_low_enough() -> None:
    found = hits(*store_of(SEEN), np.array([0.5, 0.1]))
    assert found["evaluations"].to_list() == [2, 4, 3, INF, 2, 2, 2, 2]
    assert found["spent"].to_list() == [2, 4, 3, 4, 2, 2, 2, 2]


def test_a_failed_run_has_spent_what_it_made_or_under_worst_its_budget() -> None:
    runs, curves = store_of({**SEEN, B0: [10, 12]}, status={B0: "failed"}, budget={B0: 4})
    spent = [hits(runs, curves, np.array([0.1]), counting=rule)["spent"].to_list() for rule in Counting]
    assert spent == [[4, 2, 2, 2], [4, 4, 2, 2], [4, 2, 2]]


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
