"""In-context learning (Brown et al., NeurIPS 2020, arXiv 2005.14165): solved train examples stand before every text."""

import numpy as np
from pydantic import PositiveInt

from dfo_bench.core import Arrays, Classifier, FitProgress, LabelledTexts, Reference
from dfo_bench.lm.mapped import Mapped


class InContext(Reference):
    """Solved train examples before every text, the classes in turns; nothing is learned.

    The train loss counts texts whose answers stand in the prompt: compare on dev and test.

    demonstrations: how many per class; null is as many as fit with the longest train text beside them, at least 1.
    """

    sees = "losses"
    cheap, words, fitted = True, True, False

    def __init__(self, *, rng: np.random.Generator, demonstrations: PositiveInt | None = None) -> None:
        super().__init__(rng=rng)
        self.demonstrations = demonstrations

    def view(self, texts: LabelledTexts) -> LabelledTexts:
        """Return the texts with the examples before them."""
        return texts.shown(self.demonstrations)

    def fit(self, texts: LabelledTexts, progress: FitProgress) -> Classifier:
        """Learn nothing."""
        return Mapped(texts)

    @classmethod
    def restore(cls, texts: LabelledTexts, arrays: Arrays) -> Classifier:
        """Return the classifier of the model's own outputs."""
        return Mapped(texts)
