"""From label logits, shape (n, examples, classes), and class indices, shape (examples,), to one loss a candidate."""

from typing import Any

import numpy as np
from scipy.special import log_softmax

from dfo_bench.points import Array

Classes = np.ndarray[Any, np.dtype[np.int64]]

MARGIN = 2.0
"""The original's hinge margin."""


def accuracy(logits: Array, classes: Classes) -> Array:
    """Return the share of examples whose class has the largest logit, shape (n,)."""
    share: Array = (logits.argmax(axis=2) == classes).mean(axis=1)
    return share


def ce(logits: Array, classes: Classes) -> Array:
    """Return the mean cross-entropy over the labels, shape (n,)."""
    logs = log_softmax(logits, axis=2)[:, np.arange(len(classes)), classes]
    mean: Array = -logs.mean(axis=1)
    return mean


def hinge(logits: Array, classes: Classes) -> Array:
    """Return the mean over examples of the summed margins by which wrong labels come too near, shape (n,)."""
    own = logits[:, np.arange(len(classes)), classes]
    over = np.maximum(0.0, logits - own[:, :, None] + MARGIN)
    # The own class is over by the margin itself.
    mean: Array = over.sum(axis=2).mean(axis=1) - MARGIN
    return mean


def perf(logits: Array, classes: Classes) -> Array:
    """Return minus the accuracy, shape (n,)."""
    return -accuracy(logits, classes)


LOSSES = {"ce": ce, "hinge": hinge, "perf": perf}
