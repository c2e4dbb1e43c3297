"""Losses and metrics per candidate, of label logits (n, examples, classes) and class indices (examples,)."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from scipy.special import log_softmax, softmax

from dfo_bench.points import Array

LossName = Literal["ce", "hinge", "confidence", "perf"]

Classes = np.ndarray[Any, np.dtype[np.int64]]

MARGIN = 2.0
"""The original's hinge margin."""


def accuracy(logits: Array, classes: Classes) -> Array:
    """Return the share of examples whose class has the largest logit, shape (n,)."""
    share: Array = (logits.argmax(axis=2) == classes).mean(axis=1)
    return share


def f1(logits: Array, classes: Classes, positive: int) -> Array:
    """Return the harmonic mean of precision and recall of the class `positive`, shape (n,); 0 without a hit."""
    found, wanted = logits.argmax(axis=2) == positive, classes == positive
    # Written without quotients, which have no value where the class is never found or never there.
    mean: Array = 2 * (found & wanted).sum(axis=1) / np.maximum(1, found.sum(axis=1) + wanted.sum())
    return mean


def metrics(logits: Array, classes: Classes, positive: int | None = None) -> dict[str, Array]:
    """Return the metrics by name, each of shape (n,): "accuracy", and "f1" if there is a class `positive`."""
    values = {"accuracy": accuracy(logits, classes)}
    return values if positive is None else {**values, "f1": f1(logits, classes, positive)}


def ce(logits: Array, classes: Classes) -> Array:
    """Return the mean cross-entropy over the labels, shape (n,)."""
    logs = log_softmax(logits, axis=2)[:, np.arange(len(classes)), classes]
    mean: Array = -logs.mean(axis=1)
    return mean


def hinge(logits: Array, classes: Classes) -> Array:
    """Return the mean hinge loss, shape (n,): the sum over wrong labels of how far they come within the margin."""
    own = logits[:, np.arange(len(classes)), classes]
    over = np.maximum(0.0, logits - own[:, :, None] + MARGIN)
    # In the sum the class itself is within by the whole margin.
    mean: Array = over.sum(axis=2).mean(axis=1) - MARGIN
    return mean


def confidence(logits: Array, classes: Classes) -> Array:
    """Return the mean cross-entropy plus the mean of 1 - p, shape (n,); p is a label's probability among the labels.

    The cross-entropy asks most of the examples that are furthest from right; the second term, which is bounded, asks
    for confidence in those that can be right. After the confidence regularizer of "Projection-Free Evolution Strategies
    for Continuous Prompt Search" (arXiv 2603.13786), of which only the abstract was at hand: the form is ours.
    """
    own: Array = softmax(logits, axis=2)[:, np.arange(len(classes)), classes]
    return ce(logits, classes) + 1.0 - own.mean(axis=1)


def ce_slopes(logits: Array, classes: Classes) -> Array:
    """Return the derivative of each example's cross-entropy in its logits, shape of the logits."""
    slopes: Array = softmax(logits, axis=2)
    slopes[:, np.arange(len(classes)), classes] -= 1.0
    return slopes


def hinge_slopes(logits: Array, classes: Classes) -> Array:
    """Return the derivative of each example's hinge loss in its logits, shape of the logits; 0 at a kink."""
    own = np.arange(len(classes)), classes
    within = (logits - logits[:, own[0], own[1], None] + MARGIN > 0).astype(float)
    within[:, own[0], own[1]] = 0.0
    within[:, own[0], own[1]] = -within.sum(axis=2)
    return within


def confidence_slopes(logits: Array, classes: Classes) -> Array:
    """Return the derivative of each example's `confidence` in its logits, shape of the logits."""
    slopes = ce_slopes(logits, classes)
    # The derivative of ce is that of -log p: times p it is that of -p.
    own = 1.0 + slopes[:, np.arange(len(classes)), classes]
    both: Array = slopes * (1.0 + own[:, :, None])
    return both


LOSSES: dict[str, Callable[[Array, Classes], Array]] = {"ce": ce, "hinge": hinge, "confidence": confidence}
"""The losses that are functions of the logits alone."""


def loss(name: str, logits: Array, classes: Classes, metric: Array) -> Array:
    """Return the loss called `name`, shape (n,): one of LOSSES, or "perf", minus the task's `metric`, shape (n,)."""
    return -metric if name == "perf" else LOSSES[name](logits, classes)


SLOPES: dict[str, Callable[[Array, Classes], Array]] = {
    "ce": ce_slopes,
    "hinge": hinge_slopes,
    "confidence": confidence_slopes,
}
"""The derivatives of LOSSES: per example, where the loss is their mean."""
