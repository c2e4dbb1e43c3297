import numpy as np
import pandas as pd
import pytest

from dfo_bench.core import Array
from dfo_bench.errors import InputError
from dfo_bench.report.stats.variance import variance_split
from tests.frames import scores_of

SOURCES = ["optimizer", "projection", "optimizer x projection", "data split and start", "embedding",
           "the optimizer's own draws"]  # fmt: skip


def scored(table: Array) -> pd.DataFrame:
    """Return the scores of a table of optimizers x projections x seeds."""
    names = [(f"o{i}/p{j}", list(map(float, row))) for i, rows in enumerate(table) for j, row in enumerate(rows)]
    return scores_of(dict(names))


def components(table: Array) -> dict[str, float]:
    found = variance_split(scored(table))
    return dict(zip(found["source"], found["variance"], strict=True))


def test_two_optimizers_and_two_seeds_are_split_as_by_hand() -> None:
    # 1 3 / 5 11: means 2, 8 and 3, 7 around 5. SS: optimizer 36, seed 16, rest 4, one degree of freedom each.
    # Components: (36 - 4) / 2, (16 - 4) / 2, 4.
    found = variance_split(scored(np.array([[[1, 3]], [[5, 11]]])))
    assert found["source"].to_list() == [SOURCES[0], SOURCES[3], SOURCES[5]]
    assert found["variance"].to_list() == pytest.approx([16, 6, 4])
    assert found["share"].to_list() == pytest.approx([16 / 26, 6 / 26, 4 / 26])
    assert found["df"].to_list() == [1, 1, 1]


def test_what_a_seed_shifts_alike_is_the_split_and_what_it_shifts_by_projection_the_embedding() -> None:
    split, embedding = np.zeros((2, 2, 4)), np.zeros((2, 2, 4))
    split += np.array([0.0, 2, 4, 6])
    assert components(split) == pytest.approx(dict.fromkeys(SOURCES, 0.0) | {SOURCES[3]: 20 / 3})
    embedding[:, 0] += np.array([1.0, -1, 1, -1])
    embedding[:, 1] -= np.array([1.0, -1, 1, -1])
    # SS 16 over 3 degrees of freedom, over 2 optimizers.
    assert components(embedding) == pytest.approx(dict.fromkeys(SOURCES, 0.0) | {SOURCES[4]: 16 / 3 / 2})


def test_the_components_are_those_that_were_simulated() -> None:
    rng, truth, samples = np.random.default_rng(0), np.array([2.0, 1.0, 0.5]), 80
    found = []
    for _ in range(samples):
        seed, embedding, own = (np.sqrt(v) * rng.normal(size=shape) for v, shape in zip(
            truth, [(1, 1, 6), (1, 3, 6), (4, 3, 6)], strict=True))  # fmt: skip
        table = seed + embedding + own + np.array([0.0, 0, 0, 4]).reshape(4, 1, 1)
        found.append(list(components(table).values()))
    mean, error = np.mean(found, axis=0), np.std(found, axis=0) / np.sqrt(samples)
    # The optimizers' is the variance of 0, 0, 0, 4 with n - 1: 4. What is cut at 0 biases the absent ones upwards.
    expected = [4, None, None, *truth]
    for at, value in enumerate(expected):
        if value is not None:
            assert mean[at] == pytest.approx(value, abs=4 * error[at] + 0.02)
    assert (mean[1:3] < 0.2).all()


def test_losses_that_span_decades_are_split_by_their_logarithms() -> None:
    assert components(10 ** np.array([[[1.0, 3.0]], [[5.0, 11.0]]]))["optimizer"] == pytest.approx(16)


def test_only_what_is_whole_enters() -> None:
    table = np.array([[[1, 3, 7.0]], [[5, 11, np.nan]], [[np.inf, np.nan, np.nan]]])
    found = variance_split(scored(table))
    assert found["variance"].to_list() == pytest.approx([16, 6, 4])
    assert found[["optimizers", "projections", "seeds"]].iloc[0].to_list() == [2, 1, 2]
    lacking = pd.concat([scored(np.array([[[1, 3]], [[5, 11]]])), scores_of({"o0/p1": [1.0, 2.0]})])
    with pytest.raises(InputError, match="two optimizers with the same projections, and two seeds"):
        variance_split(lacking)


def test_equal_scores_have_no_variance_and_no_shares() -> None:
    found = variance_split(scored(np.ones((2, 1, 2))))
    assert found["variance"].to_list() == [0, 0, 0]
    assert found["share"].isna().all()
