"""Labelled texts: what a reference is given of a task, and what it makes of it."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy.typing as npt

from dfo_bench.errors import InputError
from dfo_bench.plugins.component import Value
from dfo_bench.points import Array, Index
from dfo_bench.predicted import Predicted

Sees = Literal["losses", "outputs", "features", "gradients", "weights"]
"""What a method sees of a model: a service may sell the losses of a prompt, or the outputs for every text, or features
of a text; gradients and weights only its owner has."""

Arrays = Mapping[str, npt.NDArray[Any]]
"""Numbers of any type, by name."""

Rows = Sequence[Any]
"""Texts, of a task or any others, each a `dfo_bench.lm.data.Row`."""


@dataclass(frozen=True)
class Cost:
    """What one evaluation costs where the task is a service.

    `bytes_up_z` is what goes up if the service knows the embedding, without z itself, which the run adds as four
    bytes per dimension; `bytes_up_prompt` is what goes up if every call carries the whole prompt.
    """

    examples: int = 0
    tokens: int = 0
    bytes_up_z: int = 0
    bytes_up_prompt: int = 0
    bytes_down: int = 0


@dataclass(frozen=True)
class Scores:
    """What a candidate is worth on a split."""

    metrics: Mapping[str, float]
    cost: Cost
    predicted: Predicted | None = None
    """What it predicts there, where it predicts a class for every row."""


@dataclass(frozen=True)
class Sizes:
    """The sizes of a train set, by which it is counted what a service sends of it."""

    texts: int
    classes: int
    width: int
    """The numbers of a hidden state."""
    longest: int
    """The tokens of the longest text, template included."""


class Tunable(Protocol):
    """A copy of a model in fp32, whose weights may be trained."""

    @property
    def model(self) -> Any:
        """The torch module, in evaluation mode: without dropout."""
        ...

    def logits(self, rows: Rows) -> Any:
        """Return the label logits, a torch tensor of shape (n, classes) with its graph."""
        ...


class LabelledTexts(Protocol):
    """A text task without a prompt, as a reference sees it; rows come back in their order."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in the order of classes."""
        ...

    @property
    def metric(self) -> str:
        """The metric of `scores` by which dev selects, higher is better; ties go to the lower "loss"."""
        ...

    @property
    def offers(self) -> Collection[Sees]:
        """What can be had of its model."""
        ...

    @property
    def events(self) -> Sequence[str]:
        """What a reader should know of what was read so far, such as texts that were cut."""
        ...

    @property
    def sizes(self) -> Sizes:
        """The sizes of its train set."""
        ...

    def rows(self, split: str) -> Rows:
        """Return the rows of "train", "dev" or "test"."""
        ...

    def classes(self, split: str) -> Index:
        """Return the index of each row's label, shape (n,)."""
        ...

    def predicted(self, logits: Mapping[str, Array], split: str) -> Predicted:
        """Return what is kept of logits of a split, of shape (n, classes) each, by prefix of their metrics."""
        ...

    def logits(self, rows: Rows) -> Array:
        """Return the label logits under the bare template, shape (n, classes)."""
        ...

    def features(self, rows: Rows) -> Array:
        """Return the hidden state of each text that labels are read from, shape (n, width)."""
        ...

    def states(self, rows: Rows) -> list[Array]:
        """Return the last hidden states of all tokens of each text, n arrays of shape (length, width)."""
        ...

    def tunable(self) -> Tunable:
        """Return a copy of the model that may be trained."""
        ...

    def shown(self, count: int | None) -> "LabelledTexts":
        """Return the same task with `count` solved train examples per class before every text; None: all that fit."""
        ...

    def scores(self, logits: Array, split: str) -> dict[str, float]:
        """Return the metrics and the task's loss of logits of a split, shape (n, classes)."""
        ...

    def calibrated(self, logits: Array, train: Array) -> Array:
        """Return logits after a bias per class that is fitted on those of train, both of shape (n, classes)."""
        ...

    def call_seconds(self, backend: str) -> float:
        """Return the seconds of the outputs of its train set here; nan where they are not known."""
        ...

    def cost(self, split: str) -> Cost:
        """Return what it costs to ask for the outputs of a split."""
        ...


@dataclass(frozen=True)
class Learned:
    """What a classifier has learned, such that it can be kept, and used without this program."""

    arrays: Arrays = field(default_factory=dict)
    """All that its logits rest on but the model and the template, by name."""
    reads: Literal["logits", "features", "states", "weights"] = "logits"
    """What it asks of `LabelledTexts`; "weights" are the model's own, and the arrays are those that have changed."""
    lines: str = ""
    """The way from there to its logits in Python, for a reader who has torch only.

    They make `scores`, shape (classes,), of `scores`, the label logits of a text, of `feature`, shape (width,), or of
    `states`, shape (length, width); the arrays are the torch tensors `tensors[NAME]`.
    """


class Classifier(ABC):
    """What a reference has learned."""

    def __init__(self, **chosen: Value) -> None:
        """`chosen` are the values that stand for selection on dev, by name."""
        self.chosen = chosen

    def learned(self) -> Learned:
        """Return what it has learned, from which `Reference.restore` makes an equal one; without it no bundle is made.

        Raise InputError where it does not say.
        """
        raise InputError(
            f"{type(self).__name__} does not say what it has learned, so it cannot be put into a bundle; write its "
            "method `learned`, and `restore` of its reference"
        )

    @abstractmethod
    def logits(self, rows: Rows) -> Array:
        """Return the label logits of any texts, shape (n, classes)."""
