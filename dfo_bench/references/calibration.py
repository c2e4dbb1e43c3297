"""Calibration: a map of the bare template's label logits that is fitted on train."""

from typing import Literal

import numpy as np

from dfo_bench.core import Array, Classifier, FitProgress, Index, LabelledTexts, Reference, Rows
from dfo_bench.lm.calibration import Kind, calibrate


class Calibration(Reference):
    """A map of label logits, fitted by cross-entropy with a ridge towards the identity (`dfo_bench.lm.calibration`).

    `bias` is what Batch Calibration (arXiv 2309.17249) estimates without labels, here with them; `scale` is the map of
    Supervised Calibration (arXiv 2505.23783), a weight and a bias per class; `affine` has a whole matrix and a bias.

    kind: the map: a bias per class (bias), a weight and a bias per class (scale), or a matrix and a bias (affine).
    """

    sees = "outputs"
    cheap = True

    def __init__(self, *, rng: np.random.Generator, kind: Literal["bias", "scale", "affine"] = "bias") -> None:
        super().__init__(rng=rng)
        self.kind: Kind = kind

    def fit(self, texts: LabelledTexts, progress: FitProgress) -> Classifier:
        """Ask for the outputs of train."""
        return _Calibrated(texts, self.kind, texts.logits(texts.rows("train")), texts.classes("train"))


class _Calibrated(Classifier):
    def __init__(self, texts: LabelledTexts, kind: Kind, train: Array, classes: Index) -> None:
        super().__init__()
        self.texts, self.kind, self.train, self.classes = texts, kind, train, classes

    def logits(self, rows: Rows) -> Array:
        # The map is fitted again each time: it takes less than the outputs do.
        *_, found = calibrate(self.kind, self.train[None], self.classes, self.texts.logits(rows)[None])
        return found[0]
