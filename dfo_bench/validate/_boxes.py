"""The boxes of random embeddings, and whether one holds an optimum of Branin's function."""

import numpy as np

from dfo_bench.core import Array

_OPTIMA = np.array([[-np.pi, 12.275], [np.pi, 2.275], [9.42478, 2.475]]) / 7.5 - [1 / 3, 1.0]
"""As points of [-1, 1]^2."""


def holds_optimum(rows: Array, half: float) -> np.typing.NDArray[np.bool_]:
    """Say for A's two active rows, shape (n, 2, d), whether A y is an optimum for a y of [-half, half]^d.

    The optima lie inside the domain, so clipping makes none. The image of the box is a polygon with sides along the
    columns of A; a point is in it if no side's normal separates the two.
    """
    normals = np.stack([-rows[:, 1], rows[:, 0]], axis=2)  # (n, d, 2), one for each column
    reach = half * np.abs(normals @ rows).sum(axis=2)  # (n, d)
    along = np.abs(normals @ _OPTIMA.T)  # (n, d, 3)
    inside: np.typing.NDArray[np.bool_] = (along <= reach[:, :, None]).all(axis=1).any(axis=1)
    return inside
