"""A linear layer on the model's hidden states: logistic regression by scikit-learn."""

from typing import TYPE_CHECKING

import numpy as np

from dfo_bench.core import Array, Arrays, Classifier, FitProgress, LabelledTexts, Learned, Reference, Rows
from dfo_bench.references._select import select

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

GRID = (0.01, 0.1, 1.0, 10.0, 100.0)
"""The inverse weights of the ridge, C, among which dev selects."""


class FeatureLinear(Reference):
    """Logistic regression on what the head reads of each text, its hidden state there or its embedding.

    C, the inverse weight of the ridge, is selected on dev of 0.01, 0.1, 1, 10 and 100; all else is scikit-learn's. The
    paper trains the layer by AdamW; the settings of that are not published.
    """

    sees = "features"
    selects = True
    cheap = True

    def fit(self, texts: LabelledTexts, progress: FitProgress) -> Classifier:
        """Ask for the features of train and dev, and select C."""
        from sklearn.linear_model import LogisticRegression

        train, classes = texts.features(texts.rows("train")), texts.classes("train")
        dev = texts.features(texts.rows("dev"))
        fits = (LogisticRegression(C=c, max_iter=10_000).fit(train, classes) for c in GRID)
        grid = (_Linear(texts, *_layer(one), C=one.C) for one in fits)
        return select(((candidate, candidate.read(dev)) for candidate in grid), texts)

    @classmethod
    def restore(cls, texts: LabelledTexts, arrays: Arrays) -> Classifier:
        """Return the classifier of the layer."""
        return _Linear(texts, arrays["weight"], arrays["bias"])


def _layer(model: "LogisticRegression") -> tuple[Array, Array]:
    """Return the weights of a layer, shape (classes, width), and its biases, shape (classes,)."""
    if len(model.coef_) > 1:
        return model.coef_, model.intercept_
    # Of two classes scikit-learn tells the second's lead.
    return np.vstack([0 * model.coef_, model.coef_]), np.append(0.0, model.intercept_)


class _Linear(Classifier):
    def __init__(self, texts: LabelledTexts, weight: Array, bias: Array, **chosen: float) -> None:
        super().__init__(**chosen)
        self.texts, self.weight, self.bias = texts, weight, bias

    def logits(self, rows: Rows) -> Array:
        return self.read(self.texts.features(rows))

    def read(self, features: Array) -> Array:
        """Return logits, shape (n, classes), of features, shape (n, width)."""
        return features @ self.weight.T + self.bias

    def learned(self) -> Learned:
        arrays = {"weight": self.weight, "bias": self.bias}
        return Learned(arrays, "features", 'scores = tensors["weight"] @ feature.double() + tensors["bias"]\n')
