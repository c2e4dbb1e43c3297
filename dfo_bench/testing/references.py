"""The checks of references: the contract that every one must keep."""

import numpy as np

from dfo_bench.core import Array, Classifier, InputError, Reference
from dfo_bench.plugins.plugin import Plugin
from dfo_bench.testing.blobs import Blobs
from dfo_bench.testing.checks import Problem
from dfo_bench.testing.optimizers import random_states, seed_globally

TOLERANCE = 1e-5
"""How far the logits of a text may differ with the texts that it is asked with."""


def _fit(plugin: Plugin[Reference]) -> tuple[Blobs, Classifier]:
    blobs = Blobs()
    reference = plugin.construct(rng=np.random.default_rng(0))
    return blobs, reference.fit(reference.view(blobs), lambda share: None)


def _logits(plugin: Plugin[Reference]) -> Array:
    blobs, classifier = _fit(plugin)
    return classifier.logits(blobs.rows("test"))


def predicts(plugin: Plugin[Reference]) -> Problem:
    """It learns from train, and gives finite logits for every text and class."""
    logits = _logits(plugin)
    if np.shape(logits) != (24, 3):
        return f"24 texts of 3 classes gave logits of shape {np.shape(logits)}"
    return "" if np.isfinite(logits).all() else "a logit is not finite"


def repeats_itself(plugin: Plugin[Reference]) -> Problem:
    """The same seed learns the same: a resumed run fits again."""
    return "" if np.array_equal(_logits(plugin), _logits(plugin)) else "two fits of one seed differ"


def predicts_alike(plugin: Plugin[Reference]) -> Problem:
    """A text has the same logits whatever texts it is asked with."""
    blobs, classifier = _fit(plugin)
    rows = blobs.rows("test")
    alone = np.concatenate([classifier.logits([row]) for row in rows[::5]])
    difference = float(np.abs(alone - classifier.logits(rows)[::5]).max())
    return "" if difference <= TOLERANCE else f"one by one the logits differ by {difference:.3g}"


def restores(plugin: Plugin[Reference]) -> Problem:
    """What it says it has learned gives the same logits, if it says so: that is what a bundle holds."""
    blobs, classifier = _fit(plugin)
    try:
        arrays = classifier.learned().arrays
    except InputError:
        return ""
    restored = plugin.cls.restore(blobs, {name: array.copy() for name, array in arrays.items()})
    rows = blobs.rows("test")
    same = np.allclose(restored.logits(rows), classifier.logits(rows), rtol=0, atol=TOLERANCE)
    return "" if same else "what `restore` makes of `learned` gives other logits"


def leaves_global_state(plugin: Plugin[Reference]) -> Problem:
    """The global random states of Python, NumPy and torch stay as they are."""
    seed_globally(54321)
    before = random_states()
    _logits(plugin)
    return "" if random_states() == before else "it draws from, or seeds, a global generator"


def counts_its_bytes(plugin: Plugin[Reference]) -> Problem:
    """It says what it sees, and what a service sends for that."""
    blobs = Blobs()
    reference = plugin.construct(rng=np.random.default_rng(0))
    if plugin.cls.sees not in blobs.offers:
        return f"it sees {plugin.cls.sees!r}; that must be one of {', '.join(blobs.offers)}"
    cost = reference.cost(reference.view(blobs))
    return "" if cost.bytes_down >= 0 else f"{cost.bytes_down} bytes go down"


CHECKS = (predicts, repeats_itself, predicts_alike, restores, leaves_global_state, counts_its_bytes)
"""The checks of a reference; each docstring is a title."""
