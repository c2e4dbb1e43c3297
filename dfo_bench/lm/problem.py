"""Problems: what a text task asks of a model, as plain values, and what answers it, here or behind a service."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from dfo_bench.core import Array, Cost, InputError, Points, Rows, Sees, Sizes, Traffic
from dfo_bench.lm.data import Row
from dfo_bench.lm.heads import HeadName
from dfo_bench.lm.models import Precision
from dfo_bench.lm.modes import ModeName
from dfo_bench.lm.vocabulary import Vocabulary

EngineName = Literal["vllm", "sglang", "openai"]
"""The engines of others, whose languages are spoken here."""

Prompts = npt.NDArray[np.float32]

Shown = Sequence[tuple[Row, str]]
"""Solved examples, each with its label word."""


@dataclass(frozen=True)
class Problem:
    """All that a model is asked, beside the candidates: it means the same wherever the model is."""

    head: HeadName
    precision: Precision
    mode: ModeName
    prompt_tokens: int
    template: str
    lead: str
    """What stands before the filled template: where the prompt has slots in the text, what parts it from the text."""
    words: tuple[str, ...]
    """The label words, in the order of the labels; with head=embedding the label texts."""
    groups: tuple[int, ...] = ()
    """How many of the words each label has, whose logits are averaged; none where each has one."""
    leading_space: bool = False
    """Whether label words are cut into tokens as within a sentence."""
    tokens: tuple[int, ...] = ()
    """The token of each label word, where it is known; else it is found."""
    limit: int | None = None
    """The most tokens of an input, the prompt's left out where it has rows of its own; None for the model's own."""
    shown: Shown = ()
    """The demonstrations before every text."""
    splits: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    include_prompt: bool = True
    """Whether the mean that a sentence encoder takes of its rows includes the prompt's."""
    vocabulary: tuple[str, ...] = ()
    """The words of a prompt of mode=words; none for the model's own."""
    clusters: int | None = None
    """How many of these words are kept, one of each cluster; None for all."""

    @property
    def classes(self) -> int:
        """The number of labels."""
        return len(self.groups) or len(self.words)


@dataclass(frozen=True)
class Candidates:
    """Points as the prompts that they stand for."""

    points: Points
    shape: tuple[int, ...]
    """The shape of a prompt in the mode."""
    steps: Prompts | None = None
    """What the coordinates are multiplied by, broadcast to the shape; None for 1."""
    vocabulary: Vocabulary | None = None
    """The words that prompts are made of, with mode=words."""

    def prompts(self) -> Prompts:
        """Return the prompts, shape (n, *shape), as they enter the model."""
        prompts = self.vectors()
        return prompts if self.vocabulary is None else self.vocabulary.snap(prompts)

    def vectors(self) -> Prompts:
        """Return the coordinates, times the steps where there are some, shape (n, *shape)."""
        with np.errstate(over="ignore"):
            # Numbers too large for fp32 become inf, and their losses nan.
            prompts = self.points.dense().astype(np.float32).reshape(len(self.points), *self.shape)
            return prompts if self.steps is None else prompts * self.steps


class Answerer(ABC):
    """Answers a problem: a model in this process, or a service."""

    digest: str
    """That of the model."""
    name: str
    """What the model is called."""
    shape: tuple[int, ...]
    """The shape of a prompt in the mode."""
    scale: float
    """The size of a typical step of a coordinate."""
    pieces: Mapping[str, str]
    """For each label word of which only the first piece is read, that piece."""
    offers: Collection[Sees]
    """What can be had of it."""
    room: int
    """How many tokens of text fit beside prompt, template and demonstrations."""
    limit: int
    """The most tokens of an input, the prompt's left out where it has rows of its own."""
    fields: int
    """How many texts make a row: 1, or 2 for pairs."""
    backend = "torch"
    """What computes."""
    traffic: Traffic | None = None
    """What is really sent, where it is a service."""
    noise = 0.0
    """How far a label's logit, less their mean, may be from the model's own, or from what was answered before."""
    no_gradients = ""
    """Why it gives no gradients."""

    @property
    @abstractmethod
    def sizes(self) -> Sizes:
        """The sizes of the train set."""

    @property
    @abstractmethod
    def needed(self) -> int:
        """The tokens of the longest train text, without what stands around it."""

    @property
    @abstractmethod
    def events(self) -> list[str]:
        """The number of texts that are cut, per split that was read."""

    @abstractmethod
    def block_scales(self) -> Sequence[float]:
        """Return the size of a typical step in each block, with mode=deep or prefix; measured on train."""

    @abstractmethod
    def written(self, text: str | None) -> Array:
        """Return the prompt that puts a text where the prompt stands, repeated or cut to its tokens as in PEFT.

        Without a text it is that of the first train ids, for mode=prefix. Raise InputError for a text without a token.
        """

    @abstractmethod
    def logits(self, candidates: Candidates, rows: Rows) -> Array:
        """Return the label logits of rows, shape (n, rows, classes); those of a split are known by being its rows."""

    @abstractmethod
    def features(self, rows: Rows) -> Array:
        """Return the hidden states that the head reads, without a prompt, shape (rows, width)."""

    @abstractmethod
    def states(self, rows: Rows) -> list[Array]:
        """Return all last hidden states of each text, without a prompt, shape (length, width)."""

    @abstractmethod
    def showing(self, shown: Shown) -> "Answerer":
        """Return the same with other demonstrations; raise InputError where no room for text is left."""

    @abstractmethod
    def admit(self, split: str) -> None:
        """Raise InputError where texts of a split cannot be put to the model."""

    @abstractmethod
    def cost(self, split: str, dim: int = 0) -> Cost:
        """Return what a call on a split costs under a prompt of `dim` numbers."""

    @abstractmethod
    def expected_cost(self, split: str, dim: int = 0) -> Cost:
        """Return about the same, without reading all of a split."""

    @abstractmethod
    def cut(self, rows: Rows) -> int:
        """Return the number of texts that are cut to what the model takes."""

    def fastest(self, evaluations: int) -> str:
        """Return the backend for so many evaluations on this machine; where none computes there is no choice."""
        return "torch"

    def call_seconds(self, backend: str) -> float:
        """Return the seconds of one evaluation of train by a backend; nan where they are not known."""
        return np.nan

    @property
    def vocabulary(self) -> Any:
        """The words of a prompt of mode=words; raise InputError where nobody knows any."""
        return self.local("mode=words").vocabulary

    def local(self, what: str) -> Any:
        """Return itself where the model is in this process; raise InputError, which names `what` needs it, else."""
        raise InputError(
            f"{what} needs the model in this process, and {self.name} is behind a service; leave out service=..., and "
            "pass model=FOLDER"
        )
