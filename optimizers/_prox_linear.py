"""Prox-linear steps on a Jacobian from secants, for any outer function."""

import numpy as np
from scipy.linalg import qr

from dfo_bench.core import Array, Outer, Space

from ._trust import Steps, least_within, moved

_EXPLORERS, _NEAREST = 0.5, 1e-4
"""How far explorers are from the best point at most, and at least; lengths are in steps."""


class Search:
    """The least of outer(F + J s) within a radius of the best point, and explorers that bring secants of F."""

    def __init__(self, space: Space, outer: Outer, rng: np.random.Generator, *, sigma: float, batch: int) -> None:
        """`sigma` is the first step in scales, as CMA-ES has it; `batch` is how many points are asked at a time."""
        self._outer, self._rng, self._batch = outer, rng, batch
        self._steps, self._dim = Steps(space, sigma), space.dim
        self._radius, self._distance = 1.0, _EXPLORERS
        self._basis = np.empty((0, space.dim))
        self._best, self._loss = np.zeros(space.dim), np.inf
        self._outputs = self._jacobian = np.empty(0)
        self._expected: float | None = None

    def ask(self) -> Array:
        """Return the start and explorers around it, then the best point on the model and explorers around the last."""
        self._expected = None
        best = self._best[None]
        if np.isfinite(self._loss):
            best = self._exploit()
        count = self._batch - len(best)
        while len(self._basis) < count:
            drawn = qr(self._rng.standard_normal((self._dim, self._dim)))[0]
            self._basis = np.vstack([self._basis, drawn])
        directions, self._basis = self._basis[:count], self._basis[count:]
        return self._steps.point(np.vstack([best, self._best + self._distance * directions]))

    def _exploit(self) -> Array:
        """Return the point that the model calls best, shape (1, d), or none where it promises nothing."""
        unit = abs(self._loss) or 1.0
        outputs = self._outer.canonical(self._outputs[None])

        def model(z: Array) -> tuple[float, Array]:
            linear = outputs + (self._jacobian @ (z - self._best)).reshape(outputs.shape)
            slope = self._outer.gradient(linear).ravel() @ self._jacobian
            return float(self._outer.loss(linear)[0]) / unit, slope / unit

        z, value = least_within(model, self._steps, self._best, self._radius, self._rng)
        promised = self._loss - unit * value
        # With a batch of one there are no explorers but those that take the place of every other step.
        alone = self._batch == 1 and self._rng.random() < 0.5
        if alone or not (np.isfinite(z).all() and 0 < promised < np.inf and (z != self._best).any()):
            return np.empty((0, self._dim))
        self._expected = promised
        return z[None]

    def tell(self, x: Array, losses: Array, outputs: Array) -> None:
        """Update the Jacobian by every secant, move the radius, and go on from the best point."""
        asked = self._steps.read(x)
        if self._expected is not None:
            length = float(np.linalg.norm(asked[0] - self._best))
            fallen = self._loss - losses[0]
            self._radius = moved(self._radius, length, fallen, self._expected)
            if fallen > 0.1 * self._expected:
                self._distance = float(np.clip(length, _NEAREST, _EXPLORERS))
        known = np.isfinite(losses) & np.isfinite(outputs).all(axis=tuple(range(1, outputs.ndim)))
        if not known.any():
            self._radius, self._distance = (
                r / 2 if np.isinf(self._loss) else r for r in (self._radius, self._distance)
            )
            return
        asked, losses, outputs = asked[known], losses[known], outputs[known]
        if np.isinf(self._loss):
            self._best, self._loss, self._outputs = asked[0], losses[0], outputs[0]
            self._jacobian = np.zeros((self._outputs.size, self._dim))
        values = self._outer.canonical(np.concatenate([self._outputs[None], outputs])).reshape(len(asked) + 1, -1)
        # Broyden (1965): the least change that agrees with a secant; the best point's comes last.
        order = np.argsort(-losses, kind="stable")
        for z, value in zip(asked[order], values[1:][order], strict=True):
            step = z - self._best
            if step.any():
                self._jacobian += np.outer(value - values[0] - self._jacobian @ step, step / (step @ step))
        first = int(np.argmin(losses))
        if losses[first] < self._loss:
            self._best, self._loss, self._outputs = asked[first], losses[first], outputs[first]
