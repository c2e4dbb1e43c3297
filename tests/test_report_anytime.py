import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfo_bench.errors import InputError
from dfo_bench.report.counting import Counting
from dfo_bench.report.scores import by_block
from dfo_bench.report.stats.anytime import area_over_curve, normalised
from dfo_bench.report.stats.targets import hits, run_time_ecdf
from tests.frames import store_of

INF, NAN = np.inf, np.nan


def test_the_area_is_the_mean_of_one_minus_the_height_over_the_evaluations() -> None:
    seen: dict[tuple[str, str, int], list[float]] = {
        ("s", "a", 0): [10, 6, 8, 2], ("s", "b", 0): [NAN, 10, 10, 6], ("s", "c", 0): [10, 10, 10, 10]}  # fmt: skip
    # Heights 1, 0.5, 0.5, 0 and -, 1, 1, 0.5 and 1, 1, 1, 1.
    assert area_over_curve(*store_of(seen))["score"].to_list() == [0.5, 0.125, 0]
    # Within 2 evaluations: 1, 0 and -, 1 and 1, 1.
    assert area_over_curve(*store_of(seen), budget=2)["score"].to_list() == [0.5, 0, 0]


def test_a_run_that_stopped_keeps_its_height_or_under_worst_loses_it() -> None:
    cut = ("s", "b", 0)
    runs, curves = store_of({("s", "a", 0): [10, 6, 8, 2], cut: [10, 2]}, status={cut: "failed"}, budget={cut: 4})
    assert area_over_curve(runs, curves)["score"].to_list() == [0.5, 0.75]
    assert area_over_curve(runs, curves, counting=Counting.WORST)["score"].to_list() == [0.5, 0.25]
    assert area_over_curve(runs, curves, counting=Counting.DROP)["score"].to_list() == [0.5]


@settings(max_examples=15, deadline=None)
@given(st.lists(st.floats(0, 100), min_size=4, max_size=4), st.lists(st.floats(0, 100), min_size=4, max_size=4))
def test_the_area_is_that_under_the_run_time_distribution_of_many_targets(a: list[float], b: list[float]) -> None:
    runs, curves = store_of({("s", "a", 0): [50.0, *a, 200.0], ("s", "b", 0): [50.0, *b, -1.0]})
    targets = np.linspace(1, 0, 1001)[1:]
    under = run_time_ecdf(hits(runs, curves, targets)).groupby("method")["share"].mean()
    areas = area_over_curve(runs, curves).set_index("method")["score"]
    assert areas.to_dict() == pytest.approx(under.to_dict(), abs=2e-3)


def test_a_normalised_score_is_zero_for_pooled_random_search_and_one_for_the_best() -> None:
    runs, curves = store_of({
        ("s", "random", 0): [8], ("s", "random/uniform", 0): [10], ("s", "cma", 0): [5],
        ("s", "random", 1): [107], ("s", "random/uniform", 1): [111], ("s", "cma", 1): [103],
    })  # fmt: skip
    found = by_block(normalised(runs, curves))
    # Random is 9 and 109, the best 4 and 6 below it: the unit is 5.
    assert found["cma · normal"].to_list() == pytest.approx([4 / 5, 6 / 5])
    assert found["random · normal"].to_list() == pytest.approx([1 / 5, 2 / 5])
    assert found["cma · normal"].mean() == pytest.approx(1)
    assert found[["random · normal", "random · uniform"]].to_numpy().mean() == pytest.approx(0)


def test_losses_of_any_size_have_scores_of_one_size() -> None:
    seen = {("s", "random", 0): [9.0], ("s", "cma", 0): [5.0], ("s", "b", 0): [8.0]}
    large = {("big", optimizer, seed): [1e9 * loss[0]] for (_, optimizer, seed), loss in seen.items()}
    found = by_block(normalised(*store_of({**seen, **large})))
    assert np.allclose(found, [[0.25, 1, 0]] * 2)


def test_a_seed_that_random_search_has_not_run_has_no_score() -> None:
    seen: dict[tuple[str, str, int], list[float]] = {
        ("s", "random", 0): [9], ("s", "cma", 0): [5], ("s", "cma", 1): [-1000]}  # fmt: skip
    assert np.array_equal(by_block(normalised(*store_of(seen)))["cma · normal"], [1, NAN], equal_nan=True)


def test_where_nothing_beats_random_search_or_it_has_no_loss_there_is_no_scale() -> None:
    seen: dict[tuple[str, str, int], list[float]] = {("s", "random", 0): [3], ("s", "cma", 0): [3]}
    with pytest.raises(InputError, match="on no task is anything better than random"):
        normalised(*store_of(seen))
    with pytest.raises(InputError, match="on no task is anything better than random, or it has no loss"):
        normalised(*store_of({("s", "random", 0): [NAN], ("s", "cma", 0): [1]}))
    with pytest.raises(InputError, match="no run of random to normalise by; add some with -o random"):
        normalised(*store_of({("s", "cma", 0): [1]}))
    more: dict[tuple[str, str, int], list[float]] = {
        ("t", "random", 0): [2],
        ("t", "cma", 0): [1],
        ("t", "b", 0): [INF],
    }
    found = normalised(*store_of({**seen, **more})).set_index(["task", "method"])["score"]
    assert found["s"].isna().all()
    assert found["t"].to_dict() == {"b · normal": -INF, "cma · normal": 1, "random · normal": 0}
