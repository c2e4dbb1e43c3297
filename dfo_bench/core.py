"""The contracts: what a plugin author imports.

A plugin is one module with one public class, a subclass of Task, Optimizer, EmbeddingOptimizer or Projection.
Its parameters are the keyword parameters of its constructor, annotated and with defaults. Lower losses are
better everywhere, and randomness is always an argument.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dfo_bench.embedding import Embedding, IdentityEmbedding, Lifted, RandomEmbedding
from dfo_bench.errors import InputError, UnknownNameError
from dfo_bench.plugins.component import Component
from dfo_bench.points import Anchor, Array, Blend, Blocks, Dense, Index, Kept, Points, Space

__all__ = [
    "Anchor",
    "Array",
    "Blend",
    "Blocks",
    "Component",
    "Cost",
    "Dense",
    "Embed",
    "Embedding",
    "EmbeddingOptimizer",
    "IdentityEmbedding",
    "Index",
    "InputError",
    "Kept",
    "Lifted",
    "Make",
    "Optimizer",
    "Points",
    "Projection",
    "RandomEmbedding",
    "Rngs",
    "Space",
    "Task",
    "UnknownNameError",
]

Rngs = Callable[[str], np.random.Generator]
"""One independent stream a purpose: rngs("split"), rngs("start"), the same for every run of a seed."""

Embed = Callable[[int], Embedding]
"""embed(index): the run's projection, drawn for the index-th time."""


@dataclass(frozen=True)
class Cost:
    """What one evaluation costs where the task is a service.

    `bytes_up_z` is what goes up if the service knows the embedding, without z itself, which the run adds as four
    bytes a dimension; `bytes_up_prompt` is what goes up if every call carries the whole prompt.
    """

    examples: int = 0
    tokens: int = 0
    bytes_up_z: int = 0
    bytes_up_prompt: int = 0
    bytes_down: int = 0


class Task(ABC):
    """A black-box function to minimise.

    A subclass sets `space` in its constructor, which takes `*, rngs: Rngs` and its own parameters.
    """

    space: Space
    optimum: float | None = None
    """The smallest loss there is, where it is known."""
    tolerance: float = 0.0
    """How far the losses of the same points may differ between batchings."""
    cost: Cost = Cost()
    splits: tuple[str, ...] = ()
    """Which splits `measure` knows, of "dev" and "test"."""
    metric: str = ""
    """The metric of `measure`, higher is better, by which dev selects; ties go to the lower "loss"."""
    contents: Mapping[str, str] = {}
    """For each parameter that names files: the digest of what they hold, which stands for the path in a key."""

    @property
    def events(self) -> Sequence[str]:
        """What a reader of the results should know of what happened in it, such as texts that were cut."""
        return ()

    @abstractmethod
    def evaluate(self, points: Points) -> Array:
        """Return the losses, shape (n,); nan where a point could not be evaluated."""

    def measure(self, point: Points, split: str) -> tuple[dict[str, float], Cost]:
        """Score a single candidate on a split of `splits`; return the metrics and what it cost."""
        raise NotImplementedError(f"{type(self).__name__} has no split {split!r}")


class Optimizer(ABC):
    """Proposes points of R^d and learns from their losses.

    A subclass calls this constructor and adds keyword parameters with defaults.
    """

    evaluations: ClassVar[int | None] = None
    """The most it ever asks for: the budget of its runs is cut to that."""
    variants: ClassVar[Mapping[str, Sequence[str]]] = {}
    """A parameter that names a method of a library, and all its names: `dfo-bench check --all` checks every one."""

    def __init__(self, space: Space, *, budget: int, rng: np.random.Generator) -> None:
        """`budget` is the number of evaluations to plan for, at least 1."""
        self.space, self.budget, self.rng = space, budget, rng
        self.events: list[str] = []

    @abstractmethod
    def ask(self) -> Array:
        """Return the next points, shape (n, d): the natural batch, 20 without one, 1 if strictly sequential."""

    @abstractmethod
    def tell(self, x: Array, losses: Array) -> None:
        """Learn the losses, shape (n,), of exactly the points last asked; a failure is +inf. x stays as it is."""


Make = Callable[[Component, Space, int, np.random.Generator], Optimizer]
"""make(component, space, budget, rng): an inner optimizer."""


class EmbeddingOptimizer(ABC):
    """An optimizer that draws its own embeddings; `space` is the task's, `dim` the dimension to search in."""

    evaluations: ClassVar[int | None] = None
    """The most it ever asks for: the budget of its runs is cut to that."""

    def __init__(
        self, space: Space, *, dim: int, budget: int, rng: np.random.Generator, embed: Embed, make: Make
    ) -> None:
        self.space, self.dim, self.budget, self.rng, self.embed, self.make = space, dim, budget, rng, embed, make
        self.events: list[str] = []

    @abstractmethod
    def ask(self) -> Points:
        """Return the next points."""

    @abstractmethod
    def tell(self, losses: Array) -> None:
        """Learn the losses, shape (n,), of exactly the points last asked; a failure is +inf."""


class Projection(ABC):
    """A kind of map R^d -> R^D; its constructor takes only its own keyword parameters."""

    whole: ClassVar[bool] = False
    """Whether d is always D, whatever dimension was asked for."""
    contents: Mapping[str, str] = {}
    """For each parameter that names a file: the digest of what it holds, which stands for the path in a key."""
    example: Space | None = None
    """A space that it draws in, where it does not draw in any: there `dfo-bench check` checks it."""

    @abstractmethod
    def draw(self, space: Space, dim: int, seed: int, index: int) -> Embedding:
        """Draw the index-th embedding of a run, pure in (seed, index).

        Its rows have unit variance under a unit z: every entry of A has variance 1 / dim.
        """
