import numpy as np
import pytest

from dfo_bench.core import Anchor, Array, Blend, Blocks, Dense, Index, Kept, Points, RandomEmbedding, Space
from dfo_bench.errors import InputError
from dfo_bench.points import DENSE_LIMIT


def _embedding(dim: int = 12, index: int = 0) -> RandomEmbedding:
    space = Space(dim, -1.0, 1.0, Anchor.origin(dim), 1.0)
    return RandomEmbedding(space, 3, index, 0.5, 7, lambda u: 2 * u - 1)


def _every_kind() -> list[Points]:
    rng = np.random.default_rng(0)
    embedding, z = _embedding(), rng.standard_normal((4, 3))
    lifted, dense = embedding.lift(z), Dense(rng.standard_normal((4, 12)))
    blend = Blend(Anchor.origin(12), lifted[:1], np.array([1.0, 0.5, 0.0, -1.0]))
    blocks = Blocks([dense[:1], lifted, Anchor.origin(12)], 1)
    return [
        lifted,
        dense,
        blend,
        blocks,
        embedding.lift(z, base=blend),
        embedding.lift(z, base=dense[:1]),
        embedding.lift(z, base=blocks),
        Blocks([embedding.lift(z, base=blend), Kept(12, lambda: lifted[2:3])], 0),
    ]


@pytest.mark.parametrize("points", _every_kind(), ids=lambda p: type(p).__name__)
class TestEveryKind:
    def test_coordinates_on_demand_are_those_of_the_whole(self, points: Points) -> None:
        index = np.array([11, 0, 5])
        np.testing.assert_allclose(points.at(index), points.dense()[:, index], atol=1e-12)

    def test_a_slice_is_the_same_candidates(self, points: Points) -> None:
        assert len(points[1:3]) == 2
        np.testing.assert_allclose(points[1:3].dense(), points.dense()[1:3], atol=1e-12)
        assert points[1:3].digests() == points.digests()[1:3]

    def test_a_candidate_alone_has_the_digest_that_it_has_among_others(self, points: Points) -> None:
        assert [points[i : i + 1].digests()[0] for i in range(4)] == points.digests()

    def test_equal_candidates_have_equal_digests_and_others_do_not(self, points: Points) -> None:
        assert points.digests() == points[0:4].digests()
        assert len(set(points.digests())) == 4
        assert all(len(digest) == 16 for digest in points.digests())


def test_the_digest_tells_embeddings_and_bases_apart() -> None:
    z = np.ones((1, 3))
    variants = [
        _embedding(index=0).lift(z),
        _embedding(index=1).lift(z),
        _embedding().lift(z, base=Dense(np.zeros((1, 12)))),
        _embedding().lift(z, base=Dense(np.ones((1, 12)))),
    ]
    assert len({points.digests()[0] for points in variants}) == 4


@pytest.mark.parametrize("z", [np.ones((2, 4)), np.ones(3), np.array([[1.0, np.nan, 0.0]])])
def test_a_z_of_another_shape_or_not_finite_is_refused(z: np.ndarray) -> None:
    with pytest.raises(InputError, match="z has shape"):
        _embedding().lift(z)


def test_points_stay_what_they_were_when_the_array_they_came_from_changes() -> None:
    z = np.ones((2, 3))
    points = _embedding().lift(z)
    before = points.dense()
    z[:] = 0.0
    np.testing.assert_array_equal(points.dense(), before)


def test_a_lift_is_clipped_into_the_bounds() -> None:
    x = _embedding().lift(np.full((1, 3), 1e6)).dense()
    assert np.abs(x).max() == 1.0


def test_writing_out_too_many_coordinates_is_refused_with_a_remedy() -> None:
    with pytest.raises(InputError, match="smaller dimension"):
        Anchor.origin(DENSE_LIMIT + 1).dense()


def test_a_withdrawn_point_lies_between_its_ends() -> None:
    blend = Blend(Dense(np.zeros((1, 2))), Dense(np.array([[2.0, 4.0]])), np.array([0.5]))
    np.testing.assert_array_equal(blend.dense(), [[1.0, 2.0]])


class Recorded(Dense):
    """Points that note which coordinates were read."""

    def __init__(self, x: Array) -> None:
        super().__init__(x)
        self.read: list[list[int]] = []

    def at(self, index: Index) -> Array:
        self.read.append(index.tolist())
        return super().at(index)


def test_of_every_block_only_its_own_coordinates_are_read() -> None:
    parts = [Recorded(np.full((n, 6), i)) for i, n in enumerate([1, 2, 1])]
    blocks = Blocks(parts, 1)
    np.testing.assert_array_equal(blocks.dense(), [[0, 0, 1, 1, 2, 2]] * 2)
    np.testing.assert_array_equal(blocks.at(np.array([5, 0, 3, 4])), [[2, 0, 1, 2]] * 2)
    assert [part.read for part in parts] == [[[0, 1], [0]], [[2, 3], [3]], [[4, 5], [5, 4]]]


def test_the_recipe_of_blocks_has_the_numbers_of_the_moving_part_and_tells_which_it_is() -> None:
    lifted, start = _embedding(index=1).lift(np.ones((2, 3))), Anchor.origin(12)
    z, plain = Blocks([start, lifted], 1).recipe()
    np.testing.assert_array_equal(z, np.ones((2, 3)))
    assert plain == {"blocks": [{"anchor": "origin", "z": []}, {"embedding": 1}]}
    assert Blocks([lifted[:1], start], 0).digests() != Blocks([lifted[:1], start], 1).digests()


@pytest.mark.parametrize("parts", [[1, 2], [2, 2, 2], [1, 2, 1, 1, 1]])
def test_blocks_that_are_not_equal_or_move_together_are_refused(parts: list[int]) -> None:
    wide = 12 if len(parts) > 2 else 11
    with pytest.raises(InputError, match="equal blocks"):
        Blocks([Dense(np.zeros((n, wide))) for n in parts], 1)


def test_a_kept_point_is_made_when_other_coordinates_are_read() -> None:
    made: list[Points] = []

    def make() -> Points:
        made.append(Dense(np.arange(4, dtype=float)[None]))
        return made[-1]

    kept = Kept(4, make)
    for index in ([0, 1], [0, 1], [3], [0, 1]):
        np.testing.assert_array_equal(kept.at(np.array(index)), [index])
    assert len(made) == 3
    assert kept.digests() == kept[:1].digests() == made[0].digests()
