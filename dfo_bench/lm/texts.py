"""Texts: a text task without a prompt, as references see it (`dfo_bench.core.LabelledTexts`)."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from dfo_bench.core import Array, Cost, Index, InputError, Predicted, Rows, Sees, Sizes
from dfo_bench.lm import data
from dfo_bench.lm.calibration import calibrate
from dfo_bench.lm.inputs import split_of
from dfo_bench.lm.local import Local
from dfo_bench.lm.problem import Answerer, Candidates, Shown
from dfo_bench.lm.tuning import Tuned


@dataclass(frozen=True)
class Texts:
    """The texts of a task, its model, and the ways to ask it."""

    labels: tuple[str, ...]
    words: tuple[str, ...]
    """The label words; with head=embedding the label texts."""
    metric: str
    splits: Mapping[str, Rows]
    asked: Answerer
    """What has the model."""
    prompt: Candidates
    """One candidate, under which the model is asked: for a reference one without rows."""
    show: Callable[[int], Shown]
    """show(count): so many solved train examples per class."""
    score: Callable[[Array, str], Mapping[str, Array]]
    """score(logits, split): the scores of logits of shape (1, n, classes)."""
    positive: int | None = None
    """The class whose F1 is a metric."""
    _known: dict[tuple[str, str], Array] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def offers(self) -> Collection[Sees]:
        """What can be had of its model."""
        return self.asked.offers

    @property
    def local(self) -> Local:
        """The model and the problem in this process; raise InputError where they are behind a service."""
        return self.asked.local("a bundle, or training the model,")

    @property
    def events(self) -> list[str]:
        """The number of texts that are cut, per split that was read."""
        return self.asked.events

    @cached_property
    def sizes(self) -> Sizes:
        """The sizes of the train set; the longest text counts what stands around it, too."""
        return self.asked.sizes

    def rows(self, split: str) -> Sequence[data.Row]:
        """Return the examples of a split."""
        return self.splits[split]

    def classes(self, split: str) -> Index:
        """Return the class index of each example, shape (n,)."""
        return data.classes(self.rows(split), self.labels)

    def predicted(self, logits: Mapping[str, Array], split: str) -> Predicted:
        """Return what is kept of logits of a split, of shape (n, classes) each, by prefix of their metrics."""
        return Predicted.of(data.digest(self.rows(split)), self.classes(split), logits, self.positive)

    def logits(self, rows: Rows) -> Array:
        """Return the label logits, shape (n, classes)."""
        return self._once("logits", rows, lambda: self.asked.logits(self.prompt, rows)[0])

    def features(self, rows: Rows) -> Array:
        """Return the hidden states that the head reads, shape (n, width)."""
        return self._once("features", rows, lambda: self.asked.features(rows))

    def states(self, rows: Rows) -> list[Array]:
        """Return all last hidden states of each text, shape (length, width)."""
        return self.asked.states(rows)

    def tunable(self) -> Tuned:
        """Return a copy of the model that may be trained."""
        return self.local.tunable()

    def shown(self, count: int | None) -> "Texts":
        """Return the same with `count` solved examples per class before every text.

        None takes as many as leave room for the longest text of train, one at least. Raise InputError where the head
        has no label words, or no room is left.
        """
        if count is not None:
            return replace(self, asked=self.asked.showing(self.show(count)))
        most = int(np.bincount(self.classes("train"), minlength=len(self.labels)).min())
        needed = self.asked.needed
        asked = self.asked.showing(self.show(1))
        for more in range(2, most + 1):
            try:
                longer = self.asked.showing(self.show(more))
            except InputError:
                # No room for any text.
                break
            if longer.room < needed:
                break
            asked = longer
        return replace(self, asked=asked)

    def _once(self, what: str, rows: Rows, compute: Callable[[], Array]) -> Array:
        """Compute what is asked of some rows; of those of train and dev once: a fit asks, and its scores ask again."""
        key = what, split_of(self.splits, rows)
        if key in self._known:
            return self._known[key]
        found = compute()
        found.flags.writeable = False
        if key[1] in ("train", "dev"):
            self._known[key] = found
        return found

    def scores(self, logits: Array, split: str) -> dict[str, float]:
        """Return the metrics and the loss, by name."""
        return {name: float(value[0]) for name, value in self.score(logits[None], split).items()}

    def calibrated(self, logits: Array, train: Array) -> Array:
        """Return logits after a bias per class that is fitted on those of train."""
        *_, found = calibrate("bias", train[None], self.classes("train"), logits[None])
        return found[0]

    def call_seconds(self, backend: str) -> float:
        """Return the seconds of the outputs of train here by a backend; nan where they are not known."""
        return self.asked.call_seconds(backend)

    def cost(self, split: str) -> Cost:
        """Return what it costs to ask for the outputs of a split."""
        return self.asked.cost(split)
