"""Searches of sequences: the letters of a space, and what proposes them."""

from importlib import import_module
from typing import Any

import numpy as np
import pytest

from dfo_bench.core import Array, Dense, IdentityEmbedding, Index, Letters, Optimizer, Space
from dfo_bench.plugins.registry import OPTIMIZERS

WORDS = np.random.default_rng(3).standard_normal((12, 4))
WANTED = np.array([3, 1, 4, 1, 5])
START = np.array([[0, 0, 0, 0, 0]])
SPACE = Space(20, None, None, Dense(WORDS[START].reshape(1, -1)), 0.5, letters=Letters(WORDS))


def wrong(sequences: Index) -> Array:
    return (sequences != WANTED).sum(axis=1).astype(float)


def search(name: str, budget: int, **params: Any) -> tuple[list[Index], Array]:
    """Search under the identity; return the sequences asked for, and the losses."""
    embedding = IdentityEmbedding(SPACE, 0)
    embedding.stretch = 4.0
    cls = OPTIMIZERS.load(name)
    assert issubclass(cls, Optimizer)
    optimizer = cls(embedding.search_space, budget=budget, rng=np.random.default_rng(1), **params)
    asked, losses = [], []
    for _ in range(budget // 20):
        z = optimizer.ask()
        x = embedding.lift(z).dense()
        # What is asked for are words, to rounding.
        sequences = Letters(WORDS).read(x)
        np.testing.assert_allclose(x, WORDS[sequences].reshape(len(x), -1), rtol=0, atol=1e-12)
        asked.append(sequences)
        losses.append(wrong(sequences))
        optimizer.tell(z, losses[-1])
    return asked, np.concatenate(losses)


def test_letters_are_read_as_they_are_written_wherever_the_origin_is() -> None:
    letters = Letters(WORDS, origin=np.ones(20), step=0.3)
    some = np.array([WANTED, START[0]])
    np.testing.assert_array_equal(letters.read(letters.points(some)), some)


@pytest.mark.parametrize(("name", "budget"), [("genetic", 800), ("bdpl", 2000)])
def test_a_search_of_words_begins_at_the_start_and_finds_better_ones(name: str, budget: int) -> None:
    asked, losses = search(name, budget)
    np.testing.assert_array_equal(asked[0][0], START[0])
    assert losses[:20].mean() - losses[-20:].mean() > 1
    assert losses.min() <= {"genetic": 0, "bdpl": 1}[name]


def test_a_genetic_search_asks_for_little_twice() -> None:
    asked, _ = search("genetic", 400)
    every = np.concatenate(asked)
    assert len(np.unique(every, axis=0)) > 0.95 * len(every)


def test_what_is_put_onto_the_simplex_is_its_nearest_point() -> None:
    onto_simplex = import_module("dfo_bench.optimizers.bdpl").onto_simplex
    p = np.array([[0.5, 0.3, 0.2], [0.9, 0.6, -0.4], [2.0, 0.0, 0.0]])
    np.testing.assert_allclose(onto_simplex(p), [[0.5, 0.3, 0.2], [0.65, 0.35, 0.0], [1.0, 0.0, 0.0]])
