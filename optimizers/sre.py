"""SRE: sequential random embeddings (Qian, Hu & Yu, IJCAI 2016)."""

from typing import Unpack

import numpy as np
from pydantic import PositiveFloat, PositiveInt

from dfo_bench.core import (
    Array,
    Blend,
    Component,
    Dense,
    Embedding,
    EmbeddingGiven,
    EmbeddingOptimizer,
    Kept,
    Points,
    Space,
)

from ._embedded import BOX, shares

_STEP = 0.3
"""The largest first step, in units of half the width of the box. A stage begins at what was found, and larger steps
lose it: on the paper's sphere of 10^4 dimensions 0.6, the most that pycma allows, ends at 0.131, and 0.3 at 0.076."""


class Sre(EmbeddingOptimizer):
    """Stages, each of which searches a new embedding around what the stages before found.

    Stage i minimises f(start + alpha (x_{i-1} - start) + s A_i (box y)) over y in [-1, 1]^d and the withdraw
    variable alpha in [-1, 1], from y = 0 and alpha = 1. The paper's start is 0 and its box 1, as here on tasks with
    bounds; without them the box is 5. The paper's inner optimizer is any; CMA-ES did best.

    stages: how many embeddings are searched one after another.
    inner: the optimizer of a stage, with an equal share of the budget.
    box: half the width of the search box of y, in units of z; null is 1 where the task has bounds, and 5 elsewhere.
    """

    def __init__(
        self,
        space: Space,
        *,
        stages: PositiveInt = 5,
        inner: Component = Component("cma"),
        box: PositiveFloat | None = None,
        **given: Unpack[EmbeddingGiven],
    ) -> None:
        super().__init__(space, **given)
        self._component = inner
        self._box = box or (1.0 if space.bounded else BOX)
        self._shares = shares(self.budget, stages)  # the paper's n / m evaluations a stage
        self._rngs = self.rng.spawn(len(self._shares))
        self._best = np.inf
        self._found: Points = space.start  # x_0
        self._stage = -1
        self._begin()

    def _begin(self) -> None:
        """Go on to the next stage."""
        self._stage += 1
        self._left = self._shares[self._stage]
        self._previous = self._found
        # The first stage has nothing to withdraw from: no alpha.
        first = np.zeros((1, self.dim + (self._stage > 0)))
        first[:, self.dim :] = 1.0
        search = Space(first.shape[1], -1.0, 1.0, Dense(first), min(1.0 / self._box, _STEP))
        self._inner = self.make(self._component, search, self._left, self._rngs[self._stage])
        self._embedding = self.embed(self._stage)

    def ask(self) -> Points:
        """Return the points of the stage; its last may be fewer."""
        if not self._left:
            self._begin()
        self._asked = self._inner.ask()
        return self._lift(self._embedding, self._asked[: self._left], self._previous)

    def _lift(self, embedding: Embedding, asked: Array, previous: Points) -> Points:
        z, alpha = self._box * asked[:, : self.dim], asked[:, self.dim :]
        if not alpha.size:
            return embedding.lift(z)
        # The paper's step of stage i: x = alpha x_{i-1} + A_i y, here relative to the start, and clipped.
        return embedding.lift(z, base=Blend(self.space.start, previous, alpha[:, 0].copy()))

    def tell(self, losses: Array) -> None:
        """Tell the stage's optimizer, and keep the best point of all."""
        self._left -= len(losses)
        best = int(np.argmin(losses))
        if losses[best] < self._best:  # x_i takes the place of x_{i-1} only if it is better
            self._best = losses[best]
            stage, asked, previous = self._stage, self._asked[best : best + 1].copy(), self._previous
            self._found = Kept(self.space.dim, lambda: self._lift(self.embed(stage), asked, previous))
        if len(losses) == len(self._asked):
            self._inner.tell(self._asked, losses)
