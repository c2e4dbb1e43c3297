"""kNN prompting (Xu et al., ICLR 2023, arXiv 2303.13824): the train examples with the nearest outputs vote."""

import numpy as np
from scipy.special import log_softmax

from dfo_bench.core import Array, Arrays, Classifier, FitProgress, Index, LabelledTexts, Learned, Reference, Rows
from dfo_bench.references._select import select

GRID = (1, 3, 5, 7, 9)
"""The numbers of neighbours among which dev selects, as far as there are train examples."""


_LINES = """\
anchors, k = tensors["anchors"], int(tensors["k"])
distances = (anchors.exp() * anchors).sum(1) - anchors.exp() @ scores.double().log_softmax(0)
near = tensors["classes"][distances.argsort(stable=True)[:k]]
votes = torch.zeros(len(scores)).double().index_add(0, near, 1 - 1e-6 * torch.arange(k).double())
scores = ((1 + votes) / (k + len(scores))).log()
"""


class Knn(Reference):
    """The k train examples whose label distributions p are nearest, by KL(p | q) to the q of the text, vote.

    Unlike in the paper distributions are over the labels, which a service sells, not over the vocabulary, and no
    examples stand before the texts. Among equal votes the class counts whose neighbours are nearer. Logits are those of
    the share of votes, one more for every class. k is selected on dev of 1, 3, 5, 7 and 9.
    """

    sees = "outputs"
    selects = True

    def fit(self, texts: LabelledTexts, progress: FitProgress) -> Classifier:
        """Ask for the outputs of train and dev, and select k."""
        anchors, classes = log_softmax(texts.logits(texts.rows("train")), axis=1), texts.classes("train")
        dev = texts.logits(texts.rows("dev"))
        grid = (_Neighbours(texts, anchors, classes, k=k) for k in GRID if k <= len(classes))
        return select(((candidate, candidate.vote(dev)) for candidate in grid), texts)

    @classmethod
    def restore(cls, texts: LabelledTexts, arrays: Arrays) -> Classifier:
        """Return the classifier of the train examples."""
        return _Neighbours(texts, arrays["anchors"], arrays["classes"], k=int(arrays["k"]))


class _Neighbours(Classifier):
    def __init__(self, texts: LabelledTexts, anchors: Array, classes: Index, *, k: int) -> None:
        """`anchors` are the log probabilities of the train examples, shape (train, classes)."""
        super().__init__(k=k)
        self.texts, self.anchors, self.classes, self.k = texts, anchors, classes, k

    def logits(self, rows: Rows) -> Array:
        return self.vote(self.texts.logits(rows))

    def learned(self) -> Learned:
        return Learned({"anchors": self.anchors, "classes": self.classes, "k": np.array(self.k)}, lines=_LINES)

    def vote(self, outputs: Array) -> Array:
        """Return logits of the model's own, both of shape (n, classes)."""
        asked = log_softmax(outputs, axis=1)
        shares = np.exp(self.anchors)
        distances = (shares * self.anchors).sum(axis=1) - asked @ shares.T
        nearest = np.argsort(distances, axis=1, kind="stable")[:, : self.k]
        # A vote weighs a trifle less with every neighbour that is nearer, so that no two classes are equal.
        weights = 1 - 1e-6 * np.arange(self.k)
        voted = np.eye(asked.shape[1])[self.classes[nearest]]
        return np.log1p((voted * weights[:, None]).sum(axis=1)) - np.log(self.k + asked.shape[1])
