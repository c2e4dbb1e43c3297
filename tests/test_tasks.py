"""Tasks without a model: a few effective variables in any dimension."""

import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import rosen

from dfo_bench.core import Array, Dense, Index, InputError, Points, Task
from dfo_bench.lm import TextTask
from dfo_bench.plugins.component import Component, parse
from dfo_bench.plugins.plugin import resolve
from dfo_bench.plugins.registry import TASKS
from dfo_bench.runs.spec import streams

SYNTHETIC = [name for name in TASKS.names() if not issubclass(TASKS.load(name), TextTask)]
TAKES = {name: set(TASKS.parameters(TASKS.load(name))) for name in SYNTHETIC}
SHIFTED = [name for name in SYNTHETIC if {"shift", "effective"} <= TAKES[name]]
DRAWN = [name for name in SYNTHETIC if "start" in TAKES[name]]
ROTATED = [name for name in SYNTHETIC if "rotated" in TAKES[name]]
HUGE = 10**9

HARTMANN6 = [0.20168951, 0.15001069, 0.47687397, 0.27533243, 0.31165162, 0.65730053]


def make(name: str, seed: int = 0, **params: Any) -> Task:
    """Build a task as a run does; one that may have any number of effective variables has 10, or fewer."""
    if "effective" in TAKES[name]:
        params = {"effective": 10, **params}
    return resolve(TASKS, Component(name, params)).construct(rngs=streams(seed))


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


@pytest.mark.parametrize("name", SHIFTED)
@settings(deadline=None, max_examples=20)
@given(st.floats(-1, 1))
def test_the_shift_is_the_optimum(name: str, shift: float) -> None:
    task = make(name, dim=20, shift=shift)
    assert task.evaluate(Dense(np.full((1, 20), shift)))[0] == task.optimum == 0.0


@pytest.mark.parametrize(("a", "b"), [(-np.pi, 12.275), (np.pi, 2.275), (9.42478, 2.475)])
def test_branin_has_its_three_optima(a: float, b: float) -> None:
    task = make("branin", dim=2)
    assert task.optimum == pytest.approx(0.397887, abs=1e-6)
    assert task.evaluate(Dense(np.array([[a / 7.5 - 1 / 3, b / 7.5 - 1]])))[0] == pytest.approx(task.optimum, abs=1e-9)


def test_hartmann6_has_its_published_optimum() -> None:
    task, x = make("hartmann6", dim=6), 2 * np.array([HARTMANN6]) - 1
    assert task.optimum == pytest.approx(-3.32237, abs=2e-6)
    assert task.evaluate(Dense(x))[0] == pytest.approx(task.optimum, abs=1e-12)
    around = x + 1e-3 * np.random.default_rng(0).uniform(-1, 1, (2_000, 6))
    assert task.optimum is not None
    assert (task.evaluate(Dense(around)) >= task.optimum).all()


FORMULAS: dict[str, Callable[[Array], float]] = {
    "sphere": lambda z: sum(z**2),
    "ellipsoid": lambda z: sum(10 ** (6 * i / 9) * z[i] ** 2 for i in range(10)),
    "ackley": lambda z: (
        -20 * np.exp(-0.2 * np.sqrt(sum(z**2) / 10)) - np.exp(sum(np.cos(2 * np.pi * z)) / 10) + 20 + np.e
    ),
    "rastrigin": lambda z: 100 + sum((5.12 * z) ** 2 - 10 * np.cos(2 * np.pi * 5.12 * z)),
    "griewank": lambda z: (
        1 + sum((600 * z) ** 2) / 4000 - math.prod(np.cos(600 * z[i] / np.sqrt(i + 1)) for i in range(10))
    ),
    "rosenbrock": lambda z: rosen(2.048 * z + 1),
}


def test_every_shifted_function_has_a_formula() -> None:
    assert sorted(FORMULAS) == SHIFTED


@pytest.mark.parametrize("name", FORMULAS)
def test_a_function_that_is_not_rotated_is_the_published_formula(name: str) -> None:
    given = {"rotated": False} if name in ROTATED else {}
    x = random_points(3, 10)
    losses = make(name, dim=10, shift=0.2, **given).evaluate(Dense(x))
    assert np.allclose(losses, [FORMULAS[name](row) for row in x - 0.2], rtol=1e-12)


def test_a_rotation_turns_the_axes_of_the_ellipsoid_and_keeps_their_lengths() -> None:
    task, axes = make("ellipsoid", dim=3, effective=3, shift=0.0), np.eye(3)
    alone = task.evaluate(Dense(axes))
    sums = task.evaluate(Dense((axes[:, None] + axes).reshape(9, 3))).reshape(3, 3)
    matrix = (sums - alone[:, None] - alone) / 2
    assert np.allclose(np.linalg.eigvalsh(matrix), [1, 1e3, 1e6], rtol=1e-6)
    assert np.abs(matrix[~np.eye(3, dtype=bool)]).min() > 100


def test_the_axes_of_the_ellipsoid_are_rounded_once() -> None:
    """The third of five has 10^1.5, whose nearest number is the root of 1,000 on every processor."""
    task = make("ellipsoid", dim=5, effective=5, shift=0.0, rotated=False)
    residuals = task.outputs(Dense(np.eye(5)))
    np.testing.assert_array_equal(np.diag(residuals)[[0, 2, 4]], [1, math.sqrt(1000), 1000])


@pytest.mark.parametrize("name", ROTATED)
def test_a_rotation_is_of_the_seed(name: str) -> None:
    points = Dense(random_points(2, 10))
    losses = [make(name, seed, dim=10, shift=0.2).evaluate(points) for seed in (0, 1)]
    assert not np.isclose(losses[0], losses[1]).any()


@pytest.mark.parametrize("function", range(1, 25))
@pytest.mark.parametrize("seed", [0, 1])
def test_a_function_of_bbob_has_its_optimum_where_coco_puts_it(function: int, seed: int) -> None:
    task: Any = make("bbob", seed, function=function, dim=5, effective=5)
    assert task.evaluate(Dense(np.array([task._problem.optimum.x]) / 5))[0] == pytest.approx(task.optimum, abs=1e-9)
    assert (task.evaluate(Dense(random_points(500, 5))) > 0).all()


def test_an_instance_of_bbob_is_cocos() -> None:
    # f1 of COCO's instance 1 in two dimensions: the sphere around (0.2528, -1.1568).
    x = np.array([[0.1, -0.3], [0.0, 0.9]])
    losses = make("bbob", function=1, instance=1, dim=2, effective=2).evaluate(Dense(x))
    assert np.allclose(losses, ((5 * x - [0.2528, -1.1568]) ** 2).sum(axis=1))


@pytest.mark.parametrize("name", SYNTHETIC)
def test_only_the_effective_coordinates_of_a_billion_are_read(name: str) -> None:
    task = make(name, dim=HUGE)
    points = Watched(np.array([0.1, -0.3]), HUGE)
    assert task.evaluate(points).shape == (2,)
    assert len(points.read) == {"branin": 2, "hartmann6": 6, "tanh_net": 20}.get(name, 10)
    assert max(points.read) < HUGE


@pytest.mark.parametrize("name", SYNTHETIC)
def test_a_batch_has_the_losses_of_its_points(name: str) -> None:
    task, x = make(name), random_points(7, 100)
    assert np.array_equal(task.evaluate(Dense(x)), [task.evaluate(Dense(row[None]))[0] for row in x])


@pytest.mark.parametrize("name", DRAWN)
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


def test_active_coordinates_are_those_given_in_their_order() -> None:
    x = random_points(5, 100)
    one = make("branin", active=[19, 64]).evaluate(Dense(x))
    assert np.array_equal(one, make("branin", dim=2, active=[0, 1]).evaluate(Dense(x[:, [19, 64]])))
    assert not np.isclose(one, make("branin", active=[64, 19]).evaluate(Dense(x))).any()
    u = np.full((1, 1000), 0.5)
    u[0, [190, 140, 430, 370, 660, 30]] = HARTMANN6
    task = make("hartmann6", dim=1000, active=[190, 140, 430, 370, 660, 30])
    assert task.evaluate(Dense(2 * u - 1))[0] == pytest.approx(-3.32237, abs=2e-6)


def test_a_tail_adds_the_mean_of_the_other_squares() -> None:
    # Qian, Hu & Yu (IJCAI 2016): sum_{i <= 10} (x_i - 0.2)^2 + 1 / (D - 10) sum_{i > 10} (x_i - 0.2)^2
    x = random_points(4, 50)
    task: Any = make("sphere", dim=50, shift=0.2, tail=True)
    first = np.isin(np.arange(50), task._index)
    squares = (x - 0.2) ** 2
    assert np.allclose(task.evaluate(Dense(x)), squares[:, first].sum(axis=1) + squares[:, ~first].mean(axis=1))
    assert task.evaluate(Dense(np.full((1, 50), 0.2)))[0] == task.optimum


@pytest.mark.parametrize("name", SHIFTED)
def test_a_tail_has_an_optimum_of_its_own_and_the_same_losses_in_any_batch(name: str) -> None:
    task, plain, x = make(name, tail=True), make(name), random_points(7, 100)
    losses = task.evaluate(Dense(x))
    assert (losses > plain.evaluate(Dense(x))).all()
    assert np.array_equal(losses, [task.evaluate(Dense(row[None]))[0] for row in x])


@pytest.mark.parametrize("name", DRAWN)
def test_a_start_that_is_given_is_taken(name: str) -> None:
    assert np.array_equal(make(name, dim=30, start=0.0).space.start.dense(), np.zeros((1, 30)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sphere:dim=5", "dim=5 is below the 10 effective variables; use dim=10 or more"),
        ("ackley:dim=3,effective=4", "dim=3 is below the 4 effective"),
        ("ackley:dim=5000,effective=2000", "use effective=1000 or less, or rotated=false"),
        ("rosenbrock:effective=1", "effective=1: input should be greater than or equal to 2"),
        ("branin:dim=1", "dim=1: input should be greater than or equal to 2"),
        (
            "branin:active=[19]",
            r"active=\[19\] must be 2 different coordinates, each of 0 to 99; write active=\[0, 1\]",
        ),
        ("branin:active=[19,19]", "must be 2 different"),
        ("branin:active=[19,100]", "each of 0 to 99"),
        ("branin:active=[-1,3]", "each of 0 to 99"),
        ("hartmann6:active=[]", "must be 6 different"),
        ("branin:active=19", "active=19: input should be a valid list"),
        ("sphere:dim=10,tail=true", "dim=10 must be above effective=10 and at most 1000000; use another dim, or tail"),
        ("ackley:dim=1000001,tail=true", "dim=1000001 must be above effective=10 and at most 1000000"),
        ("hartmann6:dim=5", "dim=5: input should be greater than or equal to 6"),
        ("bbob:function=25", "function=25: input should be less than or equal to 24"),
        ("bbob:instance=2147483648", "instance=2147483648: input should be less than 2147483648"),
        ("bbob:dim=1000", "bbob has at most 640 variables, got 1000; pass effective=640"),
    ],
)
def test_what_makes_no_task_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        resolve(TASKS, parse(text)).construct(rngs=streams(0))


def test_bbob_without_its_package_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ioh", None)
    with pytest.raises(InputError, match=r"needs ioh; pip install 'dfo-bench\[bbob\]'"):
        make("bbob")


# By hand of the published formulas; the minimisers are the paper's.
@pytest.mark.parametrize(
    ("function", "effective", "first", "minimiser"),
    [
        ("powell", 8, 2 * 215.0, np.zeros(8)),
        ("variably_dimensioned", 2, 46.5625, np.ones(2)),
        ("trigonometric", 8, None, np.zeros(8)),
        ("brown", 6, 5 * 3.5**2 + (0.5**6 - 1) ** 2, np.ones(6)),
        ("tridiagonal", 10, 21.0, None),
        ("boundary", 1 + 1, None, None),
        ("integral", 5, None, None),
        ("banded", 3, 36.0 + 36.0 + 36.0, None),
    ],
)
def test_least_squares_begin_where_they_were_published(
    function: str, effective: int, first: float | None, minimiser: Array | None
) -> None:
    task: Any = make("least_squares", function=function, effective=effective, dim=20)
    (found,) = task.evaluate(task.space.start)
    if first is not None:
        assert found == pytest.approx(first)
    if minimiser is not None:
        assert task._function(minimiser[None]) == pytest.approx(0.0, abs=1e-12)
    x = random_points(5, 20)
    assert task.outer.loss(task.outputs(Dense(x))) == pytest.approx(task.evaluate(Dense(x)))


def test_a_tanh_net_is_fitted_where_its_weights_are_those_that_gave_the_answers_in_any_order_of_the_units() -> None:
    task: Any = make("tanh_net", hidden=2, inputs=3, examples=5, dim=8)
    right = task._shift.reshape(2, 4)
    assert task.evaluate(Dense(np.array([right.ravel(), right[::-1].ravel()]))) == pytest.approx(0.0, abs=1e-12)
    # By hand: one unit of one input, which gave tanh(3 (0.5 a + 0.5)), against tanh(0) = 0.
    one: Any = make("tanh_net", hidden=1, inputs=1, examples=4, dim=2, shift=0.5, start=0.0)
    answers = np.tanh(1.5 * (one._inputs[:, 0] + 1))
    assert one.outputs(one.space.start) == pytest.approx(-answers[None])
    assert one.evaluate(one.space.start) == pytest.approx((answers**2).sum())


def test_powell_needs_a_multiple_of_four_variables() -> None:
    with pytest.raises(InputError, match="powell has four variables or a multiple of it, got effective=10"):
        make("least_squares", function="powell")
