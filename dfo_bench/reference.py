"""References: methods that search no prompt, but learn from the train texts once, and predict."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

import numpy as np

from dfo_bench.errors import InputError
from dfo_bench.plugins.plugged import Plugged
from dfo_bench.texts import Arrays, Classifier, Cost, LabelledTexts, Sees, Sizes

FitProgress = Callable[[float], None]
"""progress(share): tells whoever watches a reference which share of its fit is done."""


class Reference(Plugged, ABC):
    """Learns from the train texts once, and predicts; its fit counts as one evaluation.

    A subclass says what it `sees`, and adds keyword parameters with defaults::

        def __init__(self, *, rng: np.random.Generator, kind: Literal["bias", "affine"] = "bias") -> None:
            super().__init__(rng=rng)
    """

    sees: ClassVar[Sees]
    """What it learns from."""
    evaluations: ClassVar[int] = 1
    """The budget of its runs."""
    cheap: ClassVar[bool] = False
    """Whether it takes seconds: a sweep of text tasks runs it unless told not to."""
    words: ClassVar[bool] = False
    """Whether it needs label words, which head=embedding has not."""
    selects: ClassVar[bool] = False
    """Whether it selects on dev, and so needs some."""
    fitted: ClassVar[bool] = True
    """Whether it learns at all: the outputs of one that does not are shown with a bias per class, too."""

    def __init__(self, *, rng: np.random.Generator) -> None:
        """`rng` is the only source of randomness."""
        self.rng = rng

    def view(self, texts: LabelledTexts) -> LabelledTexts:
        """Return the texts as it puts them to the model; raise InputError where that cannot be."""
        return texts

    @abstractmethod
    def fit(self, texts: LabelledTexts, progress: FitProgress) -> Classifier:
        """Learn from the split "train" and select on "dev"; `texts` is what `view` returned."""

    @classmethod
    def restore(cls, texts: LabelledTexts, arrays: Arrays) -> Classifier:
        """Return the classifier whose `learned` gave these arrays; `texts` has a model, and no split."""
        raise InputError(f"{cls.__name__} cannot be restored; write its method `restore`")

    @classmethod
    def bytes_down(cls, sizes: Sizes) -> int:
        """Return what a service sends for the whole train set, in fp32: the rule of the Black-Box Tuning paper."""
        numbers = {"losses": sizes.classes, "outputs": sizes.classes, "features": sizes.width}
        return 4 * sizes.texts * numbers.get(cls.sees, 0)

    def cost(self, texts: LabelledTexts) -> Cost:
        """Return what the train set costs; nothing goes to or fro where the weights are at hand."""
        cost = texts.cost("train")
        if self.sees in ("gradients", "weights"):
            return Cost(cost.examples, cost.tokens)
        return replace(cost, bytes_down=self.bytes_down(texts.sizes))
