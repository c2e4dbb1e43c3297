import numpy as np
import pandas as pd
import pytest

from dfo_bench.errors import InputError
from dfo_bench.report.scores import by_block
from dfo_bench.report.stats.scale import heights, normalise, spans_decades
from tests.frames import store_of

INF, NAN = np.inf, np.nan

A0, B0, A1, B1 = [("sphere", optimizer, seed) for seed in (0, 1) for optimizer in ("a", "b")]
# Of seed 0 the heights are 1, 0.5, 0.5, 0 and 1, 1, 0.5, 0.5; of seed 1 twice 1, 0, 0, 0.
SEEN: dict[tuple[str, str, int], list[float]] = {
    A0: [10, 6, 8, 2], B0: [10, 12, 6, 7], A1: [10, 2, 2, 2], B1: [10, 2, 2, 2]}  # fmt: skip


@pytest.mark.parametrize(
    ("losses", "logarithmic"), [([1, 50], False), ([1, 500], True), ([0, 500], False), ([NAN, INF], False), ([], False)]
)
def test_an_axis_is_logarithmic_only_for_positive_losses_of_different_size(
    losses: list[float], logarithmic: bool
) -> None:
    assert spans_decades(pd.Series(losses, dtype=float)) is logarithmic


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


def test_a_normalised_score_is_zero_for_pooled_random_search_and_one_for_the_best() -> None:
    runs, curves = store_of({
        ("s", "random", 0): [8], ("s", "random/uniform", 0): [10], ("s", "cma", 0): [5],
        ("s", "random", 1): [107], ("s", "random/uniform", 1): [111], ("s", "cma", 1): [103],
    })  # fmt: skip
    found = by_block(normalise(runs, curves))
    # Random is 9 and 109, the best 4 and 6 below it: the unit is 5.
    assert found["cma · normal"].to_list() == pytest.approx([4 / 5, 6 / 5])
    assert found["random · normal"].to_list() == pytest.approx([1 / 5, 2 / 5])
    assert found["cma · normal"].mean() == pytest.approx(1)
    assert found[["random · normal", "random · uniform"]].to_numpy().mean() == pytest.approx(0)


def test_losses_of_any_size_have_scores_of_one_size() -> None:
    seen = {("s", "random", 0): [9.0], ("s", "cma", 0): [5.0], ("s", "b", 0): [8.0]}
    large = {("big", optimizer, seed): [1e9 * loss[0]] for (_, optimizer, seed), loss in seen.items()}
    found = by_block(normalise(*store_of({**seen, **large})))
    assert np.allclose(found, [[0.25, 1, 0]] * 2)


def test_a_seed_that_random_search_has_not_run_has_no_score() -> None:
    seen: dict[tuple[str, str, int], list[float]] = {
        ("s", "random", 0): [9], ("s", "cma", 0): [5], ("s", "cma", 1): [-1000]}  # fmt: skip
    assert np.array_equal(by_block(normalise(*store_of(seen)))["cma · normal"], [1, NAN], equal_nan=True)


def test_where_nothing_beats_random_search_or_it_has_no_loss_there_is_no_scale() -> None:
    seen: dict[tuple[str, str, int], list[float]] = {("s", "random", 0): [3], ("s", "cma", 0): [3]}
    with pytest.raises(InputError, match="on no task is anything better than random"):
        normalise(*store_of(seen))
    with pytest.raises(InputError, match="on no task is anything better than random, or it has no loss"):
        normalise(*store_of({("s", "random", 0): [NAN], ("s", "cma", 0): [1]}))
    with pytest.raises(InputError, match="no run of random to normalise by; add some with -o random"):
        normalise(*store_of({("s", "cma", 0): [1]}))
    more: dict[tuple[str, str, int], list[float]] = {
        ("t", "random", 0): [2],
        ("t", "cma", 0): [1],
        ("t", "b", 0): [INF],
    }
    found = normalise(*store_of({**seen, **more})).set_index(["task", "method"])["score"]
    assert found["s"].isna().all()
    assert found["t"].to_dict() == {"b · normal": -INF, "cma · normal": 1, "random · normal": 0}
