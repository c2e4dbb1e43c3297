"""What an optimizer is told of its points beside their losses: rounded, in z, and 0 where it failed."""

from pathlib import Path

import numpy as np
import pytest

from dfo_bench.core import Anchor, Array, Dense, InputError, Points, Space, Squares, Task
from dfo_bench.embedding import Embedding
from dfo_bench.errors import RunError
from dfo_bench.plugins.component import parse
from dfo_bench.runs.assembly import assemble
from dfo_bench.runs.oracle import Gradients, oracle
from dfo_bench.runs.spec import RunSpec
from dfo_bench.testing.bowl import Sketch


class Quadratic(Task):
    """Half of |x - 1|^2, with a loss of nan below 0 in the first coordinate and a gradient of inf above 9."""

    def __init__(self, lower: float | None = None, upper: float | None = None) -> None:
        self.space = Space(6, lower, upper, Anchor.origin(6), 1.0)

    def evaluate(self, points: Points) -> Array:
        raise AssertionError("one evaluation pays for losses and gradients")

    def gradients(self, points: Points) -> tuple[Array, Array]:
        x = points.dense()
        losses = np.where(x[:, 0] < 0, np.nan, ((x - 1) ** 2).sum(axis=1) / 2)
        return losses, np.where(x > 9, np.inf, x - 1)


class Scalar(Quadratic):
    """Forgets that there are many coordinates."""

    def gradients(self, points: Points) -> tuple[Array, Array]:
        losses, gradients = super().gradients(points)
        return losses, gradients.sum(axis=1)


def embedding(task: Task) -> Embedding:
    return Sketch().draw(task.space, 3, 0, 0)


def test_gradients_are_those_in_z_rounded_to_float32() -> None:
    task = Quadratic()
    a = embedding(task).rows(np.arange(6))
    # A point whose first coordinate is above 0, and below 9.
    z = a[:1] * 0.1
    losses, told = Gradients(task, 3).evaluate(embedding(task).lift(z))
    assert told is not None
    assert np.isfinite(losses).all()
    (gradients,) = Gradients(task, 3).spread(told)
    expected = (a @ z[0] - 1) @ a
    assert gradients.dtype == np.float64
    np.testing.assert_array_equal(gradients, gradients.astype(np.float32))
    np.testing.assert_allclose(gradients[0], expected, rtol=1e-6)


def test_a_failed_loss_or_gradient_is_a_failed_evaluation_of_gradient_0() -> None:
    x = np.ones((4, 6))
    x[1, 0], x[2, 5] = -2, 10
    x[:, 1] = 3
    losses, told = Gradients(Quadratic(), 6).evaluate(Dense(x))
    assert told is not None
    np.testing.assert_array_equal(losses, [2, np.nan, np.nan, 2])
    np.testing.assert_array_equal(told, [[0, 2, 0, 0, 0, 0], [0] * 6, [0] * 6, [0, 2, 0, 0, 0, 0]])


def test_a_gradient_too_large_for_float32_has_failed() -> None:
    losses, told = Gradients(Quadratic(), 6).evaluate(Dense(np.array([[1.0, 1, 1, 1, 1, -1e39]])))
    assert told is not None
    assert np.isnan(losses[0])
    assert not told.any()


def test_gradients_of_another_shape_are_refused() -> None:
    with pytest.raises(RunError, match=r"gradients of shape \(1,\) for 1 points of dimension 6"):
        Gradients(Scalar(), 6).evaluate(Dense(np.ones((1, 6))))


def test_who_sees_losses_is_told_nothing_else() -> None:
    task = assemble(RunSpec(parse("sphere:dim=12"), parse("random"), parse("identity"), budget=1)).task
    told = oracle("losses", task, 12)
    losses, more = told.evaluate(task.space.start)
    assert (losses.shape, more, told.width) == ((1,), None, 0)


def test_a_task_without_gradients_says_so() -> None:
    task = assemble(RunSpec(parse("sphere:dim=12"), parse("random"), parse("identity"), budget=1)).task
    assert task.no_gradients
    with pytest.raises(InputError, match="Sphere has no gradients; text tasks whose model"):
        task.gradients(task.space.start)


def test_an_optimizer_that_sees_gradients_is_refused_where_there_are_none() -> None:
    with pytest.raises(
        InputError, match="optimizer adam sees gradients, and task sphere:dim=12 has none; text tasks whose model"
    ):
        assemble(RunSpec(parse("sphere:dim=12"), parse("adam"), parse("identity"), budget=1))


@pytest.mark.parametrize("outer", ["rembo", "sre", "layerwise"])
@pytest.mark.parametrize(("inner", "sees"), [("adam", "gradients"), ("composite", "outputs")])
def test_it_cannot_stand_inside_one_that_is_told_losses(toys: Path, outer: str, inner: str, sees: str) -> None:
    assembly = assemble(RunSpec(parse("toy"), parse(f"{outer}:inner=({inner})"), parse("normal"), dim=3, budget=9))
    with pytest.raises(InputError, match=rf"{inner} sees {sees} and cannot stand inside \w+, which is told losses"):
        assembly.optimizer()


class Made(Quadratic):
    """Half the sum of squares of six outputs, one of which is nan below 0 and one larger than float32 above 9."""

    outer = Squares(6)

    def evaluate(self, points: Points) -> Array:
        raise AssertionError("one evaluation pays for losses and outputs")

    def outputs(self, points: Points) -> Array:
        x = points.dense()
        return np.where(x < 0, np.nan, np.where(x > 9, 1e39, x - 0.1))


class Fewer(Made):
    """Forgets an output."""

    def outputs(self, points: Points) -> Array:
        return super().outputs(points)[:, 1:]


def test_outputs_are_rounded_to_float32_and_all_nan_where_one_failed() -> None:
    x = np.ones((3, 6))
    x[1, 0], x[2, 5] = -2, 10
    asked = oracle("outputs", Made(), 3)
    losses, told = asked.evaluate(Dense(x))
    assert told is not None
    np.testing.assert_array_equal(losses, [(np.full(6, 0.9) ** 2).sum(), np.nan, np.nan])
    np.testing.assert_array_equal(told, [[np.float32(0.9)] * 6, [np.nan] * 6, [np.nan] * 6])
    (outputs,) = asked.spread(told)
    assert outputs.dtype == np.float64
    assert outputs.shape == (3, 6)
    _, failed = asked.failure(2)
    assert failed is not None
    assert np.isnan(failed).all()


def test_outputs_of_another_shape_are_refused() -> None:
    with pytest.raises(RunError, match=r"outputs of shape \(1, 5\); they must be \(1, 6\)"):
        oracle("outputs", Fewer(), 6).evaluate(Dense(np.ones((1, 6))))


@pytest.mark.parametrize(
    ("task", "reason"),
    [("branin:dim=12", "its loss is one number"), ("sphere:dim=12,effective=5,tail=true", "pass tail=false")],
)
def test_an_optimizer_that_sees_outputs_is_refused_where_there_are_none(task: str, reason: str) -> None:
    with pytest.raises(InputError, match="composite sees outputs, and task") as caught:
        assemble(RunSpec(parse(task), parse("composite"), parse("identity"), budget=1))
    assert reason in str(caught.value)
    assert "Tasks with outputs are" in str(caught.value)
    assert "use -o composite_loss" in str(caught.value)
