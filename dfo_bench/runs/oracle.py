"""Oracles: each evaluates points, and tells an optimizer their losses, or more, as much as it sees."""

from math import prod

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from dfo_bench.core import Array, Outer, Points, Sees, Task
from dfo_bench.embedding import Lifted
from dfo_bench.errors import RunError

Told = npt.NDArray[np.float32]
"""What is told of a batch of n evaluations beside their losses, shape (n, width)."""


class Oracle:
    """Evaluates points on a task, and tells their losses and nothing else."""

    def __init__(self, task: Task, width: int = 0) -> None:
        """`width` is how many numbers it tells of an evaluation beside the loss; the journal holds them."""
        self.task, self.width = task, width

    def evaluate(self, points: Points) -> tuple[Array, Told | None]:
        """Return the losses, shape (n,), nan where a point could not be evaluated, and what is told beside them."""
        return self.task.evaluate(points), None

    def failure(self, count: int) -> tuple[Array, Told | None]:
        """Return what is told of so many points that could not be evaluated."""
        return np.full(count, np.nan), np.zeros((count, self.width), np.float32) if self.width else None

    def spread(self, told: Told) -> tuple[Array, ...]:
        """Return what is told beside the losses as an optimizer takes it."""
        return ()


class Gradients(Oracle):
    """Tells the gradients, too: in z where the points were lifted, else in x.

    They are rounded to float32 before anybody knows them, as the journal holds them: an optimizer that is resumed is
    told the same numbers, to the bit.
    """

    @override
    def evaluate(self, points: Points) -> tuple[Array, Told | None]:
        losses, gradients = (np.asarray(told, dtype=float) for told in self.task.gradients(points))
        if losses.shape != (len(points),) or gradients.shape != (len(points), points.dim):
            raise RunError(
                f"the task returned losses of shape {losses.shape} and gradients of shape {gradients.shape} for "
                f"{len(points)} points of dimension {points.dim}"
            )
        with np.errstate(over="ignore", invalid="ignore"):
            pulled = points.pull_back(gradients) if isinstance(points, Lifted) else gradients
            told = pulled.astype(np.float32)
        nowhere = ~np.isfinite(told).all(axis=1)
        told[nowhere | ~np.isfinite(losses)] = 0.0
        return np.where(nowhere & np.isfinite(losses), np.nan, losses), told

    @override
    def spread(self, told: Told) -> tuple[Array, ...]:
        return (told.astype(float),)


class Outputs(Oracle):
    """Tells the outputs, too, that the losses are made of, rounded to float32 as gradients are."""

    def __init__(self, task: Task, outer: Outer) -> None:
        super().__init__(task, prod(outer.shape))
        self.outer = outer

    @override
    def evaluate(self, points: Points) -> tuple[Array, Told | None]:
        outputs = np.asarray(self.task.outputs(points), dtype=float)
        if outputs.shape != (wanted := (len(points), *self.outer.shape)):
            raise RunError(f"the task returned outputs of shape {outputs.shape}; they must be {wanted}")
        with np.errstate(over="ignore", invalid="ignore"):
            losses = np.asarray(self.outer.loss(outputs), dtype=float)
            told = outputs.reshape(len(points), self.width).astype(np.float32)
        if losses.shape != (len(points),):
            raise RunError(
                f"the task's outer function returned losses of shape {losses.shape} for {len(points)} points"
            )
        failed = ~(np.isfinite(told).all(axis=1) & np.isfinite(losses))
        told[failed] = np.nan
        return np.where(failed, np.nan, losses), told

    @override
    def failure(self, count: int) -> tuple[Array, Told | None]:
        return np.full(count, np.nan), np.full((count, self.width), np.nan, np.float32)

    @override
    def spread(self, told: Told) -> tuple[Array, ...]:
        return (told.astype(float).reshape(len(told), *self.outer.shape),)


class OnExamples(Oracle):
    """Evaluates points on the examples that they are asked for."""

    @override
    def evaluate(self, points: Points) -> tuple[Array, Told | None]:
        return self.task.evaluate_on(points, points.examples) if points.examples else self.task.evaluate(points), None


def oracle(sees: Sees, task: Task, dim: int, unit: int = 1) -> Oracle:
    """Return the oracle of an optimizer that sees this, searches R^dim, and has `unit` examples to choose from."""
    if sees == "outputs" and task.outer:
        return Outputs(task, task.outer)
    if sees == "gradients":
        return Gradients(task, dim)
    return OnExamples(task) if unit > 1 else Oracle(task)
