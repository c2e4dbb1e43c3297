"""Model tuning: all weights of the model are trained, the bare template and its label words kept."""

from collections.abc import Iterator
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field, PositiveFloat, PositiveInt

from dfo_bench.core import Array, Arrays, Classifier, FitProgress, LabelledTexts, Learned, Reference, Rows, Tunable
from dfo_bench.references._select import select

BATCH = 16

_TEXTS = 64
"""How many texts are computed at a time when labels are predicted."""


class ModelTuning(Reference):
    """AdamW on the cross-entropy of the label logits, batches of 16, without dropout.

    The learning rate is selected on dev; settings of the paper are not published. Every rate starts from the model as
    it was. In memory there are the model, a copy of it in fp32 with gradients and AdamW's two moments, and the best
    copy so far: six times the model.

    rates: the learning rates among which dev selects.
    epochs: how often all train texts are gone through for each rate.
    """

    sees = "weights"
    selects = True

    def __init__(
        self,
        *,
        rng: np.random.Generator,
        rates: Annotated[tuple[PositiveFloat, ...], Field(min_length=1)] = (1e-5, 3e-5, 1e-4),
        epochs: PositiveInt = 10,
    ) -> None:
        super().__init__(rng=rng)
        self.rates, self.epochs = rates, epochs

    def fit(self, texts: LabelledTexts, progress: FitProgress) -> Classifier:
        """Train one copy of the model per learning rate."""
        train, classes = texts.rows("train"), torch.from_numpy(texts.classes("train"))

        def candidates() -> Iterator[tuple[Classifier, Array]]:
            for i, rate in enumerate(self.rates):
                tuned = texts.tunable()
                adam = torch.optim.AdamW(tuned.model.parameters(), lr=rate)
                for epoch in range(1, self.epochs + 1):
                    for batch in np.array_split(self.rng.permutation(len(train)), -(-len(train) // BATCH)):
                        logits = tuned.logits([train[j] for j in batch])
                        adam.zero_grad()
                        loss: Any = torch.nn.functional.cross_entropy(logits, classes[batch].to(logits.device))
                        loss.backward()
                        adam.step()
                    progress((i + epoch / self.epochs) / len(self.rates))
                adam.zero_grad()
                found = _Tuned(tuned, rate=rate)
                yield found, found.logits(texts.rows("dev"))

        return select(candidates(), texts)

    @classmethod
    def restore(cls, texts: LabelledTexts, arrays: Arrays) -> Classifier:
        """Return the classifier of the weights that were trained."""
        tuned = texts.tunable()
        for name, weight in tuned.model.named_parameters():
            weight.data.copy_(torch.from_numpy(arrays[name]))
        return _Tuned(tuned)


class _Tuned(Classifier):
    def __init__(self, model: Tunable, **chosen: float) -> None:
        super().__init__(**chosen)
        self.model = model

    def learned(self) -> Learned:
        weights = self.model.model.named_parameters()
        return Learned({name: weight.detach().cpu().numpy() for name, weight in weights}, "weights")

    @torch.no_grad()
    def logits(self, rows: Rows) -> Array:
        parts = [rows[i : i + _TEXTS] for i in range(0, len(rows), _TEXTS)]
        return np.concatenate([self.model.logits(part).double().cpu().numpy() for part in parts])
