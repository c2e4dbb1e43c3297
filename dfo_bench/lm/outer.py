"""The outer function of a text task: its loss on the train set as a function of the label logits."""

from collections.abc import Callable, Sequence

import numpy as np

from dfo_bench.core import Array, Outer
from dfo_bench.lm import losses
from dfo_bench.lm.calibration import Calibration, calibrate, pull_back


class TrainLoss(Outer):
    """The loss of train logits after the map that is fitted on them; logits have shape (n, examples, classes).

    The map follows the logits: whoever minimises over logits minimises over maps, too, at no call.
    """

    def __init__(
        self,
        name: losses.LossName,
        kind: Calibration,
        classes: losses.Classes,
        count: int,
        score: Callable[[Array], Array],
    ) -> None:
        """`classes` are the classes of the examples, of `count` in all; `score` gives the losses of mapped logits."""
        self.shape = (len(classes), count)
        fits = f"calibrate={kind} fits its map on the outputs of all train texts; pass calibrate=none"
        self.no_examples = "" if kind == "none" else fits
        self._name, self._kind, self._classes, self._score = name, kind, classes, score

    def loss(self, outputs: Array) -> Array:
        """Return the losses, shape (n,); nan where a logit is not finite."""
        finite = np.isfinite(outputs).all(axis=(1, 2))
        values = np.full(len(outputs), np.nan)
        (mapped,) = calibrate(self._kind, outputs[finite], self._classes)
        values[finite] = self._score(mapped)
        return values

    def loss_on(self, outputs: Array, examples: Sequence[int]) -> Array:
        """Return the losses as some examples alone have them; nan where a logit is not finite."""
        values = losses.LOSSES[self._name](outputs, self._classes[list(examples)])
        return np.where(np.isfinite(outputs).all(axis=(1, 2)), values, np.nan)

    def gradient(self, outputs: Array) -> Array:
        """Return the derivatives of the losses in the logits; nan where a logit is not finite."""
        return self.slopes(outputs, range(len(self._classes)))

    def canonical(self, outputs: Array) -> Array:
        """Return each text's logits less their mean, on which no loss depends."""
        return outputs - outputs.mean(axis=2, keepdims=True)

    def slopes(self, logits: Array, texts: Sequence[int]) -> Array:
        """Return the derivatives in the logits of some texts; with a calibration of all texts, in their order."""
        found = np.full(logits.shape, np.nan)
        finite = np.isfinite(logits).all(axis=(1, 2))
        some = self._classes[list(texts)]
        slope = losses.SLOPES[self._name]
        found[finite] = pull_back(self._kind, logits[finite], some, lambda mapped: slope(mapped, some))
        return found / len(self._classes)
