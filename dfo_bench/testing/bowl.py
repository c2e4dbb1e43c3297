"""The bowl: a task, two projections and a run on them, which the checks and reports of optimizers look at."""

from collections.abc import Callable
from typing import Any

import numpy as np

from dfo_bench.core import (
    Anchor,
    Array,
    Dense,
    Embedding,
    IdentityEmbedding,
    Points,
    Projection,
    RandomEmbedding,
    Space,
    Squares,
    Task,
)
from dfo_bench.plugins.component import Component
from dfo_bench.plugins.plugin import AnyOptimizer, Plugin
from dfo_bench.plugins.registry import PROJECTIONS, TASKS
from dfo_bench.runs.assembly import Assembly, Plugins, spendable
from dfo_bench.runs.journal import Batch, Seconds
from dfo_bench.runs.oracle import Oracle
from dfo_bench.runs.spec import RunSpec

DIM, BUDGET = 4, 60
"""The dimension and the evaluations of a check."""


class Bowl(Task):
    """A shifted sphere, in the box [-1, 1]^D or without bounds."""

    def __init__(self, shift: Array, *, bounded: bool, blocks: int = 1) -> None:
        """`shift`, of shape (D,), is where the minimum 0 lies; the start is the origin, the scale 1."""
        dim, edge = len(shift), 1.0 if bounded else None
        self.space = Space(dim, None if edge is None else -edge, edge, Anchor.origin(dim), 1.0, blocks)
        self.shift = shift
        self.outer = Squares(dim)

    def outputs(self, points: Points) -> Array:
        """Return the distances to the shift along every coordinate."""
        return points.dense() - self.shift

    def evaluate(self, points: Points) -> Array:
        """Return squared distances to the shift."""
        return (self.outputs(points) ** 2).sum(axis=1)

    def gradients(self, points: Points) -> tuple[Array, Array]:
        """Return squared distances to the shift, and their gradients."""
        away = self.outputs(points)
        return (away**2).sum(axis=1), 2 * away


class Narrow(Bowl):
    """A bowl whose loss is made of one output: the distance."""

    def __init__(self, shift: Array, *, bounded: bool, blocks: int = 1) -> None:
        super().__init__(shift, bounded=bounded, blocks=blocks)
        self.outer = Squares(1)

    def outputs(self, points: Points) -> Array:
        """Return the distances to the shift."""
        return np.sqrt((super().outputs(points) ** 2).sum(axis=1, keepdims=True))


class Flat(Bowl):
    """A plain: all outputs are 1 wherever one looks."""

    def outputs(self, points: Points) -> Array:
        """Return ones."""
        return np.ones((len(points), self.space.dim))


class Sketch(Projection):
    """The projection under which optimizers are checked: entries uniform, variance 1/d."""

    def draw(self, space: Space, dim: int, seed: int, number: int) -> Embedding:
        """Draw A."""
        return RandomEmbedding(space, dim, number, space.scale, seed, lambda u: (2 * u - 1) * (3 / dim) ** 0.5)


class Whole(Projection):
    """The identity, under which optimizers are compared with random search."""

    whole = True

    def draw(self, space: Space, dim: int, seed: int, number: int) -> Embedding:
        """Return A = I."""
        return IdentityEmbedding(space, number)


def small_run(
    plugin: AnyOptimizer, *, bounded: bool = True, seed: int = 0, budget: int = BUDGET, bowl: type[Bowl] = Bowl
) -> Assembly:
    """Return the parts of a run in DIM dimensions of a bowl of twelve, in three blocks for who takes turns."""
    return a_run(plugin, bowl(np.linspace(-0.5, 0.5, 12), bounded=bounded, blocks=3), Sketch(), DIM, budget, seed)


def a_run(plugin: AnyOptimizer, task: Task, projection: Projection, dim: int, budget: int, seed: int = 0) -> Assembly:
    """Return the parts of a run on a task and a projection that nobody has to find by name."""
    plugins = Plugins(
        plugin,
        Plugin(TASKS, type(task), Component("bowl")),
        Plugin(PROJECTIONS, type(projection), Component("drawn")),
    )
    components = {kind: one.component for kind, one in vars(plugins).items()}
    spec = RunSpec(**components, dim=dim, budget=spendable(plugin, budget), seed=seed)
    return Assembly(spec, plugins, task, projection)


def drive(assembly: Assembly, answer: Callable[[Array], Array] = lambda losses: losses) -> list[str]:
    """Run an optimizer to its budget and return the digests of all it asked, and on which examples.

    `answer` may spoil the losses.
    """
    played = play(assembly, answer)
    return [said for batch in played for said in (*batch.digests, *map(str, batch.examples))]


def play(assembly: Assembly, answer: Callable[[Array], Array] = lambda losses: losses) -> list[Batch]:
    """Do the same and return the batches, of which the last is not cut to the budget.

    What is told beside a loss that was spoiled is as large as it gets; where it is +inf, gradients are 0 and outputs
    nan, as in a run.
    """
    optimizer: Any = assembly.optimizer()
    played: list[Batch] = []
    spent = 0
    while spent < assembly.spec.budget * assembly.unit:
        points = optimizer.ask()
        if len(points) == 0:
            raise AssertionError("ask returned no points")
        losses, *told = evaluated(assembly.oracle, points)
        answered = answer(losses)
        played.append(Batch(spent, losses.tolist(), points.digests(), Seconds(0, 0, 0, 0), examples=points.examples))
        spent += len(points) * played[-1].size(assembly.unit)
        failure = np.nan if assembly.sees == "outputs" else 0.0
        huge = np.where(answered < np.inf, np.sign(answered) * np.finfo(np.float32).max, failure)
        spoiled = answered != losses
        for one in told:
            one[spoiled] = huge[spoiled].reshape(-1, *[1] * (one.ndim - 1))
        optimizer.tell(answered, *told)
    return played


def read_asked(asked: Any) -> tuple[Array, Points]:
    """Return what a plain optimizer asks for, itself and as points of the space that it was given."""
    x, examples = asked if isinstance(asked, tuple) else (asked, np.empty(0, int))
    points = Dense(x)
    points.examples = tuple(examples.tolist())
    return x, points


def evaluated(oracle: Oracle, points: Points) -> tuple[Array, ...]:
    """Return what the meter of a run tells: nan, of points so far out that they overflow, is +inf."""
    with np.errstate(over="ignore", invalid="ignore"):
        losses, told = oracle.evaluate(points)
    return np.where(losses > -np.inf, losses, np.inf), *(() if told is None else oracle.spread(told))
