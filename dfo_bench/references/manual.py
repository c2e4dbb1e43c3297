"""The manual prompt: the template as it is."""

from dfo_bench.core import Arrays, Classifier, FitProgress, LabelledTexts, Reference
from dfo_bench.lm.mapped import Mapped


class Manual(Reference):
    """The template, with no prompt before it; nothing is learned."""

    sees = "losses"
    cheap, fitted = True, False

    def fit(self, texts: LabelledTexts, progress: FitProgress) -> Classifier:
        """Learn nothing."""
        return Mapped(texts)

    @classmethod
    def restore(cls, texts: LabelledTexts, arrays: Arrays) -> Classifier:
        """Return the classifier of the model's own outputs."""
        return Mapped(texts)
