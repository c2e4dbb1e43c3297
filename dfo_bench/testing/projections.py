"""The checks of projections: the contract that every one must keep."""

from dataclasses import replace

import numpy as np

from dfo_bench.core import Anchor, Embedding, Projection, Space
from dfo_bench.plugins.plugin import Plugin
from dfo_bench.testing.checks import Problem


def _embedding(plugin: Plugin[Projection]) -> Embedding:
    projection = plugin.construct()
    space = projection.example or Space(200, None, None, Anchor.origin(200), 0.5)
    bounded = replace(space, lower=-1.0, upper=1.0)
    return projection.draw(bounded, space.dim if projection.whole else min(40, space.dim), 0, 0)


def rows_are_pure(plugin: Plugin[Projection]) -> Problem:
    """A row is the same whatever was read before it, alone or in a block."""
    embedding = _embedding(plugin)
    last = embedding.space.dim - 1
    whole = _embedding(plugin).rows(np.arange(last + 1))
    for index in ([last], [3, 4, 5, 0], [7, 7], [last // 2]):
        if not np.array_equal(embedding.rows(np.array(index)), whole[index]):
            return f"rows {index} differ from those of the whole"
    return ""


def lifts_consistently(plugin: Plugin[Projection]) -> Problem:
    """Coordinates on demand are those of the whole point, inside the task's bounds."""
    embedding = _embedding(plugin)
    last = embedding.space.dim - 1
    z = np.random.default_rng(1).standard_normal((5, embedding.dim)) * 3
    points = embedding.lift(z)
    dense, index = points.dense(), np.array([5, last // 2, 6, last])
    if not np.allclose(points.at(index), dense[:, index], rtol=0, atol=1e-12):
        return "at() and dense() disagree"
    return "" if (np.abs(dense) <= 1).all() else "a lifted point is out of bounds"


def has_unit_variance(plugin: Plugin[Projection]) -> Problem:
    """A unit z gives every coordinate unit variance."""
    embedding = _embedding(plugin)
    variance = float((embedding.rows(np.arange(embedding.space.dim)) ** 2).sum(axis=1).mean())
    return "" if abs(variance - 1) < 0.1 else f"the variance is {variance:.3f}"


CHECKS = (rows_are_pure, lifts_consistently, has_unit_variance)
"""The checks of a projection; each docstring is a title."""
