"""NumPy's global generator, lent to a library that draws from it, so that its draws are a run's own."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.random import mtrand


@contextmanager
def lent(generator: np.random.BitGenerator) -> Iterator[None]:
    """Make a generator the global one for a while, and leave the caller's as it was."""
    theirs, half = mtrand.get_bit_generator(), _half_a_pair()
    mtrand.set_bit_generator(generator)
    try:
        yield
    finally:
        mtrand.set_bit_generator(theirs)
        if half:
            np.random.set_state(half)  # noqa: NPY002


_SMALL = np.random.SFC64(0)


def _half_a_pair() -> dict[str, Any] | None:
    """Return the state of NumPy's global generator if it keeps the second half of a pair of old-style normals.

    Setting another generator would drop that. Whether there is one is part of a state which takes the Mersenne twister
    0.1 ms to write down, as long as half an evaluation; so it is asked with a small generator in the other's place.
    """
    theirs = mtrand._rand._bit_generator
    mtrand._rand._bit_generator = _SMALL
    try:
        half: int = np.random.get_state(legacy=False)["has_gauss"]  # noqa: NPY002
    finally:
        mtrand._rand._bit_generator = theirs
    return np.random.get_state(legacy=False) if half else None  # noqa: NPY002
