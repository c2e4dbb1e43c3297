"""The model's own outputs as a classifier, as they are or after a map that was fitted on those of train."""

from typing import Self

from dfo_bench.core import Array, Arrays, Classifier, LabelledTexts, Learned, Rows
from dfo_bench.lm.calibration import apply

_LINES = """\
scores = scores.double() - scores.double().mean()
scores = torch.cat([scores, scores.new_ones(1)]) @ tensors["map"]
"""


class Mapped(Classifier):
    """The label logits of a prompt, or of the bare template."""

    def __init__(self, texts: LabelledTexts, fitted: Array | None = None) -> None:
        """`fitted` is one map of `dfo_bench.lm.calibration.learn`, shape (classes + 1, classes)."""
        super().__init__()
        self._texts, self._map = texts, fitted

    def logits(self, rows: Rows) -> Array:
        """Return the label logits, shape (n, classes)."""
        return apply(self._map, self._texts.logits(rows))

    def learned(self) -> Learned:
        """Return the map, where there is one."""
        return Learned() if self._map is None else Learned({"map": self._map}, lines=_LINES)

    @classmethod
    def restore(cls, texts: LabelledTexts, arrays: Arrays) -> Self:
        """Return the classifier of what `learned` returned."""
        return cls(texts, arrays.get("map"))
