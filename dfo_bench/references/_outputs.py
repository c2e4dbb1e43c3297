"""What references share that learn nothing: the model's own outputs."""

from dfo_bench.core import Array, Classifier, LabelledTexts, Rows


class Outputs(Classifier):
    """The outputs of the model for texts as they are put to it."""

    def __init__(self, texts: LabelledTexts) -> None:
        super().__init__()
        self.texts = texts

    def logits(self, rows: Rows) -> Array:
        """Return the label logits, shape (n, classes)."""
        return self.texts.logits(rows)
