"""A prompt as a classifier: the label logits under one candidate, after the map that its task fits on train."""

from collections.abc import Callable, Sequence
from functools import cached_property

from dfo_bench.core import Array, Classifier, Rows
from dfo_bench.lm.calibration import Calibration, calibrate
from dfo_bench.lm.losses import Classes
from dfo_bench.lm.templates import Encoded, Template


class Prompted(Classifier):
    """What a task makes of any texts under a single candidate.

    The train outputs that a calibration is fitted on were answered when the point was evaluated. They are computed
    again, alone, so that a run that was interrupted scores as one that was not, and cost nothing.
    """

    def __init__(
        self,
        outputs: Callable[[Sequence[Encoded]], Array],
        template: Template,
        train: Sequence[Encoded],
        classes: Classes,
        kind: Calibration,
    ) -> None:
        """`outputs(texts)` returns the candidate's label logits, (1, n, classes); `classes` are those of train."""
        super().__init__()
        self.template = template
        self._outputs, self._train, self._classes, self._kind = outputs, train, classes, kind

    @cached_property
    def _fitted_on(self) -> Array:
        return self._outputs(self._train)

    def calibrated(self, kind: Calibration, logits: Array) -> Array:
        """Return logits, shape (1, n, classes), after a map of this kind that is fitted on train."""
        if kind == "none":
            return logits
        *_, found = calibrate(kind, self._fitted_on, self._classes, logits)
        return found

    def logits(self, rows: Rows) -> Array:
        """Return the label logits of any texts after the task's own calibration, shape (n, classes)."""
        return self.calibrated(self._kind, self._outputs([self.template.encode(row) for row in rows]))[0]
