"""Tasks without a model: a few effective variables in any dimension."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfo_bench import registry
from dfo_bench.core import Array, Dense, Index, InputError, Points, Task
from dfo_bench.spec import streams

SYNTHETIC = ["ackley", "branin", "sphere"]
HUGE = 10**9


def make(name: str, seed: int = 0, **params: Any) -> Task:
    task: Task = registry.load("task", name)(rngs=streams(seed), **params)
    return task


def random_points(n: int, dim: int) -> Array:
    return np.random.default_rng(3).uniform(-1, 1, (n, dim))


class Watched(Points):
    """Constant points that note which coordinates are read."""

    def __init__(self, values: Array, dim: int) -> None:
        self.values, self.dim = values, dim
        self.read: set[int] = set()

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: slice) -> Points:
        return Watched(self.values[rows], self.dim)

    def at(self, index: Index) -> Array:
        self.read.update(index.tolist())
        return np.repeat(self.values[:, None], len(index), axis=1)

    def recipe(self) -> tuple[Array, dict[str, Any]]:
        return self.values[:, None], {}


@pytest.mark.parametrize("name", SYNTHETIC)
def test_no_loss_is_below_the_optimum(name: str) -> None:
    task = make(name, dim=20)
    assert task.optimum is not None
    losses = task.evaluate(Dense(random_points(2_000, 20)))
    assert losses.shape == (2_000,)
    assert (losses >= task.optimum).all()


@pytest.mark.parametrize("name", ["ackley", "sphere"])
@settings(deadline=None)
@given(st.floats(-1, 1))
def test_the_shift_is_the_optimum(name: str, shift: float) -> None:
    task = make(name, dim=20, shift=shift)
    assert task.evaluate(Dense(np.full((1, 20), shift)))[0] == task.optimum == 0.0


@pytest.mark.parametrize(("a", "b"), [(-np.pi, 12.275), (np.pi, 2.275), (9.42478, 2.475)])
def test_branin_has_its_three_optima(a: float, b: float) -> None:
    task = make("branin", dim=2)
    assert task.optimum == pytest.approx(0.397887, abs=1e-6)
    assert task.evaluate(Dense(np.array([[a / 7.5 - 1 / 3, b / 7.5 - 1]])))[0] == pytest.approx(task.optimum, abs=1e-9)


def test_sphere_is_the_squared_distance_and_ackley_its_published_formula() -> None:
    x = random_points(3, 10)
    assert np.allclose(make("sphere", dim=10, shift=0.2).evaluate(Dense(x)), ((x - 0.2) ** 2).sum(axis=1))
    z = x - 0.2
    formula = -20 * np.exp(-0.2 * np.sqrt((z**2).mean(axis=1))) - np.exp(np.cos(2 * np.pi * z).mean(axis=1)) + np.e + 20
    assert np.allclose(make("ackley", dim=10, shift=0.2).evaluate(Dense(x)), formula)


@pytest.mark.parametrize("name", SYNTHETIC)
def test_only_the_effective_coordinates_of_a_billion_are_read(name: str) -> None:
    task = make(name, dim=HUGE)
    points = Watched(np.array([0.1, -0.3]), HUGE)
    assert task.evaluate(points).shape == (2,)
    assert len(points.read) == (2 if name == "branin" else 10)
    assert max(points.read) < HUGE


@pytest.mark.parametrize("name", SYNTHETIC)
def test_a_batch_has_the_losses_of_its_points(name: str) -> None:
    task, x = make(name), random_points(7, 100)
    assert np.array_equal(task.evaluate(Dense(x)), [task.evaluate(Dense(row[None]))[0] for row in x])


@pytest.mark.parametrize("name", SYNTHETIC)
def test_a_seed_draws_the_same_task_and_another_seed_another(name: str) -> None:
    points = Dense(random_points(3, 50))
    assert np.array_equal(make(name, dim=50).evaluate(points), make(name, dim=50).evaluate(points))
    assert not np.array_equal(make(name, dim=50).evaluate(points), make(name, seed=1, dim=50).evaluate(points))
    starts = [make(name, seed=seed, dim=50).space.start.dense() for seed in (0, 0, 1)]
    assert np.array_equal(starts[0], starts[1])
    assert not np.array_equal(starts[0], starts[2])


@settings(deadline=None)
@given(st.lists(st.integers(0, HUGE - 1), min_size=1, max_size=20))
def test_any_coordinates_of_the_start_are_given_in_any_order(wanted: list[int]) -> None:
    start = make("sphere", dim=HUGE).space.start
    values = start.at(np.array(wanted))[0]
    assert (np.abs(values) <= 0.5).all()
    assert np.array_equal(values, [start.at(np.array([i]))[0, 0] for i in wanted])


def test_the_start_is_uniform() -> None:
    start = make("sphere", dim=100_000).space.start.dense()[0]
    counts, _ = np.histogram(start, bins=20, range=(-0.5, 0.5))
    assert counts.sum() == 100_000
    assert np.abs(counts - 5_000).max() < 350
    assert np.abs(np.corrcoef(start[:-1], start[1:])[0, 1]) < 0.02


@pytest.mark.parametrize("name", SYNTHETIC)
def test_a_start_that_is_given_is_taken(name: str) -> None:
    assert np.array_equal(make(name, dim=30, start=0.0).space.start.dense(), np.zeros((1, 30)))


@pytest.mark.parametrize(("name", "params"), [("sphere", {"dim": 5}), ("ackley", {"dim": 3, "effective": 4})])
def test_a_dimension_below_the_effective_one_is_refused(name: str, params: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="effective"):
        make(name, **params)
