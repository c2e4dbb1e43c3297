"""Prox-linear steps on a Jacobian from secants, for any outer function."""

import numpy as np
from scipy.linalg import lstsq, qr

from dfo_bench.core import Array, Outer, Space

from ._trust import Steps, least_within, moved

_EXPLORERS, _NEAREST = 0.5, 1e-4
"""How far explorers are from the best point at most, and at least; lengths are in steps."""

_ALIKE = 1e-2
"""The least singular value of the secants' directions that tells of a slope, to the largest: below it is curvature."""

_SECANTS = 50
"""The most secants that the Jacobian agrees with; never more than there are dimensions."""

_DRAWN = 500
"""The most directions that are drawn at a time, orthogonal to each other: all where there are fewer dimensions."""


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
        self._recent: list[tuple[Array, Array]] = []
        self._expected: float | None = None
        self._failed = False

    def ask(self) -> Array:
        """Return the start and explorers around it, then the best point on the model and explorers around the last.

        Once there are secants along every dimension it is one point: the best on the model, and after one that fell
        short of it one explorer, as Cartis & Roberts (Math. Prog. Comp. 11, 2019) improve the geometry.
        """
        self._expected = None
        best = self._best[None]
        if self._spanned and self._failed:
            self._failed = False
            return self._steps.point(self._unknown())
        if np.isfinite(self._loss):
            best = self._exploit()
        if self._spanned:
            return self._steps.point(best if len(best) else self._unknown())
        count = self._batch - len(best)
        while len(self._basis) < count:
            drawn = qr(self._rng.standard_normal((self._dim, min(self._dim, _DRAWN))), mode="economic")[0]
            self._basis = np.vstack([self._basis, drawn.T])
        directions, self._basis = self._basis[:count], self._basis[count:]
        return self._steps.point(np.vstack([best, self._best + self._distance * directions]))

    @property
    def _spanned(self) -> bool:
        """Whether there are secants enough for every dimension: then a step alone corrects what it follows."""
        return len(self._recent) > self._dim

    def _unknown(self) -> Array:
        """Return a point in the direction that the last secants tell least of, shape (1, d)."""
        steps = np.array([point for point, _ in self._recent]) - self._best
        lengths = np.linalg.norm(steps, axis=1, keepdims=True)
        distance = max(_NEAREST, min(self._distance, self._radius))
        direction = np.linalg.svd(steps / np.maximum(lengths, distance))[2][-1]
        # Either way along it: where points fail on one side, the next is not there
        return self._best[None] + self._rng.choice((-1.0, 1.0)) * distance * direction

    def _exploit(self) -> Array:
        """Return the point that the model calls best, shape (1, d), or none where it promises nothing."""
        unit = abs(self._loss) or 1.0
        outputs = self._outer.canonical(self._outputs[None])

        def model(z: Array) -> tuple[float, Array]:
            linear = outputs + (self._jacobian @ (z - self._best)).reshape(outputs.shape)
            slope = self._outer.gradient(linear).ravel() @ self._jacobian
            return float(self._outer.loss(linear)[0]) / unit, slope / unit

        z, value = least_within(model, self._steps, self._best, self._radius, self._rng, iterations=300)
        promised = self._loss - unit * value
        # With a batch of one there are no explorers but those that take the place of every other step.
        alone = self._batch == 1 and not self._spanned and self._rng.random() < 0.5
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
            self._failed = not fallen > 0.1 * self._expected
            if self._failed and self._spanned:
                # Below the least of other searches: with all secants at hand the model gets better as it shrinks
                self._radius = max(_NEAREST, 0.7 * min(self._radius, 2 * length))
            else:
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
            self._jacobian = np.zeros((outputs[0].size, self._dim))
        first = int(np.argmin(losses))
        if losses[first] < self._loss:
            self._best, self._loss, self._outputs = asked[first], losses[first], outputs[first]
        self._recent = [*self._recent, *zip(asked, outputs, strict=True)][-(min(self._dim, _SECANTS) + 1) :]
        self._correct()

    def _correct(self) -> None:
        """Change the Jacobian by the least that agrees with the secants from the best point to the last ones.

        With one secant it is the update of Broyden (1965), with several that of Gay & Schnabel (1978).
        """
        points, outputs = (np.array(part) for part in zip(*self._recent, strict=True))
        steps = points - self._best
        lengths = np.linalg.norm(steps, axis=1, keepdims=True)
        apart = lengths[:, 0] > 0
        if not apart.any():
            return
        rises = self._outer.canonical(outputs) - self._outer.canonical(self._outputs[None])
        units = (steps / np.where(lengths > 0, lengths, 1.0))[apart]
        slopes = rises.reshape(len(steps), -1)[apart] / lengths[apart]
        self._jacobian += lstsq(units, slopes - units @ self._jacobian.T, cond=_ALIKE)[0].T
