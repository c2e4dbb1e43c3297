import numpy as np
import pytest

from dfo_bench.core import Anchor, Blend, Dense, Points, RandomEmbedding, Space
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
    return [lifted, dense, blend, embedding.lift(z, base=blend), embedding.lift(z, base=dense[:1])]


@pytest.mark.parametrize("points", _every_kind(), ids=lambda p: type(p).__name__)
class TestEveryKind:
    def test_coordinates_on_demand_are_those_of_the_whole(self, points: Points) -> None:
        index = np.array([11, 0, 5])
        np.testing.assert_allclose(points.at(index), points.dense()[:, index], atol=1e-12)

    def test_a_slice_is_the_same_candidates(self, points: Points) -> None:
        assert len(points[1:3]) == 2
        np.testing.assert_allclose(points[1:3].dense(), points.dense()[1:3], atol=1e-12)
        assert points[1:3].digests() == points.digests()[1:3]

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
