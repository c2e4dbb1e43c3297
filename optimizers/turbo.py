"""TuRBO-1: Bayesian optimization in a trust region (Eriksson, Pearce, Gardner, Turner & Poloczek, NeurIPS 2019)."""

from typing import Unpack

import numpy as np
from pydantic import PositiveFloat, PositiveInt
from scipy.stats import qmc

from dfo_bench.core import Array, Given, InputError, Optimizer, Space

from ._embedded import BOX
from ._gp import GaussianProcess, standardized
from ._losses import tamed

# These, and 5,000 candidates, are what SMAC's documentation quotes of the paper's supplement D. It has a tau_fail of at
# least 4 besides, which differs from ours only below d = 4.
_FIRST, _MIN, _MAX = 0.8, 0.5**7, 1.6  # L_init, L_min and L_max
_SUCCESSES = 3  # tau_succ
_CANDIDATES = 2_000
"""The most from which Thompson sampling picks: a joint draw at n costs O(n^3). The paper has 5,000."""


class Turbo(Optimizer):
    """Thompson sampling by a local Gaussian process in a box around the incumbent, which grows and shrinks.

    Written after the paper, without the authors' program. The process holds the `points` nearest to the incumbent, so
    that a batch costs the same from the first hundreds of evaluations to the last thousands: 45 ms of CPU a point at
    d = 100, 80 ms at 500.
    The search is in the unit cube, which is the space's box, or `box` scales to each side of its start.

    batch: how many points are asked at a time, the paper's q.
    points: the most that the process is fitted to.
    box: half the width of the search box where the space has no bounds, in units of its scale; null is 5.
    """

    def __init__(
        self,
        space: Space,
        *,
        batch: PositiveInt = 10,
        points: PositiveInt = 256,
        box: PositiveFloat | None = None,
        **given: Unpack[Given],
    ) -> None:
        super().__init__(space, **given)
        if space.dim > qmc.Sobol.MAXDIM:
            raise InputError(f"the candidates of turbo have at most {qmc.Sobol.MAXDIM} dimensions, not {space.dim}")
        if space.lower is not None and space.upper is not None:
            self._corner: float | Array = space.lower
            self._width = space.upper - space.lower
        else:
            half = (box or BOX) * space.scale
            self._corner, self._width = space.start.dense()[0] - half, 2 * half
        self._batch, self._points = batch, points
        # The paper's start-up is 2 d; a quarter of the budget where that is less.
        self._startup = max(batch, min(2 * space.dim, self.budget // 4))
        self._patience = -(-space.dim // batch)  # tau_fail
        self._begin()
        # A task's start means more than a random point; the paper's boxes have none.
        self._asked[0] = (space.clip(space.start.dense()[0]) - self._corner) / self._width

    def _begin(self) -> None:
        """Forget all and go back to the first trust region."""
        self._u, self._losses = np.empty((0, self.space.dim)), np.empty(0)
        self._length, self._successes, self._failures = _FIRST, 0, 0
        self._asked = qmc.LatinHypercube(self.space.dim, rng=self.rng).random(self._startup)

    def ask(self) -> Array:
        """Return the start and a Latin hypercube, then batches from the trust region."""
        if len(self._losses):
            self._asked = self._thompson()
        return self.space.clip(self._corner + self._width * self._asked)

    def _thompson(self) -> Array:
        """Return, for each of a batch of draws from the posterior, the candidate where it is smallest."""
        dim, centre = self.space.dim, self._u[np.argmin(self._losses)]
        near = np.argsort(((self._u - centre) ** 2).sum(axis=1), kind="stable")[: self._points]
        process = GaussianProcess(self._u[near], standardized(self._losses[near]))
        # Section 2: the sides are L_i = lambda_i L / (prod_j lambda_j)^(1/d)
        sides = self._length * process.lengths / np.exp(np.log(process.lengths).mean())
        lower, upper = np.clip(centre - sides / 2, 0, 1), np.clip(centre + sides / 2, 0, 1)
        count = max(self._batch, min(100 * dim, _CANDIDATES))
        candidates = qmc.Sobol(dim, rng=self.rng).random_base2(count.bit_length())[:count]
        # Supplement D: a candidate differs from the centre in each coordinate with probability min(1, 20 / d)
        moved = self.rng.random((count, dim)) < min(1.0, 20 / dim)
        still = np.flatnonzero(~moved.any(axis=1))
        moved[still, self.rng.integers(dim, size=len(still))] = True
        candidates = np.where(moved, lower + (upper - lower) * candidates, centre)
        values = process.sample(candidates, self._batch, self.rng)
        chosen: list[int] = []
        for draw in values:
            draw[chosen] = np.inf  # no point twice
            chosen.append(int(np.argmin(draw)))
        return candidates[chosen]

    def tell(self, x: Array, losses: Array) -> None:
        """Grow the trust region after successes in a row, shrink it after failures, restart it where it vanishes."""
        losses = tamed(losses)
        if len(self._losses):
            success = losses.min() < self._losses.min()
            self._successes, self._failures = (self._successes + 1, 0) if success else (0, self._failures + 1)
        self._u, self._losses = np.concatenate([self._u, self._asked]), np.concatenate([self._losses, losses])
        # Section 2: double L after tau_succ successes in a row, halve it after tau_fail failures, restart below L_min
        if self._successes == _SUCCESSES:
            self._length, self._successes = min(2 * self._length, _MAX), 0
        elif self._failures == self._patience:
            self._length, self._failures = self._length / 2, 0
        if self._length < _MIN:
            self.events.append(f"the trust region vanished after {len(self._losses)} evaluations; restarted")
            self._begin()
