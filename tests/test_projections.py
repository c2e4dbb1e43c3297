"""Embeddings: rows on demand, and the lift."""

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfo_bench import registry
from dfo_bench.core import Anchor, Array, Blend, Dense, Embedding, InputError, Space

RANDOM = ["normal", "uniform"]
HUGE = 10**9

indices = st.lists(st.integers(0, HUGE - 1), min_size=1, max_size=20)


def space(dim: int, lower: float | None = None, upper: float | None = None, start: float = 0.0) -> Space:
    return Space(dim, lower, upper, Anchor(dim, "here", lambda index: np.full(len(index), start)), 2.0)


def draw(name: str, within: Space, dim: int = 3, seed: int = 0, index: int = 0, **params: float) -> Embedding:
    embedding: Embedding = registry.load("projection", name)(**params).draw(within, dim, seed, index)
    return embedding


def normal(*shape: int) -> Array:
    return np.random.default_rng(7).standard_normal(shape)


@pytest.mark.parametrize("name", RANDOM)
@settings(deadline=None)
@given(indices, st.randoms())
def test_a_row_is_the_same_whatever_was_read_before_or_beside_it(name: str, wanted: list[int], random: Random) -> None:
    block = draw(name, space(HUGE)).rows(np.array(wanted))
    embedding = draw(name, space(HUGE))
    order = list(range(len(wanted)))
    random.shuffle(order)
    for i in order:
        assert np.array_equal(embedding.rows(np.array([wanted[i]]))[0], block[i])


@pytest.mark.parametrize("name", RANDOM)
@pytest.mark.parametrize("dim", [1, 4, 5, 17])
def test_consecutive_rows_in_one_call_equal_row_by_row_access(name: str, dim: int) -> None:
    embedding = draw(name, space(50), dim)
    assert np.array_equal(
        embedding.rows(np.arange(10, 40)), np.concatenate([embedding.rows(np.array([i])) for i in range(10, 40)])
    )


@pytest.mark.parametrize("name", RANDOM)
def test_rows_differ_between_seeds_and_between_the_embeddings_of_a_run(name: str) -> None:
    wanted = np.arange(5)
    rows = [draw(name, space(5), seed=seed, index=index).rows(wanted) for seed in (0, 1) for index in (0, 1)]
    assert len({block.tobytes() for block in rows}) == 4


@pytest.mark.parametrize("name", RANDOM)
@pytest.mark.parametrize("dim", [2, 10])
def test_entries_are_independent_with_mean_0_and_variance_1_over_d(name: str, dim: int) -> None:
    rows = draw(name, space(100_000), dim).rows(np.arange(100_000))
    assert np.abs(rows.mean()) < 0.01
    assert np.allclose(dim * np.cov(rows.T), np.eye(dim), atol=0.03)


def test_uniform_entries_fill_their_interval_and_no_more() -> None:
    rows = draw("uniform", space(10_000), 12).rows(np.arange(10_000))
    assert 0.4999 < np.abs(rows).max() <= 0.5


@pytest.mark.parametrize("name", RANDOM)
def test_z_with_unit_coordinates_moves_every_coordinate_by_one_scale(name: str) -> None:
    moved = draw(name, space(50_000), 8).lift(np.ones((1, 8))).dense()
    assert moved.std() == pytest.approx(2.0, rel=0.03)


@pytest.mark.parametrize("name", RANDOM)
def test_alpha_multiplies_the_step_and_scale_replaces_the_tasks(name: str) -> None:
    plain = draw(name, space(20)).lift(normal(2, 3)).dense()
    assert np.allclose(draw(name, space(20), alpha=0.5).lift(normal(2, 3)).dense(), plain / 2)
    assert np.allclose(draw(name, space(20), scale=1.0).lift(normal(2, 3)).dense(), plain / 2)


def test_the_original_uniform_of_black_box_tuning_has_entries_up_to_one_over_root_d() -> None:
    embedding = draw("uniform", space(10_000), 25, scale=1.0, alpha=1 / 3**0.5)
    largest = np.abs(embedding.factor * embedding.rows(np.arange(10_000))).max()
    assert largest == pytest.approx(0.2, rel=1e-3)


@pytest.mark.parametrize("name", [*RANDOM, "identity"])
@pytest.mark.parametrize("bounds", [(None, None), (-0.5, 0.5), (None, 0.3)])
@settings(deadline=None)
@given(st.lists(st.integers(0, 39), min_size=1, max_size=8))
def test_some_coordinates_equal_those_of_all(
    name: str, bounds: tuple[float | None, float | None], wanted: list[int]
) -> None:
    embedding = draw(name, space(40, *bounds, start=0.1), dim=40)
    points = embedding.lift(normal(4, 40))
    dense = points.dense()
    assert np.allclose(points.at(np.array(wanted)), dense[:, wanted], rtol=1e-12, atol=1e-12)
    assert np.array_equal(embedding.space.clip(dense), dense)


@pytest.mark.parametrize("name", RANDOM)
def test_the_lift_is_clip_of_start_plus_factor_times_a_z(name: str) -> None:
    embedding, z = draw(name, space(30, -1.0, 1.0, start=0.4)), normal(5, 3)
    by_hand = np.clip(0.4 + 2.0 * z @ embedding.rows(np.arange(30)).T, -1, 1)
    assert np.allclose(embedding.lift(z).dense(), by_hand)


def test_the_lift_adds_to_another_base_of_one_or_of_every_candidate() -> None:
    embedding, z = draw("normal", space(6)), normal(2, 3)
    moved, ones = embedding.lift(z).dense(), Dense(np.ones((1, 6)))
    assert np.allclose(embedding.lift(z, base=ones).dense(), moved + 1)
    blend = Blend(embedding.space.start, ones, np.array([0.5, -1.0]))
    assert np.allclose(embedding.lift(z, base=blend).dense(), moved + np.array([[0.5], [-1.0]]))
    assert np.allclose(embedding.lift(z, base=blend)[1:].dense(), moved[1:] - 1)


@pytest.mark.parametrize("name", RANDOM)
def test_a_billion_coordinates_are_read_where_they_are_asked_for_and_never_written_out(name: str) -> None:
    points = draw(name, space(HUGE), 10).lift(normal(2, 10))
    assert points.at(np.array([0, 123_456_789, HUGE - 1])).shape == (2, 3)
    with pytest.raises(InputError, match="1000000000"):
        points.dense()


def test_identity_maps_minus_one_to_one_onto_the_tasks_box_and_its_start_onto_the_start() -> None:
    embedding = draw("identity", space(4, -3.0, 1.0, start=0.5), dim=4)
    inner = embedding.search_space
    assert (inner.lower, inner.upper, inner.scale) == (-1.0, 1.0, 1.0)
    assert np.allclose(embedding.lift(inner.start.dense()).dense(), 0.5)
    assert np.array_equal(embedding.lift(np.array([[-1.0, 1.0, 0.0, 1.0]])).dense(), [[-3.0, 1.0, -1.0, 1.0]])


@pytest.mark.parametrize("name", RANDOM)
def test_a_plain_optimizer_sees_no_bounds_and_a_start_of_zero_that_lifts_to_the_tasks(name: str) -> None:
    embedding = draw(name, space(9, -1.0, 1.0, start=0.25))
    inner = embedding.search_space
    assert (inner.dim, inner.bounded, inner.scale) == (3, False, 1.0)
    assert np.array_equal(embedding.lift(inner.start.dense()).dense(), np.full((1, 9), 0.25))


def test_digests_follow_the_recipe() -> None:
    z = normal(2, 3)
    digests = draw("normal", space(HUGE)).lift(z).digests()
    assert len(set(digests)) == 2
    assert digests == draw("normal", space(HUGE)).lift(z.copy()).digests()
    assert digests[1:] == draw("normal", space(HUGE)).lift(z)[1:].digests()
    assert not set(digests) & set(draw("normal", space(HUGE), index=1).lift(z).digests())
