"""Texts: a text task without a prompt, as references see it (`dfo_bench.core.LabelledTexts`)."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from dfo_bench.core import Array, Cost, Index, InputError, Rows, Sees, Sizes
from dfo_bench.lm import data, features
from dfo_bench.lm.calibration import calibrate
from dfo_bench.lm.engine import Engine, Prompts
from dfo_bench.lm.heads import Head
from dfo_bench.lm.models import LanguageModel
from dfo_bench.lm.templates import Encoded, Template
from dfo_bench.lm.tuning import Tuned


@dataclass(frozen=True)
class Texts:
    """The texts of a task, its model, and the ways to ask it."""

    labels: tuple[str, ...]
    metric: str
    splits: Mapping[str, Sequence[data.Row]]
    model: LanguageModel
    head: Head
    template: Template
    engine: Engine
    none: Prompts
    """One candidate without rows."""
    show: Callable[[int], Template]
    """show(count): the template with so many solved train examples per class before every text."""
    score: Callable[[Array, str], Mapping[str, Array]]
    """score(logits, split): the scores of logits of shape (1, n, classes)."""
    offers: Collection[Sees] = ("losses", "outputs", "features", "weights")
    encoded: dict[str, list[Encoded]] = field(default_factory=dict)
    """The splits that were read so far."""

    @property
    def events(self) -> list[str]:
        """The number of texts that are cut, per split that was read."""
        counts = {split: (sum(text.cut > 0 for text in some), len(some)) for split, some in self.encoded.items()}
        limit = self.template.limit
        return [f"{cut} of {n} {split} texts are cut to {limit} tokens" for split, (cut, n) in counts.items() if cut]

    @cached_property
    def sizes(self) -> Sizes:
        """The sizes of the train set; the longest text counts what stands around it, too."""
        train = self._encode(self.rows("train"))
        width = features.width(self.model, self.head, train[0])
        return Sizes(len(train), len(self.labels), width, max(len(text.ids) for text in train))

    def rows(self, split: str) -> Sequence[data.Row]:
        """Return the examples of a split."""
        return self.splits[split]

    def classes(self, split: str) -> Index:
        """Return the class index of each example, shape (n,)."""
        return data.classes(self.rows(split), self.labels)

    def logits(self, rows: Rows) -> Array:
        """Return the label logits, shape (n, classes)."""
        return self.engine.logits(self.none, self._encode(rows))[0]

    def features(self, rows: Rows) -> Array:
        """Return the hidden states that the head reads, shape (n, width)."""
        return features.features(self.model, self.head, self._encode(rows))

    def states(self, rows: Rows) -> list[Array]:
        """Return all last hidden states of each text, shape (length, width)."""
        return features.states(self.model, self._encode(rows))

    def tunable(self) -> Tuned:
        """Return a copy of the model that may be trained."""
        return Tuned(self.model, self.head, self._encode)

    def shown(self, count: int | None) -> "Texts":
        """Return the same with `count` solved examples per class before every text.

        None takes as many as leave room for the longest text of train, one at least. Raise InputError where the head
        has no label words, or no room is left.
        """
        if count is not None:
            return replace(self, template=self.show(count), encoded={})
        most = int(np.bincount(self.classes("train"), minlength=len(self.labels)).min())
        needed = max(len(text.ids) + text.cut for text in self._encode(self.rows("train"))) - self.template.bare
        template = self.show(1)
        for more in range(2, most + 1):
            try:
                longer = self.show(more)
            except InputError:
                # No room for any text.
                break
            if longer.room < needed:
                break
            template = longer
        return replace(self, template=template, encoded={})

    def scores(self, logits: Array, split: str) -> dict[str, float]:
        """Return the metrics and the loss, by name."""
        return {name: float(value[0]) for name, value in self.score(logits[None], split).items()}

    def calibrated(self, logits: Array, train: Array) -> Array:
        """Return logits after a bias per class that is fitted on those of train."""
        *_, found = calibrate("bias", train[None], self.classes("train"), logits[None])
        return found[0]

    def cost(self, split: str) -> Cost:
        """Return what it costs to ask for the outputs of a split."""
        texts = self._encode(self.rows(split))
        up = sum(text.text_bytes for text in texts)
        return Cost(
            examples=len(texts),
            tokens=sum(len(text.ids) for text in texts),
            bytes_up_z=up,
            bytes_up_prompt=up,
            bytes_down=4 * len(self.labels) * len(texts),
        )

    def _encode(self, rows: Rows) -> list[Encoded]:
        split = next((name for name, own in self.splits.items() if own is rows), "")
        if split in self.encoded:
            return self.encoded[split]
        found = [self.template.encode(row) for row in rows]
        if split:
            self.encoded[split] = found
        return found
