"""Calibration: a map of the bare template's label logits that is fitted on train."""

from typing import Literal

import numpy as np

from dfo_bench.core import Arrays, Classifier, FitProgress, LabelledTexts, Reference
from dfo_bench.lm.calibration import Kind, learn
from dfo_bench.lm.mapped import Mapped


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
        maps = learn(self.kind, texts.logits(texts.rows("train"))[None], texts.classes("train"))
        assert maps is not None
        return Mapped(texts, maps[0])

    @classmethod
    def restore(cls, texts: LabelledTexts, arrays: Arrays) -> Classifier:
        """Return the classifier of the map."""
        return Mapped.restore(texts, arrays)
