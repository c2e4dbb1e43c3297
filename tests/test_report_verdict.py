import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from dfo_bench.report.stats.verdict import MOST, POWER, judge, seeds_needed

INF, NAN = np.inf, np.nan


def words(*better: float, margin: float = 0.0) -> str:
    return judge(np.array(better), margin).words("cma", "random")


def test_an_interval_without_zero_is_better_and_one_within_the_margin_is_a_tie() -> None:
    # Of 1, 2, 3 the interval is 2 -+ 2.484: it holds 0. Of 3, 4, 5 it is 4 -+ 2.484.
    assert words(3, 4, 5) == "cma better"
    assert words(-3, -4, -5) == "random better"
    assert words(3, 4, 5, margin=7) == "tie"
    assert words(0, 0) == "tie"


def test_an_undecided_comparison_says_how_many_more_seeds_would_settle_it() -> None:
    # Effect size 2 needs 5 pairs at power 0.8 (G*Power: 0.93 at 5, 0.75 at 4), three of which are there.
    assert words(1, 2, 3) == "undecided: about 2 more seeds would settle it"
    assert seeds_needed(2.0, 1.0, 0.0) == 5
    assert words(-1.5, 0.5, 1.9, margin=1.0).endswith("would settle it as a tie")


def test_two_seeds_show_too_little_of_the_spread_to_ask_for_more() -> None:
    assert words(1, 2).startswith("undecided: 2 seeds show too little of the spread")
    assert judge(np.array([1.0, 2.0]), 0.0).more is None


@pytest.mark.parametrize(("effect", "n"), [(1.0, 10), (0.5, 34), (0.8, 15), (0.2, 199)])
def test_the_seeds_needed_are_those_of_the_tables_of_the_paired_t_test(effect: float, n: int) -> None:
    # Two-sided, alpha 0.05, power 0.8, as G*Power and R's power.t.test(type="paired") give them.
    assert seeds_needed(effect, 1.0, 0.0) == n


def test_more_seeds_are_not_asked_for_where_no_number_would_do() -> None:
    assert seeds_needed(0.01, 1.0, 0.0) is None
    assert words(1, -1, 0.001) == f"undecided: not even {MOST:,} seeds would settle a difference this small"


def test_a_difference_within_the_margin_is_settled_as_a_tie() -> None:
    few, many = seeds_needed(0.0, 1.0, 0.5), seeds_needed(0.0, 1.0, 0.0)
    # Two one-sided tests at 2.5 % with power 0.8 at no difference: ((1.960 + 1.282) / 0.5)^2 = 42, and a few for t.
    assert few is not None
    assert 42 <= few <= 46
    assert many is None


def test_what_was_asked_for_settles_it_as_often_as_promised() -> None:
    mean, sd, samples, rng = 0.9, 1.0, 4000, np.random.default_rng(0)
    n = seeds_needed(mean, sd, 0.0)
    assert n is not None
    drawn = rng.normal(mean, sd, (n, samples))
    found = np.less(stats.ttest_1samp(drawn, 0.0).pvalue, 0.05)
    assert np.mean(found) >= POWER - 4 * np.sqrt(POWER * (1 - POWER) / samples)


def test_one_seed_and_none_are_said() -> None:
    assert words(1.0) == "undecided: one seed shows no spread"
    assert words() == "no seed in common"


def test_runs_without_a_loss_leave_the_wins_to_decide() -> None:
    assert words(*[1.0] * 5, INF) == "cma better"  # 6 of 6: at least 0.54
    assert words(*[-1.0] * 5, -INF) == "random better"
    assert "allow no mean" in words(*[1.0] * 4, INF)  # 5 of 5: at least 0.48
    assert "allow no mean" in words(*[1.0] * 5, NAN)  # both without a loss: half a win
    judged = judge(np.array([1.0, 3.0, INF]), 0.0)
    assert (judged.advantage, judged.n, judged.lossless) == (2, 3, 1)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=12), st.floats(0, 1e6))
def test_exchanging_the_two_exchanges_the_verdict(better: list[float], margin: float) -> None:
    one, other = judge(np.array(better), margin), judge(-np.array(better), margin)
    swapped = {"first": "second", "second": "first"}
    assert other.outcome == swapped.get(one.outcome, one.outcome)
    assert (other.more, other.n) == (one.more, one.n)


def test_equal_methods_are_called_better_no_more_often_than_the_level_allows() -> None:
    samples, rng = 300, np.random.default_rng(1)
    found = [judge(rng.normal(size=4), 0.0).outcome for _ in range(samples)]
    wrong = sum(outcome in ("first", "second") for outcome in found) / samples
    assert wrong == pytest.approx(0.05, abs=4 * np.sqrt(0.05 * 0.95 / samples))
