"""Predictions for the rows of a split: as small as it can be kept with a run, and enough to compare runs by."""

import zlib
from base64 import b85decode, b85encode
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dfo_bench.points import Array, Index


@dataclass(frozen=True)
class Predicted:
    """The predicted class of every row of a split, and the true one; all JSON values."""

    rows: str
    """The digest of the rows: only where it is equal two runs have predicted the same rows."""
    truth: str
    """The class indices of the labels, packed."""
    classes: Mapping[str, str]
    """Those predicted, packed, by the prefix of the metrics that score them: "" or "calibrated_"."""
    positive: int | None = None
    """The class whose F1 is a metric; None where there is none, and in runs that were made before it was kept."""

    @classmethod
    def of(cls, rows: str, truth: Index, logits: Mapping[str, Array], positive: int | None = None) -> "Predicted":
        """Keep the largest of logits of shape (n, classes), by prefix, beside `truth`, shape (n,)."""
        packed = {prefix: pack(found.argmax(axis=1)) for prefix, found in logits.items()}
        return cls(rows, pack(truth), packed, positive)

    def scored(self, prefix: str = "") -> list[tuple[str, str, str]]:
        """Return each metric that is computed of them, with the true and the predicted classes, packed.

        Of "f1" class 1 is the positive one, and 0 stands for all others.
        """
        found = [("accuracy", self.truth, self.classes[prefix])]
        if self.positive is not None:
            truth, predicted = (pack((unpack(text) == self.positive).astype(int)) for text in found[0][1:])
            found.append(("f1", truth, predicted))
        return found


def pack(classes: Index) -> str:
    """Return class indices, shape (n,), as text: one character each, compressed; 0.4 characters a row of four."""
    return b85encode(zlib.compress("".join(map(chr, classes.tolist())).encode(), 9)).decode()


def unpack(text: str) -> Index:
    """Return what `pack` was given; raise ValueError for a text that it did not make."""
    try:
        return np.array([ord(mark) for mark in zlib.decompress(b85decode(text)).decode()], dtype=np.int64)
    except zlib.error as error:
        raise ValueError(f"no packed classes: {error}") from error
