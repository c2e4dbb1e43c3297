"""What the libraries are told that only rank, and would make nan of an infinite loss."""

import numpy as np

from dfo_bench.core import Array

_FAILED = 1e300


def rankable(losses: Array) -> list[float]:
    """Return the losses with a failure as a finite one that is worse than all others."""
    told: list[float] = np.where(np.isfinite(losses), losses, _FAILED).tolist()
    return told
