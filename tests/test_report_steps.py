import numpy as np

from dfo_bench.report.stats.steps import REACH, grid, read_steps, value_at, within_reach
from tests.frames import curves_of

INF, NAN = np.inf, np.nan


def test_a_value_holds_until_the_next_and_is_infinite_before_the_first() -> None:
    assert list(value_at(np.array([2, 5]), np.array([3.0, 1.0]), np.array([1, 2, 4, 5, 9]))) == [INF, 3, 3, 1, 1]


def test_a_curve_of_improvements_says_the_same_as_the_whole_curve_in_any_order_of_rows() -> None:
    whole = curves_of(k0=[5.0, NAN, 6.0, 2.0])
    improvements = whole.iloc[[3, 0]]
    at = np.arange(1, 5)
    values = [value_at(*read_steps(frame, "evaluation", "best")["k0"], at) for frame in (whole, improvements)]
    assert list(values[0]) == list(values[1]) == [5, 5, 5, 2]


def test_a_short_grid_holds_every_evaluation_and_a_long_one_both_ends() -> None:
    assert list(grid(3)) == [1, 2, 3]
    long = grid(8000)
    assert (long[0], long[-1]) == (1, 8000)
    assert len(long) <= 400
    assert (np.diff(long) > 0).all()


def test_rounding_of_a_place_moves_no_step() -> None:
    places, at = np.array([0.1 + 0.2, 1.0]), np.array([0.3])  # 0.30000000000000004 and 0.3
    assert list(value_at(places, np.array([5.0, 4.0]), at)) == [5]


def test_the_ends_of_floats_are_moved_within_reach_and_what_is_no_value_stays() -> None:
    values = np.array([1.7e308, -1e308, 1e99, 0.0, INF, NAN])
    assert np.array_equal(within_reach(values), [REACH, -REACH, 1e99, 0, INF, NAN], equal_nan=True)
    assert list(read_steps(curves_of(k0=[1e308, -1e308]), "evaluation", "best")["k0"][1]) == [REACH, -REACH]
