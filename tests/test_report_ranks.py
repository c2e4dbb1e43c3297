import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfo_bench.errors import InputError
from dfo_bench.report.counting import Counting
from dfo_bench.report.stats.ranks import critical_difference, friedman, ranks_over_budget
from tests.frames import scores_of, store_of

INF, NAN = np.inf, np.nan


@pytest.mark.parametrize(("methods", "q"), [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (10, 3.164)])
def test_the_critical_difference_is_demsars(methods: int, q: float) -> None:
    # Demsar (2006), Table 5(a): critical values of the two-tailed Nemenyi test at 0.05.
    assert critical_difference(methods, 12) == pytest.approx(q * (methods * (methods + 1) / 72) ** 0.5, rel=1e-3)


def test_friedmans_statistic_is_that_of_the_formula() -> None:
    # Rank sums 4, 8, 12 in 4 blocks of 3: 12 / (4 * 3 * 4) * (16 + 64 + 144) - 3 * 4 * 4 = 8; chi2(2): exp(-4).
    found = friedman(scores_of({"a": [1, 1, 1, 1], "c": [3, 3, 3, 3], "b": [2, 2, 2, 2]}))
    assert found.ranks == {"a": 1, "b": 2, "c": 3}
    assert [found.statistic, found.p] == pytest.approx([8, np.exp(-4)])
    # The critical difference is 2.343 * sqrt(12 / 24) = 1.657.
    assert found.groups == [["a", "b"], ["b", "c"]]
    assert found.critical == pytest.approx(1.657, abs=1e-3)


def test_an_accuracy_ranks_the_other_way() -> None:
    scored = scores_of({"a": [0.1, 0.1], "b": [0.2, 0.2], "c": [0.3, 0.3]})
    assert list(friedman(scored, "test_accuracy").ranks) == ["c", "b", "a"]


def test_a_block_that_lacks_a_method_is_left_out_and_counted() -> None:
    found = friedman(scores_of({"a": [1, 1, 1], "b": [2, NAN, 2], "c": [3, 3, INF]}))
    assert (found.n, found.left_out, found.ranks["c"]) == (2, 1, 3)


def test_methods_that_are_always_equal_have_equal_ranks_and_no_difference() -> None:
    found = friedman(scores_of({"a": [1, 2], "b": [1, 2], "c": [1, 2]}))
    assert (found.statistic, found.p, found.groups) == (0, 1, [["a", "b", "c"]])
    assert set(found.ranks.values()) == {2}


def test_a_test_of_ranks_says_what_it_lacks() -> None:
    with pytest.raises(InputError, match=r"needs 3 methods and 2 blocks .* there are 2 and 1"):
        friedman(scores_of({"a": [1.0], "b": [2.0]}))


def test_equal_methods_are_told_apart_no_more_often_than_the_level_allows() -> None:
    rng, samples = np.random.default_rng(0), 200
    apart = 0
    for _ in range(samples):
        found = friedman(scores_of(dict(zip("abcd", rng.normal(size=(4, 10)).tolist(), strict=True))))
        apart += found.groups != [list(found.ranks)]
    assert apart / samples <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / samples)


def test_ranks_over_the_budget_are_means_over_blocks_at_shares_of_each_tasks_budget() -> None:
    runs, curves = store_of({
        ("sphere", "a", 0): [5, 5, 1, 1], ("sphere", "b", 0): [4, 4, 4, 4],
        ("ackley", "a", 0): [7, 2], ("ackley", "b", 0): [7, 3],
    })  # fmt: skip
    found = ranks_over_budget(runs, curves).pivot_table(index="share", columns="method", values="rank")
    assert list(found.index) == [0.25, 0.5, 0.75, 1]
    # Of ackley's budget of 2 the shares are evaluations 1, 1, 2, 2: a tie, then a; of sphere's 4: b, b, a, a.
    assert found["a · normal"].to_list() == [1.75, 1.75, 1, 1]
    assert found["b · normal"].to_list() == [1.25, 1.25, 2, 2]


def test_a_failed_run_ranks_by_the_rule() -> None:
    runs, curves = store_of(
        {("sphere", "a", 0): [1], ("sphere", "b", 0): [2, 2]},
        status={("sphere", "a", 0): "failed"}, budget={("sphere", "a", 0): 2},
    )  # fmt: skip
    last, worst = (ranks_over_budget(runs, curves, counting=rule) for rule in (Counting.LAST, Counting.WORST))
    assert last.query("share == 1")["rank"].to_list() == [1, 2]
    assert worst.query("share == 1")["rank"].to_list() == [2, 1]
    with pytest.raises(InputError, match="ranks need two methods"):
        ranks_over_budget(runs, curves, counting=Counting.DROP)


def test_the_bounds_of_a_mean_rank_hold_it() -> None:
    rng, held = np.random.default_rng(1), []
    for _ in range(40):
        losses = rng.normal(size=(2, 8)) + np.array([[0.5], [0.0]])
        cases = {("sphere", "ab"[i], seed): [float(losses[i, seed])] * 2 for i in range(2) for seed in range(8)}
        row = ranks_over_budget(*store_of(cases)).query("share == 1 and method == 'a · normal'").iloc[0]
        truth = 1 + 0.6382  # P(N(0.5, 2) > 0)
        held.append(row["low"] <= truth <= row["high"])
    assert np.mean(held) >= 0.95 - 4 * np.sqrt(0.95 * 0.05 / 40)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 3)] * 4), min_size=2, max_size=5))
def test_ranks_keep_their_sum_and_every_group_is_within_the_critical_difference(rows: list[tuple[int, ...]]) -> None:
    columns = zip("abcd", zip(*rows, strict=True), strict=True)
    found = friedman(scores_of({name: [float(v) for v in column] for name, column in columns}))
    assert sum(found.ranks.values()) == pytest.approx(10)
    assert list(found.ranks.values()) == sorted(found.ranks.values())
    for group in found.groups:
        assert found.ranks[group[-1]] - found.ranks[group[0]] < found.critical
        assert not any(set(group) < set(other) for other in found.groups)
    assert pd.Series(found.p).between(0, 1).all()
