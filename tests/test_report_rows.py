"""Intervals over seeds and rows: by hand, beside a bootstrap, and how often they hold the truth, by simulation."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dfo_bench.core import Array, Index
from dfo_bench.predicted import pack
from dfo_bench.report.stats.intervals import mean_interval
from dfo_bench.report.stats.rows import NORMAL, RowHits, mcnemar, rows_half, score_half, share_half
from dfo_bench.report.stats.verdict import judge
from dfo_bench.runs.columns import PREDICTIONS


def drawn(rng: np.random.Generator, seeds: int, rows: int, spread: float, gap: float, own: float) -> Array:
    """Return, per seed and row, by how much one of two methods is better; the rows are of unequal difficulty."""
    difficulty = rng.normal(0, 1.5, rows)

    def hits(mean: float) -> Array:
        noise = rng.normal(0, spread, (seeds, 1)) + rng.normal(0, own, (seeds, rows))
        return (mean + difficulty + noise > 0).astype(float)

    return hits(0.4 + gap) - hits(0.4)


def truth(spread: float, gap: float, own: float) -> float:
    deviation = np.sqrt(1.5**2 + spread**2 + own**2)
    return float(stats.norm.cdf((0.4 + gap) / deviation) - stats.norm.cdf(0.4 / deviation))


@pytest.mark.parametrize(("seeds", "rows"), [(1, 100), (1, 300), (2, 100), (2, 300), (3, 300), (5, 300)])
@pytest.mark.parametrize(("spread", "gap", "own"), [(0.0, 0.0, 1.0), (0.0, 0.5, 1.0), (0.4, 0.3, 1.0), (0.1, 0.0, 0.1)])
def test_the_interval_of_a_difference_holds_it_as_often_as_it_says(
    seeds: int, rows: int, spread: float, gap: float, own: float
) -> None:
    if seeds == 1 and spread:
        pytest.skip("one seed says nothing of others")
    rng, samples, held = np.random.default_rng(7), 600, 0
    for _ in range(samples):
        better = drawn(rng, seeds, rows, spread, gap, own)
        verdict = judge(better.mean(axis=1), 0.0, rows_half(list(better), same=True))
        held += verdict.low <= truth(spread, gap, own) <= verdict.high
    assert held / samples >= 0.95 - 4 * np.sqrt(0.95 * 0.05 / samples)


def test_student_over_seeds_alone_holds_it_too_rarely() -> None:
    """What this room did before: of rows that all seeds share it knows nothing."""
    rng, samples = np.random.default_rng(8), 300
    held = 0
    for _ in range(samples):
        better = drawn(rng, 5, 100, 0.0, 0.5, 0.3)
        _, low, high = mean_interval(better.mean(axis=1)[:, None])
        held += low[0] <= truth(0.0, 0.5, 0.3) <= high[0]
    assert held / samples < 0.8


@pytest.mark.parametrize(("seeds", "rows"), [(1, 50), (1, 300), (3, 300)])
@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_the_interval_of_an_accuracy_holds_it_as_often_as_it_says(seeds: int, rows: int, share: float) -> None:
    rng, samples = np.random.default_rng(9), 2000
    # All seeds predict alike: the hardest case, for they share their rows.
    found = rng.binomial(rows, share, samples) / rows
    halves = np.array([share_half(one, 0.0, seeds, rows) for one in found])
    held = (found - halves <= share) & (share <= found + halves)
    assert held.mean() >= 0.95 - 0.015 - 4 * np.sqrt(0.95 * 0.05 / samples)


@pytest.mark.parametrize("rows", [100, 300])
@pytest.mark.parametrize("positive", [0.1, 0.67])
@pytest.mark.parametrize("skill", [0.3, 2.0])
def test_the_intervals_of_an_f1_and_of_a_difference_hold_them_as_often_as_they_say(
    rows: int, positive: float, skill: float
) -> None:
    rng, samples = np.random.default_rng(11), 400

    def two(rows: int) -> Index:
        """Draw what is wanted, and what two methods find: the second has a little more skill."""
        wanted, difficulty = rng.random(rows) < positive, rng.normal(size=rows)
        found = [(2 * wanted - 1) * (skill + more) + difficulty + rng.normal(0, 0.7, rows) > 0 for more in (0, 0.3)]
        return np.array([wanted, *found], dtype=int)

    def f1(wanted: Index, found: Index) -> float:
        return float(2 * (wanted & found).sum() / (wanted.sum() + found.sum()))

    many = two(400_000)
    first, second = (f1(many[0], found) for found in many[1:])
    held = np.zeros(2)
    for _ in range(samples):
        wanted, *found = two(rows)
        one, other = (f1(wanted, some) for some in found)
        half = score_half("f1", {"f1": one, "accuracy": float((wanted == found[0]).mean())}, 0.0, 1, rows)
        hits = RowHits(pd.DataFrame(
            [(key, "test", "f1", "", pack(wanted), pack(some)) for key, some in zip("ab", found, strict=True)],
            columns=PREDICTIONS,
        ))  # fmt: skip
        between = hits.half([("b", "a")], "test_f1")
        held += abs(one - first) <= half, abs(other - one - (second - first)) <= between
    assert (held / samples >= 0.95 - 0.015 - 4 * np.sqrt(0.95 * 0.05 / samples)).all()


def test_an_f1_without_a_mistake_or_of_unknown_rows_has_no_interval() -> None:
    for scores, rows in (({"f1": 1.0, "accuracy": 1.0}, 9), ({"f1": 0.5, "accuracy": 0.5}, 0), ({"accuracy": 0.5}, 9)):
        assert np.isnan(score_half("f1", scores, 0.0, 1, rows))
    assert np.isnan(score_half("loss", {"loss": 0.5}, 0.0, 1, 9))


def test_it_is_as_wide_as_a_bootstrap_over_seeds_and_rows() -> None:
    rng, seeds, rows = np.random.default_rng(10), 40, 300
    better = drawn(rng, seeds, rows, 0.4, 0.3, 0.1)
    weights = rng.multinomial(seeds, [1 / seeds] * seeds, 2000) @ better / seeds
    means = (weights * rng.multinomial(rows, [1 / rows] * rows, 2000)).sum(axis=1) / rows
    verdict = judge(better.mean(axis=1), 0.0, rows_half(list(better), same=True))
    low, high = np.quantile(means, [0.025, 0.975])
    assert verdict.high - verdict.low == pytest.approx(high - low, rel=0.1)


def test_mcnemar_is_the_binomial_test_of_the_rows_on_which_one_alone_is_right() -> None:
    # 8 to 1 of 300: 2 * (1 + 9) / 2^9, whatever the other rows.
    better = np.array([1.0] * 8 + [-1.0] + [0.0] * 291)
    assert mcnemar(better) == pytest.approx(20 / 512)
    assert mcnemar(np.zeros(300)) == 1.0


@pytest.mark.parametrize(("won", "lost"), [(4, 0), (5, 0), (6, 0), (9, 2), (8, 1), (30, 15), (40, 20)])
def test_of_one_seed_an_interval_without_zero_is_what_mcnemar_allows(won: int, lost: int) -> None:
    better = np.array([1.0] * won + [-1.0] * lost + [0.0] * (300 - won - lost))
    verdict = judge(better.mean(keepdims=True), 0.0, rows_half([better], same=True))
    if mcnemar(better) >= 0.05:
        assert verdict.outcome == "undecided"
        assert "rows are too few" in verdict.words("a", "b")
    else:
        assert verdict.words("a", "b") == "a better on one seed"


def test_four_sentences_of_three_hundred_in_both_seeds_are_no_certainty() -> None:
    better = [np.array([1.0] * 4 + [0.0] * 296)] * 2
    verdict = judge(np.array([4 / 300, 4 / 300]), 0.0, rows_half(better, same=True))
    assert verdict.low < verdict.advantage < verdict.high
    assert verdict.high - verdict.low > 0.02


def test_rows_that_differ_between_seeds_share_nothing() -> None:
    better = list(np.random.default_rng(1).choice([-1.0, 0.0, 1.0], (4, 100)))
    assert rows_half(better, same=False) == pytest.approx(NORMAL * np.sqrt(2 / 3 / 400), rel=0.1)


def predictions(*rows: tuple[str, str, str, list[int]]) -> pd.DataFrame:
    """Return a frame of key, metric, digest of the rows and classes predicted; class 1 is always right."""
    truth = {len(classes): pack(np.ones(len(classes), int)) for *_, classes in rows}
    found = [(k, "test", metric, digest, truth[len(c)], pack(np.array(c))) for k, metric, digest, c in rows]
    return pd.DataFrame(found, columns=PREDICTIONS)


def test_runs_are_paired_on_the_same_rows_only() -> None:
    hits = RowHits(predictions(
        ("a", "accuracy", "x", [1, 1, 0, 1]),
        ("b", "accuracy", "x", [0, 1, 1, 1]),
        ("c", "accuracy", "y", [1, 1, 1, 1]),
    ))  # fmt: skip
    assert hits.half([("a", "b")], "test_accuracy") == rows_half([np.array([1.0, 0.0, -1.0, 0.0])], same=True)
    for pairs, score in (([("a", "c")], "test_accuracy"), ([("a", "d")], "test_accuracy"), ([("a", "b")], "test_f1")):
        assert np.isnan(hits.half(pairs, score))
    assert np.isnan(hits.half([], "test_accuracy"))
