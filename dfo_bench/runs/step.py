"""The step of a search under alpha=auto: found by the first evaluations of its run, before the optimizer begins."""

from collections.abc import Callable
from typing import Unpack

import numpy as np

from dfo_bench.core import Array, EmbeddingGiven, EmbeddingOptimizer, Points, Space

ALPHA, AUTO = "alpha", "auto"
"""The parameter of every projection, and its value where it is found."""

RADII = 2.0 ** np.arange(1, 5)
"""The steps that are tried, as multiples of the task's scale."""

DIRECTIONS = 3
"""Along how many directions each of them is tried."""

LEAST_BUDGET = 2 * (1 + DIRECTIONS * len(RADII))
"""The budget from which on a step is found, of which it takes a half at most; below it alpha=auto is 1."""

WORSE = 0.05
"""By which part of the loss at the start a step may raise it, on average."""

Begin = Callable[[float, int], EmbeddingOptimizer]
"""begin(step, budget): the search."""


class Stepped(EmbeddingOptimizer):
    """Evaluates the start and a few steps along random directions, and then searches with the best of these steps.

    A direction is z of N(0, I), as in the first generation of CMA-ES with sigma = 1. What is evaluated depends on task,
    projection, dimension and seed alone, so all optimizers of a seed have one step; they are not told of it.
    """

    def __init__(self, space: Space, begin: Begin, **given: Unpack[EmbeddingGiven]) -> None:
        """`begin` makes the search once the step is known; `rng` draws the directions."""
        super().__init__(space, **given)
        self._begin = begin
        self._search: EmbeddingOptimizer | None = None

    def ask(self) -> Points:
        """Return the start and the steps, from the shortest to the longest; later what the search asks for."""
        if self._search:
            return self._search.ask()
        directions = self.rng.standard_normal((DIRECTIONS, self.dim))
        steps = (RADII[:, None, None] * directions).reshape(-1, self.dim)
        return self.embed(0).lift(np.concatenate([np.zeros((1, self.dim)), steps]))

    def tell(self, losses: Array, *told: Array) -> None:
        """Choose the step and begin the search; later tell the search."""
        if self._search:
            self._search.tell(losses, *told)
            return
        step = choose_step(losses[0], losses[1:].reshape(len(RADII), DIRECTIONS))
        self.events.append(f"alpha=auto: {step:g}")
        self._search = self._begin(step, self.budget - len(losses))


def choose_step(start: float, losses: Array) -> float:
    """Return the longest step after which the loss is on average no more than a twentieth above that at the start.

    `losses` are those after the steps, shape (len(RADII), DIRECTIONS). An evolution strategy that recombines the better
    half of its population gains most by steps that make the average point worse (Beyer, The theory of evolution
    strategies, 2001, chapter 6). Where every step is worse, or the start has no finite loss, it is the shortest.
    """
    means = losses.mean(axis=1)
    good = np.isfinite(means) & (means <= start + WORSE * abs(start)) & np.isfinite(start)
    return float(RADII[good][-1] if good.any() else RADII[0])
