"""Every interval against a case worked out by hand, and how often it holds the truth, by simulation.

A simulated coverage of N samples has the standard error sqrt(p (1 - p) / N); four of them are the tolerance.
"""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from dfo_bench.report.stats.intervals import (
    mean_interval,
    median_interval,
    median_level,
    share_interval,
)

INF = np.inf


def tolerance(level: float, samples: int) -> float:
    return 4 * float(np.sqrt(level * (1 - level) / samples))


def test_the_interval_of_a_mean_is_students() -> None:
    # 1, 2, 3: sd 1, so 2 -+ t(0.975, 2) / sqrt(3), with t = 4.302653 from any table.
    mean, low, high = mean_interval(np.array([[1.0], [2.0], [3.0]]))
    assert_allclose([mean[0], low[0], high[0]], [2, 2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5], rtol=1e-6)


def test_a_mean_leaves_out_what_is_missing_and_one_value_has_no_bounds() -> None:
    values = np.array([[1.0, 5.0, np.nan, 4.0], [3.0, np.nan, np.nan, 4.0], [INF, np.nan, np.nan, 4.0]])
    mean, low, high = mean_interval(values)
    assert_allclose(mean, [2, 5, np.nan, 4])
    assert_allclose(low, [2 - 12.706205, np.nan, np.nan, 4], rtol=1e-6)  # t(0.975, 1) = 12.706205, sd / sqrt(2) = 1
    assert_allclose(high[1:], [np.nan, np.nan, 4])


@pytest.mark.parametrize("n", [2, 3, 10])
def test_the_interval_of_a_mean_holds_it_as_often_as_it_says(n: int) -> None:
    samples = 20_000
    _, low, high = mean_interval(np.random.default_rng(1).normal(3, 2, (n, samples)))
    assert ((low <= 3) & (high >= 3)).mean() == pytest.approx(0.95, abs=tolerance(0.95, samples))


@pytest.mark.parametrize(("wins", "n"), [(0, 3), (2, 6), (6, 6), (3, 10)])
def test_the_interval_of_a_share_is_scipys_exact_one(wins: int, n: int) -> None:
    exact = stats.binomtest(wins, n).proportion_ci(0.95, "exact")
    assert_allclose(share_interval(np.array(wins), n), [exact.low, exact.high], rtol=1e-9, atol=1e-12)
    assert np.isnan(share_interval(np.array(0), 0)).all()


@pytest.mark.parametrize("n", [1, 3, 6, 30])
@pytest.mark.parametrize("ties", [0.0, 0.4])
def test_the_interval_of_a_share_holds_it_at_least_as_often_as_it_says(n: int, ties: float) -> None:
    samples, rng = 4000, np.random.default_rng(2)
    for chance in (0.05, 0.3, 0.5, 0.8):
        drawn = rng.random((samples, n))
        won = (drawn < chance * (1 - ties)).sum(axis=1) + (drawn > 1 - ties).sum(axis=1) / 2
        truth = chance * (1 - ties) + ties / 2
        low, high = share_interval(won, n)
        assert ((low <= truth) & (truth <= high)).mean() >= 0.95 - tolerance(0.95, samples)


def test_it_holds_the_mean_chance_of_trials_that_differ() -> None:
    chances = np.repeat([0.1, 0.9, 0.6], 4)
    won = (np.random.default_rng(3).random((4000, 12)) < chances).sum(axis=1)
    low, high = share_interval(won, 12)
    assert ((low <= chances.mean()) & (chances.mean() <= high)).mean() >= 0.95 - tolerance(0.95, 4000)


def test_the_bounds_of_a_median_of_few_values_are_the_outermost_ones() -> None:
    values = np.array([[3.0, 1.0], [1.0, 2.0], [2.0, INF]])
    low, high = median_interval(values)
    assert (low.tolist(), high.tolist()) == ([1, 1], [3, INF])
    assert np.isnan(median_interval(values[:1])).all()


def test_the_bounds_of_a_median_are_percentiles_of_the_bootstrap() -> None:
    values = np.random.default_rng(4).normal(size=401)
    ours = median_interval(values[:, None])
    # The correction for few values no longer shows.
    scipys = stats.bootstrap((values,), np.median, method="percentile", n_resamples=2000, rng=5).confidence_interval
    assert_allclose([bound[0] for bound in ours], scipys, atol=0.02)


@pytest.mark.parametrize("n", [3, 5, 6, 10, 21])
def test_the_bounds_of_a_median_hold_it_as_often_as_few_values_allow(n: int) -> None:
    # Bounds are values of the sample, so with few what is reached steps with n: 2^(1-n) is left out at least.
    samples = 4000
    low, high = median_interval(np.random.default_rng(6).exponential(size=(n, samples)))
    held = ((low <= np.log(2)) & (np.log(2) <= high)).mean()
    assert held >= median_level(n) - tolerance(median_level(n), samples)
    if n <= 5:
        assert held == pytest.approx(1 - 2.0 ** (1 - n), abs=tolerance(median_level(n), samples))
