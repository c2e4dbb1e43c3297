"""Every point is what its recipe says."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dfo_bench.core import (
    Anchor,
    Array,
    Blend,
    Blocks,
    Dense,
    Embedding,
    IdentityEmbedding,
    Kept,
    Points,
    RandomEmbedding,
    Space,
)
from dfo_bench.errors import StoreError
from dfo_bench.points import expand
from dfo_bench.runs.rebuild import rebuild

D, N = 6, 3
START = Anchor(D, "start", lambda index: 0.25 + index / 8)
SPACES = [Space(D, None, None, Anchor.origin(D), 0.5), Space(D, -1.0, 2.0, START, 0.5, blocks=3)]


def embedder(space: Space, whole: bool = False) -> Callable[[int], Embedding]:
    def embed(index: int) -> Embedding:
        if whole:
            return IdentityEmbedding(space, index)
        return RandomEmbedding(space, 4, index, space.scale, 7, lambda u: 2 * u - 1)

    return embed


def numbers(*shape: int) -> st.SearchStrategy[Array]:
    return arrays(float, shape, elements=st.floats(-4, 4))


@st.composite
def batches(draw: st.DrawFn, space: Space, embed: Callable[[int], Embedding], n: int = N, depth: int = 3) -> Points:
    """Draw n candidates of any kind, made of others of any kind."""

    def inner(n: int) -> Points:
        return draw(batches(space, embed, n, depth - 1))

    kinds = ["dense", "lifted", *(["anchor"] if n == 1 else [])]
    kinds += ["on one base", "on a base each", "blend", "blocks", *(["kept"] if n == 1 else [])] if depth else []
    kind = draw(st.sampled_from(kinds))
    embedding = embed(draw(st.integers(0, 3)))
    z = draw(numbers(n, embedding.dim))
    match kind:
        case "anchor":
            return draw(st.sampled_from([space.start, Anchor.origin(D)]))
        case "dense":
            return Dense(draw(numbers(n, D)))
        case "lifted":
            return embedding.lift(z)
        case "on one base":
            return embedding.lift(z, base=inner(1))
        case "on a base each":
            return embedding.lift(z, base=inner(n))
        case "blend":
            return Blend(inner(1), inner(1), draw(numbers(n)))
        case "kept":
            point = inner(1)
            return Kept(D, lambda: point)
    moving = draw(st.integers(0, 2))
    return Blocks([inner(n if i == moving else 1) for i in range(3)], moving)


@pytest.mark.parametrize("space", SPACES, ids=["free", "box"])
@pytest.mark.parametrize("whole", [False, True], ids=["random", "identity"])
@settings(deadline=None)
@given(st.data())
def test_a_point_rebuilt_from_its_recipe_is_the_same_to_the_bit(space: Space, whole: bool, data: st.DataObject) -> None:
    points = data.draw(batches(space, embedder(space, whole)))
    digests = points.digests()
    for i in range(N):
        recipe = expand(points[i : i + 1])
        again = rebuild(json.loads(json.dumps(recipe)), space, embedder(space, whole))
        assert expand(again) == recipe
        assert again.digests() == digests[i : i + 1]
        np.testing.assert_array_equal(again.dense(), points[i : i + 1].dense())


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({}, "'z'"),
        ({"z": [1.0]}, "no kind of point has nothing"),
        ({"lattice": 3, "z": [1.0]}, "no kind of point has lattice"),
        ({"anchor": "elsewhere", "z": []}, "no point of this task is called 'elsewhere'"),
        ({"anchor": "middle", "z": []}, "no point of this task is called 'middle'"),
        ({"dense": 4, "z": [0.0] * 4}, "it has dimension 4, the task 6"),
        ({"dense": 6, "twist": 1, "z": [0.0] * 6}, "it says more than is known here"),
        ({"embedding": 0, "z": [0.0] * 5}, "z has shape"),
        ({"embedding": 0, "z": "four"}, "could not convert"),
        ({"embedding": 0, "base": {"dense": 6}, "z": [0.0] * 3}, "cannot be rebuilt"),
        ({"blocks": [{"anchor": "origin", "z": []}] * 3, "z": []}, "False is not in list"),
    ],
)
def test_a_recipe_that_does_not_fit_is_refused(recipe: dict[str, Any], message: str) -> None:
    with pytest.raises(StoreError, match="another task, or of a newer dfo-bench") as error:
        rebuild(recipe, SPACES[0], embedder(SPACES[0]))
    assert message in str(error.value)
