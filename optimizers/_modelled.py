"""A search on a model that is fitted to all that was told: its least within a radius, and explorers beside it."""

from collections.abc import Callable

import numpy as np

from dfo_bench.core import Array, Space

from ._trust import Steps, least_within, moved

Model = Callable[[Array], tuple[float, Array]]
"""model(z): the loss that it foretells at a point, shape (d,), and the gradient there."""

_FIRST, _POINTS = 10, 200
"""How many points come before the first model, or one more than there are dimensions; the most it is fitted to."""

_EXPLORERS = 0.5
"""How far explorers are from the best point, in steps, as in composite."""


class Search:
    """Points around the best one; `x` and `outputs` are those that a model is fitted to, lengths are in steps."""

    def __init__(
        self, space: Space, rng: np.random.Generator, *, sigma: float, batch: int, shape: tuple[int, ...] = ()
    ) -> None:
        """`sigma` is the first step in scales, as CMA-ES has it; `shape` that of the outputs of a point."""
        self._steps, self._rng, self._batch = Steps(space, sigma), rng, batch
        self.x, self.losses, self.outputs = np.empty((0, space.dim)), np.empty(0), np.empty((0, *shape))
        self._radius, self._promised = 1.0, np.nan
        self._begun = self._led = False

    @property
    def centre(self) -> Array:
        """The best point so far."""
        return self.x[0]

    def ask(self, fit: Callable[[], Model]) -> Array:
        """Return points around the start, then the least of the model within the radius, and explorers."""
        dim = self._steps.space.dim
        away = self._rng.standard_normal((self._batch, dim))
        away /= np.linalg.norm(away, axis=1, keepdims=True)
        self._led = len(self.losses) >= min(_FIRST, dim + 1)
        if not self._led:
            away[0] *= self._begun
            self._begun = True
            return self._steps.point(self._radius * away + (self.centre if len(self.losses) else 0.0))
        z = self.centre + _EXPLORERS * away
        model = fit()
        least, value = least_within(model, self._steps, self.centre, self._radius, self._rng)
        if np.isfinite(least).all():
            z[0] = least
        self._promised = model(self.centre)[0] - value
        return self._steps.point(z)

    def tell(self, x: Array, losses: Array, outputs: Array) -> None:
        """Move the radius by how well the model foretold its least point, and keep the best point and those nearest."""
        asked = self._steps.read(x)
        if self._led:
            length, fallen = float(np.linalg.norm(asked[0] - self.centre)), self.losses[0] - losses[0]
            self._radius = moved(self._radius, length, fallen, self._promised)
        known = np.isfinite(losses) & np.isfinite(outputs).all(axis=tuple(range(1, outputs.ndim)))
        if not known.any():
            self._radius /= 2
            return
        self.x = np.concatenate([self.x, asked[known]])
        self.losses = np.concatenate([self.losses, losses[known]])
        self.outputs = np.concatenate([self.outputs, outputs[known]])
        near = np.argsort(((self.x - self.x[np.argmin(self.losses)]) ** 2).sum(axis=1), kind="stable")[:_POINTS]
        self.x, self.losses, self.outputs = self.x[near], self.losses[near], self.outputs[near]
