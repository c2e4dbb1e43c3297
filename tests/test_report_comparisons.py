import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfo_bench.errors import InputError
from dfo_bench.report.stats.comparisons import differences, win_matrix
from tests.frames import scores_of

INF, NAN = np.inf, np.nan


def test_a_difference_is_paired_by_seed_and_positive_where_the_first_is_better() -> None:
    (row,) = differences(scores_of({"a": [1, 5, 9], "b": [4, 9, 14]}), margin=0.0).to_dict("records")
    # 3, 4, 5: mean 4, bounds 4 -+ 4.302653 / sqrt(3), whatever the spread between seeds.
    assert (row["first"], row["second"], row["advantage"], row["n"], row["words"]) == ("a", "b", 4, 3, "a better")
    assert row["low"] == pytest.approx(4 - 4.302653 / 3**0.5)
    assert row["high"] == pytest.approx(4 + 4.302653 / 3**0.5)


def test_an_accuracy_is_better_when_higher() -> None:
    scored = scores_of({"a": [0.9, 0.8], "b": [0.7, 0.6]})
    (row,) = differences(scored, "test_accuracy").to_dict("records")
    assert row["advantage"] == pytest.approx(0.2)
    assert win_matrix(scored, "test_accuracy")["estimate"].to_list() == [1, 0]


def test_the_margin_is_a_share_of_the_mean_size_of_the_scores() -> None:
    scored = scores_of({"a": [100.0, 200.0], "b": [100.5, 200.4]})
    (row,) = differences(scored, margin=0.1).to_dict("records")
    assert (row["margin"], row["words"]) == (pytest.approx(0.1 * (100.5 + 200.4) / 2), "tie")


def test_a_pair_that_lacks_a_score_does_not_count() -> None:
    scored = scores_of({"a": [1, 2, NAN], "b": [2, NAN, 3]})
    assert differences(scored)["n"].to_list() == [1]
    assert win_matrix(scored)["n"].to_list() == [1, 1]


def test_tasks_are_compared_apart_and_their_wins_together() -> None:
    scored = pd.concat([scores_of({"a": [1, 2], "b": [3, 5]}), scores_of({"a": [2e9], "b": [1e9]}, task="ackley")])
    assert differences(scored)[["task", "advantage"]].values.tolist() == [["ackley", -1e9], ["sphere", 2.5]]
    cell = win_matrix(scored).iloc[0]
    # 2 of 3, exact bounds from tables of the binomial distribution.
    assert cell[["first", "second", "wins", "ties", "losses", "n"]].to_list() == ["a", "b", 2, 0, 1, 3]
    assert cell["estimate"] == pytest.approx(2 / 3)
    assert cell[["low", "high"]].to_list() == pytest.approx([0.0943, 0.9916], abs=1e-4)


def test_scores_within_the_margin_tie_and_so_do_two_runs_without_a_loss() -> None:
    scored = scores_of({"a": [1.0, 1.0, INF, INF, -2.0], "b": [1.009, 1.02, INF, 3.0, -2.01]})
    cell = win_matrix(scored, margin=0.01).iloc[0]
    assert cell[["wins", "ties", "losses", "n"]].to_list() == [1, 3, 1, 5]
    assert win_matrix(scored, margin=0.0).iloc[0][["wins", "ties", "losses"]].to_list() == [2, 1, 2]


def test_methods_without_a_common_seed_have_a_cell_that_says_so() -> None:
    scored = scores_of({"a": [1, NAN], "b": [NAN, 1]})
    assert win_matrix(scored)["estimate"].isna().all()
    assert differences(scored)["words"].to_list() == ["no seed in common"]


def test_one_method_cannot_be_compared() -> None:
    with pytest.raises(InputError, match="there is only a; run another"):
        win_matrix(scores_of({"a": [1.0]}))
    with pytest.raises(InputError, match="no task has two methods"):
        differences(scores_of({"a": [1.0]}))


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(*[st.floats(0, 10) | st.just(INF)] * 3), min_size=1, max_size=6),
    st.sampled_from([0.0, 0.01, 0.5]),
)
def test_what_one_wins_the_other_loses(rows: list[tuple[float, ...]], margin: float) -> None:
    found = win_matrix(scores_of(dict(zip("abc", map(list, zip(*rows, strict=True)), strict=True))), margin=margin)
    cells = found.set_index(["first", "second"])
    for first, second in cells.index:
        one, other = cells.loc[(first, second)], cells.loc[(second, first)]
        assert one["wins"] + one["ties"] + one["losses"] == one["n"] == len(rows)
        assert (one["wins"], one["ties"]) == (other["losses"], other["ties"])
        assert one["low"] <= one["estimate"] <= one["high"]
        assert one["low"] == pytest.approx(1 - other["high"])
