"""The contracts: what a plugin author imports. Start one with `dfo-bench new optimizer|task|projection|reference NAME`.

A plugin is one module with one public class, a subclass of Task, Optimizer, EmbeddingOptimizer, Projection or
Reference. Its parameters are the keyword parameters of its constructor, annotated and with defaults; what each means is
said in the docstring of the class, or of the constructor, in a line of its own, as in `sigma: the first step, in
scales.` Lower losses are better everywhere, and randomness is always an argument.

**For an optimizer** read `Optimizer` and `Space`. It works in R^d: `ask` returns an array of shape (n, d), `tell`
brings the losses of these n points. `Space` says where: `space.dim` is d; `space.start.dense()[0]` is the point to
begin at; `space.scale` is the size of a typical step, and steps are best written in units of it, so that one default
serves every task. A space has bounds, `space.lower` and `space.upper`, under the projections `identity` and `hashing`
on a task that has some, and inside `rembo` and `sre`; elsewhere both are None, and the lift clips what leaves the
task's domain. `space.clip(x)` does nothing where there are none. `space.letters` are there under `identity` on a task
of words: sequences of them are all that matters. An optimizer that draws its own embeddings is an
EmbeddingOptimizer: it sees the task's space, proposes Points, and lifts its own z with `embed(number).lift(z)`. One
that needs gradients is a GradientOptimizer, one that needs the outputs that a loss is made of a VectorOptimizer; they
run on tasks that have some. One that chooses on which examples its points are evaluated is an ExampleOptimizer.

**For a task** read `Task` and `Points`. It sets `space` and returns one loss per candidate. Candidates come as Points
because R^D may be too large to write down: `points.at(index)` reads the coordinates `index` of all n candidates, shape
(n, len(index)), and `points.dense()` reads all, shape (n, D), up to 1 GiB. The start is Points of one candidate,
usually an Anchor: a name, and a function from an index array to coordinates. A task that asks a service raises
Unavailable where that is down or has reached a limit: it is asked again, and nothing is counted.

**For a projection** read `Projection` and `Embedding`. It draws an Embedding, most often a RandomEmbedding: a function
from uniform numbers to entries of A of variance 1/d.

**For a reference** read `Reference`, `LabelledTexts` and `Classifier`. It searches no prompt: it learns from the train
texts once, and predicts.

**What changes no result.** `added` and `unkeyed`, on any plugin class, keep the keys of old runs valid when a class
gains a parameter.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, ClassVar, Literal, TypedDict

import numpy as np
from annotated_types import Gt

from dfo_bench.composed import Blend, Blocks, Kept
from dfo_bench.embedding import Embedding, IdentityEmbedding, Lifted, RandomEmbedding
from dfo_bench.errors import InputError, Unavailable, UnknownNameError
from dfo_bench.outer import Outer, Squares
from dfo_bench.plugins.component import Component, PathName, PathOrName, Value
from dfo_bench.plugins.plugged import Plugged
from dfo_bench.points import Anchor, Array, Dense, Index, Letters, Points, Space
from dfo_bench.predicted import Predicted
from dfo_bench.reference import FitProgress, Reference
from dfo_bench.texts import Arrays, Classifier, Cost, LabelledTexts, Learned, Rows, Scores, Sees, Sizes, Tunable
from dfo_bench.traffic import Traffic

# In the order in which a reader meets them: an optimizer's, a task's, a projection's, and those of few.
# fmt: off
__all__ = [  # noqa: RUF022
    "Optimizer", "Space", "Array", "Given", "PathName", "PathOrName", "InputError", "UnknownNameError",
    "Unavailable", "Task", "Points", "Rngs", "Cost", "Anchor", "Index", "Projection", "Step", "Embedding",
    "RandomEmbedding", "IdentityEmbedding", "VectorOptimizer", "VectorGiven", "Outer", "Squares",
    "GradientOptimizer", "ExampleOptimizer", "ExampleGiven", "EmbeddingOptimizer", "EmbeddingGiven", "Embed",
    "Make", "Component", "Value", "Lifted", "Dense", "Letters", "Blend", "Blocks", "Kept", "Reference",
    "LabelledTexts", "Classifier", "Learned", "Arrays", "Rows", "Scores", "Traffic", "Predicted", "Sees",
    "Sizes", "Tunable", "FitProgress",
]
# fmt: on


class Given(TypedDict):
    """What a run gives an optimizer: a constructor hands it on as `**given: Unpack[Given]`."""

    budget: int
    """The number of evaluations to plan for, at least 1."""
    rng: np.random.Generator
    """The only source of randomness."""


class Optimizer(Plugged, ABC):
    """Proposes points of R^d and learns from their losses.

    A subclass adds keyword parameters with defaults, and calls this constructor::

        def __init__(self, space: Space, *, sigma: PositiveFloat = 1.0, **given: Unpack[Given]) -> None:
            super().__init__(space, **given)
    """

    sees: ClassVar[Sees] = "losses"
    """What it is told of its points."""
    evaluations: ClassVar[int | None] = None
    """The most it ever asks for: the budget of its runs is cut to that."""
    of_letters: ClassVar[bool] = False
    """Whether it searches the letters of a space that has some, so that no step has to be found there."""
    variants: ClassVar[Mapping[str, Sequence[str]]] = {}
    """A parameter that names a method of a library, and all its names: `dfo-bench check --all` checks every one."""

    def __init__(self, space: Space, *, budget: int, rng: np.random.Generator) -> None:
        self.space, self.budget, self.rng = space, budget, rng
        self.events: list[str] = []

    @abstractmethod
    def ask(self) -> Array:
        """Return the next points, shape (n, d): the natural batch, 20 without one, 1 if strictly sequential."""

    @abstractmethod
    def tell(self, x: Array, losses: Array) -> None:
        """Learn the losses, shape (n,), of exactly the points last asked; a failure is +inf. x stays as it is."""


class VectorOptimizer(Optimizer):
    """Proposes points of R^d and learns from their losses and the outputs that these are made of.

    It runs on composite tasks only, whose loss is a known function of many outputs (see `Task.outer`), and not inside
    an EmbeddingOptimizer. Type checkers want `# type: ignore[override]` behind its `tell`.
    """

    sees: ClassVar[Sees] = "outputs"
    scalar: ClassVar[str] = ""
    """The name of what does the same with losses alone, where there is such an optimizer."""

    def __init__(self, space: Space, *, budget: int, rng: np.random.Generator, outer: Outer) -> None:
        super().__init__(space, budget=budget, rng=rng)
        self.outer = outer

    @abstractmethod
    def tell(self, x: Array, losses: Array, outputs: Array) -> None:  # type: ignore[override]
        """Learn the losses, shape (n,), of exactly the points last asked, and their outputs, shape (n, *outer.shape).

        Outputs are multiples of float32's steps. Where an evaluation failed, or one of its outputs is not finite, the
        loss is +inf and all outputs are nan. All arrays stay as they are.
        """


class GradientOptimizer(Optimizer):
    """Proposes points of R^d and learns from their losses and the gradients of these.

    A point with its gradient is one evaluation of the budget, though a task may take three times as long for it. It
    runs on tasks that have gradients only (see `Task.gradients`), and not inside an EmbeddingOptimizer. Type checkers
    want `# type: ignore[override]` behind its `tell`, which takes one array more than an Optimizer's.
    """

    sees: ClassVar[Sees] = "gradients"

    @abstractmethod
    def tell(self, x: Array, losses: Array, gradients: Array) -> None:  # type: ignore[override]
        """Learn the losses, shape (n,), of exactly the points last asked, and their gradients in x, shape (n, d).

        Gradients are pulled back through the run's embedding and are multiples of float32's steps. Where an evaluation
        failed, or its gradient is not finite, the loss is +inf and the gradient 0. All arrays stay as they are.
        """


class VectorGiven(Given):
    """What a run gives a VectorOptimizer: a constructor hands it on as `**given: Unpack[VectorGiven]`."""

    outer: Outer
    """The known function of the outputs that is the loss."""


Rngs = Callable[[str], np.random.Generator]
"""One independent stream per purpose: rngs("split"), rngs("start"), the same for every run of a seed."""


class Task(Plugged, ABC):
    """A black-box function to minimise.

    A subclass sets `space` in its constructor, which takes `*, rngs: Rngs` and its own parameters.
    """

    space: Space
    optimum: float | None = None
    """The smallest loss there is, where it is known."""
    finds_step: bool = False
    """Whether nobody knows how its losses change with a step, so that runs with alpha=auto find theirs."""
    outer: Outer | None = None
    """Of a composite task: the known function of its outputs that its loss is."""
    tolerance: float = 0.0
    """How far the losses of the same points may differ between batchings."""
    cost: Cost = Cost()
    splits: tuple[str, ...] = ()
    """Which splits `measure` knows, of "dev" and "test"."""
    refits: tuple[str, ...] = ()
    """Those of which a score takes one more evaluation on train, in no budget; where it asks a service, it costs."""
    metric: str = ""
    """The metric of `measure`, higher is better, by which dev selects; ties go to the lower "loss"."""
    contents: Mapping[str, str] = {}
    """For each parameter that names files: the digest of what they hold, which stands for the path in a key."""
    bare: ClassVar[Mapping[str, Value]] = {}
    """The parameters of the prompt alone, at their values without one, as references have them; {} allows none."""
    patience_s: float = 900.0
    """For how many seconds a task that raises Unavailable is asked again, before its run is interrupted."""
    backend: str = ""
    """What computes it, where a parameter `backend` offers a choice."""
    traffic: Traffic | None = None
    """What is really sent, where it asks a service; it goes on counting."""

    def fastest(self, evaluations: int) -> str:
        """Return the value for a parameter `backend` left at auto, for a sweep of so many evaluations."""
        return self.backend

    def call_seconds(self, backend: str) -> float:
        """Return the seconds of one evaluation here by a backend, from a few timed calls; nan where nobody can say."""
        return np.nan

    def measuring_cost(self, split: str) -> Cost:
        """Return what it costs to score a candidate on a split, as far as that is known beforehand."""
        return Cost()

    @property
    def events(self) -> Sequence[str]:
        """What a reader of the results should know of what happened in it, such as texts that were cut."""
        return ()

    def checks(self, bare: "Task | None") -> Sequence[str]:
        """Return what to know before a budget is spent on it, a line each, such as a class that test lacks.

        `bare` is the same without a prompt, itself where it has none. The start of both may be evaluated,
        once each: these calls are in the estimate of a sweep, and in no budget. With None nothing may be evaluated.
        """
        return ()

    def identify(self, points: Points) -> list[str] | None:
        """Return a name for what each point comes to, where many come to the same; None where none do.

        What has been evaluated under a name is not evaluated again: a run counts it and takes its losses from before.
        """
        return None

    def write(self, point: Points) -> str:
        """Return a single candidate as text, "" where it is none."""
        return ""

    @abstractmethod
    def evaluate(self, points: Points) -> Array:
        """Return the losses, shape (n,); nan where a point could not be evaluated."""

    @property
    def no_outputs(self) -> str:
        """Why it has no outputs, "" where it has some; one that has none under some of its parameters names these."""
        return "" if self.outer else "its loss is one number, no known function of many"

    @property
    def no_examples(self) -> str:
        """Why its loss cannot be had of some of its examples alone, "" where it can; likewise."""
        return self.no_outputs or (self.outer.no_examples if self.outer else "")

    def evaluate_on(self, points: Points, examples: Sequence[int]) -> Array:
        """Return mean losses over some of the `outer.shape[0]` examples, shape (n,); nan as in `evaluate`.

        Examples that are alike stand side by side. This asks for all; a task to which some are cheaper asks for these.
        """
        if self.outer is None or self.no_examples:
            raise InputError(f"{type(self).__name__} cannot be evaluated on some examples; {self.no_examples}")
        return self.outer.loss_on(self.outputs(points)[:, list(examples)], examples)

    def outputs(self, points: Points) -> Array:
        """Return what the losses are made of, shape (n, *outer.shape), in float32's range; nan as in `evaluate`."""
        raise InputError(f"{type(self).__name__} has no outputs; {self.no_outputs}")

    @property
    def no_gradients(self) -> str:
        """Why it has no gradients, "" where it has some; one that has none under some of its parameters names these."""
        return "" if type(self).gradients is not Task.gradients else "text tasks whose model is here have some"

    def gradients(self, points: Points) -> tuple[Array, Array]:
        """Return the losses, shape (n,), and their gradients in x, shape (n, D); nan as in `evaluate`.

        Where there are none `no_gradients` says why, and so does the InputError that is raised.
        """
        raise InputError(f"{type(self).__name__} has no gradients; {self.no_gradients}")

    def measure(self, point: Points, split: str) -> tuple[dict[str, float], Cost]:
        """Score a single candidate on a split of `splits`; return the metrics and what it cost."""
        raise NotImplementedError(f"{type(self).__name__} has no split {split!r}")

    def score(self, point: Points, split: str) -> Scores:
        """Score as `measure` does, which is enough to write; a task that predicts classes tells these, too."""
        return Scores(*self.measure(point, split))

    def texts(self) -> LabelledTexts:
        """Return what a reference is given of it."""
        raise NotImplementedError(f"{type(self).__name__} has no texts")


# Pydantic's PositiveFloat, whose module takes a tenth of a second to import.
_Positive = Annotated[float, Gt(0)]


class Step(TypedDict, total=False):
    """The parameters of every projection: a constructor hands them on as `**step: Unpack[Step]`."""

    alpha: _Positive | Literal["auto"]
    scale: _Positive | None


class Projection(Plugged, ABC):
    """A kind of map R^d -> R^D; its constructor takes only keyword parameters.

    One with parameters of its own hands the others on::

        def __init__(self, *, density: float = 0.3, **step: Unpack[Step]) -> None:
            super().__init__(**step)
    """

    whole: ClassVar[bool] = False
    """Whether d is always D, whatever dimension was asked for."""
    contents: Mapping[str, str] = {}
    """For each parameter that names a file: the digest of what it holds, which stands for the path in a key."""
    example: Space | None = None
    """A space that it draws in, where it does not draw in any: there `dfo-bench check` checks it."""

    def __init__(self, *, alpha: _Positive | Literal["auto"] = "auto", scale: _Positive | None = None) -> None:
        """Take the step.

        alpha: multiplies the step that a unit z makes; auto finds it by the first evaluations of a run on a task of
            texts, and is 1 on other tasks and for a budget below 26.
        scale: takes the place of the task's own scale; null keeps that.
        """
        self.alpha, self.scale = alpha, scale

    def factor(self, space: Space) -> float:
        """Return alpha * s of the lift x = clip(base + alpha * s * A z): how far a unit z moves a coordinate."""
        alpha = 1.0 if self.alpha == "auto" else self.alpha
        return alpha * (space.scale if self.scale is None else self.scale)

    @abstractmethod
    def draw(self, space: Space, dim: int, seed: int, number: int) -> Embedding:
        """Draw embedding `number` of a run, from 0 on; pure in (seed, number).

        Its rows have unit variance under a unit z: every entry of A has variance 1 / dim.
        """


Embed = Callable[[int], Embedding]
"""embed(number): embedding `number` of the run, from 0 on, as its projection draws it."""

Make = Callable[[Component, Space, int, np.random.Generator], Optimizer]
"""make(component, space, budget, rng): an inner optimizer."""


class EmbeddingGiven(Given):
    """What a run gives an EmbeddingOptimizer: a constructor hands it on as `**given: Unpack[EmbeddingGiven]`."""

    dim: int
    """The dimension to search in."""
    told: Sees
    """What the run is told of its points."""
    embed: Embed
    make: Make


class ExampleGiven(Given):
    """What a run gives an ExampleOptimizer: a constructor hands it on as `**given: Unpack[ExampleGiven]`."""

    examples: int
    make: Make


class ExampleOptimizer(Optimizer):
    """Proposes points of R^d, each batch with the train examples on which it is to be evaluated, and learns from these.

    Its budget is counted in whole calls: one point on all k examples, or k points on one. A point may be a run's best
    once the examples that it was evaluated on, none of them twice, are all there are. It runs on tasks whose loss is a
    mean over examples (see `Task.evaluate_on`), and not inside another. `ask` wants `# type: ignore[override]`.
    """

    def __init__(self, space: Space, *, budget: int, rng: np.random.Generator, examples: int, make: Make) -> None:
        super().__init__(space, budget=budget, rng=rng)
        self.examples, self.make = examples, make

    @abstractmethod
    def ask(self) -> tuple[Array, Index]:  # type: ignore[override]
        """Return the next points, shape (n, d), and the numbers of different examples from 0 on, shape (k,)."""

    @abstractmethod
    def tell(self, x: Array, losses: Array) -> None:
        """Learn the mean losses over the examples last asked for, shape (n,), of exactly the points last asked."""


class EmbeddingOptimizer(Plugged, ABC):
    """An optimizer that draws its own embeddings; `space` is the task's, `dim` the dimension to search in."""

    sees: ClassVar[Sees] = "losses"
    """What it is told of its points; with "outputs" it is told these where the task has some, and losses elsewhere."""
    evaluations: ClassVar[int | None] = None
    """The most it ever asks for: the budget of its runs is cut to that."""

    def __init__(
        self, space: Space, *, dim: int, budget: int, rng: np.random.Generator, told: Sees, embed: Embed, make: Make
    ) -> None:
        self.space, self.dim, self.budget, self.rng = space, dim, budget, rng
        self.told, self.embed, self.make = told, embed, make
        self.events: list[str] = []

    @abstractmethod
    def ask(self) -> Points:
        """Return the next points."""

    @abstractmethod
    def tell(self, losses: Array) -> None:
        """Learn the losses, shape (n,), of exactly the points last asked; a failure is +inf."""
