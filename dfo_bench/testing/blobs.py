"""Blobs: labelled texts of a made-up model, on which references are checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dfo_bench.core import Array, Cost, Index, Predicted, Rows, Sees, Sizes

_WIDTH, _SHOTS = 6, 8


@dataclass(frozen=True)
class Blob:
    """A text of a class: `number` tells it from the others."""

    label: str
    number: int


class Blobs:
    """Three classes, whose texts have hidden states scattered around a centre each; their outputs are skewed."""

    labels: tuple[str, ...] = ("red", "green", "blue")
    metric = "accuracy"
    offers: Sequence[Sees] = ("losses", "outputs", "features", "weights")
    events: Sequence[str] = ()
    sizes = Sizes(texts=3 * _SHOTS, classes=3, width=_WIDTH, longest=4)

    def __init__(self) -> None:
        self._centres = 2 * np.random.default_rng(0).standard_normal((3, _WIDTH))

    def rows(self, split: str) -> Sequence[Blob]:
        """Return eight texts of each class."""
        first = {"train": 0, "dev": 100, "test": 200}[split]
        return [Blob(label, first + i) for label in self.labels for i in range(_SHOTS)]

    def classes(self, split: str) -> Index:
        """Return the class indices, shape (24,)."""
        return np.repeat(np.arange(3), _SHOTS)

    def predicted(self, logits: Mapping[str, Array], split: str) -> Predicted:
        """Return the largest logits of a split, whose rows are named after it."""
        return Predicted.of(split, self.classes(split), logits)

    def features(self, rows: Rows) -> Array:
        """Return points around the centres, shape (n, 6)."""
        return np.array([one.mean(axis=0) for one in self.states(rows)])

    def states(self, rows: Rows) -> list[Array]:
        """Return two to four points around the centre of each text's class."""
        found = []
        for row in rows:
            place = self.labels.index(row.label)
            rng = np.random.default_rng([place, row.number])
            found.append(self._centres[place] + rng.standard_normal((2 + row.number % 3, _WIDTH)))
        return found

    def logits(self, rows: Rows) -> Array:
        """Return how near each text is to the centres, with a lead for the first class, shape (n, 3)."""
        return self.features(rows) @ self._centres.T / 4 + np.array([3.0, 0.0, 0.0])

    def tunable(self) -> "Layer":
        """Return a linear layer on the features."""
        return Layer(self)

    def shown(self, count: int | None) -> "Blobs":
        """Return the same: this model reads no examples."""
        return self

    def scores(self, logits: Array, split: str) -> dict[str, float]:
        """Return the accuracy and the cross-entropy."""
        classes = self.classes(split)
        logs = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
        loss = -float(logs[np.arange(len(classes)), classes].mean())
        return {"accuracy": float((logits.argmax(axis=1) == classes).mean()), "loss": loss}

    def calibrated(self, logits: Array, train: Array) -> Array:
        """Return logits whose mean over train is 0 for each class."""
        return logits - train.mean(axis=0)

    def call_seconds(self, backend: str) -> float:
        """Return nan: there is no model."""
        return np.nan

    def cost(self, split: str) -> Cost:
        """Return what the outputs of a split cost."""
        return Cost(examples=24, tokens=72, bytes_up_z=240, bytes_up_prompt=240, bytes_down=288)


class Layer:
    """A linear layer on the features of blobs, whose weights may be trained."""

    def __init__(self, blobs: Blobs) -> None:
        import torch

        self._blobs = blobs
        # Without the weights that it would draw.
        self.model = torch.nn.Linear(_WIDTH, 3, device="meta").to_empty(device="cpu")
        with torch.no_grad():
            self.model.weight.zero_()
            self.model.bias.zero_()

    def logits(self, rows: Rows) -> Any:
        """Return the label logits, a tensor of shape (n, 3)."""
        import torch

        return self.model(torch.from_numpy(self._blobs.features(rows)).float())
