"""Losses as optimizers can compute with them: where a library makes nan of an infinite one, or arithmetic overflows."""

import numpy as np

from dfo_bench.core import Array

_LARGEST = 1e100
"""Beyond it a loss is as good as a failure: its square, or a slope over a small step, would not be finite."""

_FAILED = 1e300


def tamed(losses: Array) -> Array:
    """Return losses above 1e100 as the failure +inf, and those below -1e100 as that."""
    return np.where(losses > _LARGEST, np.inf, np.maximum(losses, -_LARGEST))


def rankable(losses: Array) -> list[float]:
    """Return the losses with a failure as a finite one that no other is worse than, for libraries that only rank."""
    return np.clip(losses, -_FAILED, _FAILED).tolist()
