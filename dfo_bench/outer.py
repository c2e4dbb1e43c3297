"""Outer functions: the known h of a composite task, whose loss is h(F(x)) of outputs F(x) that are evaluated."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from dfo_bench.points import Array


class Outer(ABC):
    """The known function of a task's outputs that its loss is, and its gradient; both cost no evaluation."""

    shape: tuple[int, ...]
    """The shape of the outputs of one point."""
    no_examples: str = "its loss is no mean over examples"
    """Why the loss is no mean over examples; "" where it is, each with outputs of its own along the first axis."""

    @abstractmethod
    def loss(self, outputs: Array) -> Array:
        """Return the losses, shape (n,), of outputs, shape (n, *shape); nan where one is not finite."""

    @abstractmethod
    def gradient(self, outputs: Array) -> Array:
        """Return the derivatives of each point's loss in its outputs, of the outputs' shape."""

    def loss_on(self, outputs: Array, examples: Sequence[int]) -> Array:
        """Return mean losses over some of the examples, shape (n,), of their outputs, shape (n, k, *shape[1:])."""
        raise NotImplementedError(self.no_examples)

    def canonical(self, outputs: Array) -> Array:
        """Return outputs of the same losses without what these do not depend on, such as a shift of all logits."""
        return outputs


class Squares(Outer):
    """The sum of the squares of some numbers: least squares; an example is a number, with count times its square."""

    no_examples = ""

    def __init__(self, count: int) -> None:
        """`count` is how many there are."""
        self.shape = (count,)

    def loss(self, outputs: Array) -> Array:
        """Return the sums of squares."""
        sums: Array = (outputs * outputs).sum(axis=1)
        return sums

    def loss_on(self, outputs: Array, examples: Sequence[int]) -> Array:
        """Return the sum of all squares as these alone have it."""
        return self.shape[0] / len(examples) * self.loss(outputs)

    def gradient(self, outputs: Array) -> Array:
        """Return twice the outputs."""
        return 2 * outputs
