"""Gradients of a student that imitates the outputs of the black box (Han et al., GDFO, Findings of ACL 2023)."""

from typing import Unpack

import numpy as np
from pydantic import PositiveFloat, PositiveInt

from dfo_bench.core import Array, Space, VectorGiven, VectorOptimizer

from ._adam import Adam
from ._modelled import Model, Search

_HIDDEN, _LR = 64, 0.01
"""The hidden units of the student, and its learning rate: ours."""


class GradientDistillation(VectorOptimizer):
    """A student network is distilled from all outputs told so far, and the search goes down its gradients.

    Distillation is Hinton, Vinyals & Dean's (2015); that a student's gradient can stand for that of a model behind an
    API is the idea of GDFO (arXiv 2305.10013), whose student reads the texts. Ours reads the point, so that it runs on
    any task with outputs, and its loss is the exact outer function of what it foretells, minimised in a trust region.
    It goes on learning from where it was, and sees every point again with each batch.

    sigma: the first step in units of the space's scale, as that of cma; at most 0.3 of the width of a box.
    batch: how many points are asked at a time: the least of the student, and explorers.
    epochs: how many steps the student learns with each batch.
    """

    scalar = "surrogate"

    def __init__(
        self,
        space: Space,
        *,
        sigma: PositiveFloat = 0.5,
        batch: PositiveInt = 5,
        epochs: PositiveInt = 30,
        **given: Unpack[VectorGiven],
    ) -> None:
        super().__init__(space, **given)
        self._search = Search(space, self.rng, sigma=sigma, batch=batch, shape=self.outer.shape)
        self._epochs = epochs
        first, second = (_HIDDEN, space.dim + 1), (int(np.prod(self.outer.shape)), _HIDDEN)
        self._weights = [self.rng.standard_normal(first), np.zeros(second)]
        self._adams = [Adam(first), Adam(second)]

    def ask(self) -> Array:
        """Return the least of the student within the radius, and explorers."""
        return self._search.ask(self._fit)

    def tell(self, x: Array, losses: Array, outputs: Array) -> None:  # type: ignore[override]
        """Move the radius, and keep the points."""
        self._search.tell(x, losses, outputs)

    def _fit(self) -> Model:
        """Let the student learn, and return the loss of what it foretells; its origin is the best point."""
        outputs = self.outer.canonical(self._search.outputs)
        shape, outputs = outputs.shape[1:], outputs.reshape(len(outputs), -1)
        base, unit = outputs[0], float(np.abs(outputs - outputs[0]).max()) or 1.0
        inputs = np.pad(self._search.x, ((0, 0), (0, 1)), constant_values=1.0)
        with np.errstate(all="ignore"):
            for _ in range(self._epochs):
                hidden = np.tanh(inputs @ self._weights[0].T)
                # The student's output is a step from the best point's, which it has exactly.
                error = (hidden - hidden[0]) @ self._weights[1].T - (outputs - base) / unit
                back = error @ self._weights[1]
                back[0] -= back.sum(axis=0)
                gradients = (back * (1 - hidden**2)).T @ inputs, error.T @ (hidden - hidden[0])
                for weights, adam, gradient in zip(self._weights, self._adams, gradients, strict=True):
                    weights -= _LR * adam.step(gradient / len(inputs))
        first, second = self._weights
        origin = np.tanh(first @ inputs[0])

        def model(z: Array) -> tuple[float, Array]:
            hidden = np.tanh(first[:, :-1] @ z + first[:, -1])
            told = (base + unit * second @ (hidden - origin)).reshape(1, *shape)
            slope = unit * second.T @ self.outer.gradient(told).ravel()
            return float(self.outer.loss(told)[0]), (slope * (1 - hidden**2)) @ first[:, :-1]

        return model
