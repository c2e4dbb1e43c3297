"""The manual prompt: the template as it is."""

from dfo_bench.core import Classifier, FitProgress, LabelledTexts, Reference
from dfo_bench.references._outputs import Outputs


class Manual(Reference):
    """The template, with no prompt before it; nothing is learned."""

    sees = "losses"
    cheap, fitted = True, False

    def fit(self, texts: LabelledTexts, progress: FitProgress) -> Classifier:
        """Learn nothing."""
        return Outputs(texts)
