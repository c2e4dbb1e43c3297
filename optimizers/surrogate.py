"""A neural surrogate of the loss on random features (Rahimi & Recht, Random kitchen sinks, NIPS 2008)."""

from typing import Unpack

import numpy as np
from pydantic import PositiveFloat, PositiveInt
from scipy.linalg import eigh

from dfo_bench.core import Array, Given, Optimizer, Space

from ._losses import tamed
from ._modelled import Model, Search

_SCALES, _RIDGES = (0.3, 1.0, 3.0), 10.0 ** np.arange(-6, -3)
"""The scales of the hidden weights, and the penalties, from which the error on a point left out chooses.

Losses have hardly any noise. A larger penalty would be chosen where every point lies in a direction of its own, as in
many dimensions, and would take the slopes along them away: on a sphere of 200 variables 67 is left of 67, not 40.
"""

_CLIP = 5.0
"""How many times the fall from the middle loss to the best one a loss may lie above the best: walls tell nothing."""


class Surrogate(Optimizer):
    """A network of one hidden layer, fitted to all losses with each batch and minimised in a trust region.

    Surrogate management (Booker et al., Structural Optimization 17, 1999) with a network in the place of kriging, as in
    DNGO (Snoek et al., ICML 2015). The hidden layer is drawn and stays, the output layer is ridge regression: no
    training that might fail, and the same numbers everywhere. Beside the hidden units it has the coordinates
    themselves. It is composite_loss with another model.

    sigma: the first step in units of the space's scale, as that of cma; at most 0.3 of the width of a box.
    batch: how many points are asked at a time: the least of the network, and explorers.
    hidden: how many hidden units there are.
    """

    def __init__(
        self,
        space: Space,
        *,
        sigma: PositiveFloat = 0.5,
        batch: PositiveInt = 5,
        hidden: PositiveInt = 200,
        **given: Unpack[Given],
    ) -> None:
        super().__init__(space, **given)
        self._search = Search(space, self.rng, sigma=sigma, batch=batch)
        self._weights, self._biases = self.rng.standard_normal((hidden, space.dim)), self.rng.standard_normal(hidden)

    def ask(self) -> Array:
        """Return the least of the network within the radius, and explorers."""
        return self._search.ask(self._fit)

    def tell(self, x: Array, losses: Array) -> None:
        """Move the radius, and keep the points."""
        tame = tamed(losses)
        self._search.tell(x, tame, tame)

    def _features(self, scale: float, away: Array) -> Array:
        hidden = np.tanh(scale * away @ self._weights.T + self._biases) / len(self._biases) ** 0.5
        return np.concatenate([away, hidden], axis=1)

    def _fit(self) -> Model:
        centre, losses = self._search.centre, self._search.losses
        best, middle = losses.min(), float(np.median(losses))
        unit = middle - best or 1.0
        y = np.minimum((losses - best) / unit, _CLIP)
        mean, least = y.mean(), np.inf
        scale, weights = 1.0, np.zeros(len(centre) + len(self._biases))
        for tried in _SCALES:
            features = self._features(tried, self._search.x - centre)
            values, basis = eigh(features @ features.T)
            turned = basis.T @ (y - mean)
            for ridge in _RIDGES:
                inverse = 1 / (np.maximum(values, 0) + ridge)
                dual = basis @ (inverse * turned)
                # The error on a point left out, in closed form: alpha_i / (K + ridge)^-1_ii.
                error = float(np.mean((dual / ((basis**2) @ inverse)) ** 2))
                if error < least:
                    least, scale, weights = error, tried, features.T @ dual

        def model(z: Array) -> tuple[float, Array]:
            features = self._features(scale, (z - centre)[None])[0]
            linear, inner = np.split(weights, [len(z)])
            slopes = inner * (1 / len(inner) - features[len(z) :] ** 2) * len(inner) ** 0.5
            return float(mean + features @ weights), linear + scale * slopes @ self._weights

        return model
