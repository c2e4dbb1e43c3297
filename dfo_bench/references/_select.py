"""The selection on dev that references share: one rule for all of their grids."""

from collections.abc import Iterable

import numpy as np

from dfo_bench.core import Array, Classifier, LabelledTexts
from dfo_bench.errors import RunError


def select(candidates: Iterable[tuple[Classifier, Array]], texts: LabelledTexts) -> Classifier:
    """Return the classifier with the best metric on dev; among equals the lowest loss, then the first.

    Each comes with its logits on dev, shape (n, classes). The rule holds for every dev set, also one that cannot tell
    the candidates apart. One whose logits are not all finite is left out; raise RunError where that is so of all.
    """
    best, worth = None, (-np.inf, -np.inf)
    for candidate, logits in candidates:
        if not np.isfinite(logits).all():
            continue
        scores = texts.scores(logits, "dev")
        if best is None or (scores[texts.metric], -scores["loss"]) > worth:
            best, worth = candidate, (scores[texts.metric], -scores["loss"])
    if best is None:
        raise RunError("dev can select nothing: no candidate of the grid gives finite outputs on it")
    return best
