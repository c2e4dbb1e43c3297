"""Boosting: the weights by which several classifiers vote, fitted on train.

SAMME, AdaBoost for any number of classes (Zhu et al. 2009, algorithm 2), over classifiers that are given, as
PromptBoosting has it over prompts (arXiv 2212.09257).
"""

import numpy as np
import numpy.typing as npt

from dfo_bench.core import Array


def boost(hits: npt.NDArray[np.bool_], classes: int) -> Array:
    """Return the weight of each classifier, shape (members,); 0 for those that are no better than a guess.

    `hits` says which texts each classifies rightly, shape (members, texts). In every round the classifier of the least
    weighted error of those left gets its weight, and the texts that it misses count more from then on. Each is taken
    once, of equal ones the first.
    """
    weights = np.zeros(len(hits))
    left, misses = list(range(len(hits))), ~hits
    smooth = 1 / hits.shape[1]
    counts = np.full(hits.shape[1], smooth)
    while left:
        errors = misses[left] @ counts
        best, error = left[int(errors.argmin())], float(errors.min())
        # Without errors the weight would be infinite: smoothed by 1 / texts (Schapire and Singer 1999, section 4.2).
        weight = np.log((1 - error + smooth) / (error + smooth)) + np.log(classes - 1)
        if not weight > 0:
            break
        weights[best] = weight
        counts = counts * np.exp(weight * misses[best])
        counts /= counts.sum()
        left.remove(best)
    return weights


def votes(logits: Array, weights: Array) -> Array:
    """Return the sums of the weights of those that vote for each class, shape (n, classes).

    `logits` has shape (members, n, classes). Their softmax estimates the probabilities (Zhu et al., section 2.2).
    """
    voted = np.eye(logits.shape[2])[logits.argmax(axis=2)]
    return np.asarray(np.tensordot(weights, voted, axes=1))
