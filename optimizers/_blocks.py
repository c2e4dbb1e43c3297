"""Races over blocks of examples: candidates are evaluated on one block after another, and some dropped before the last.

What a dropped one would lose on the other blocks is foretold: as the best candidate that was evaluated on all, and the
mean by which the dropped one was worse on the blocks that both have seen (a difference estimator: Cochran, Sampling
techniques, 1977, section 7.2).
"""

from abc import abstractmethod

import numpy as np

from dfo_bench.core import Array, Component, ExampleOptimizer, Index

from ._losses import tamed


class Racing(ExampleOptimizer):
    """Evaluates the batches of an inner optimizer block by block, and tells it of all of a batch what is known then."""

    def deal(self, inner: Component, blocks: int, gain: float) -> None:
        """Deal the examples to blocks and begin; the inner optimizer is to plan for `gain` evaluations a call."""
        blocks = min(blocks, self.examples)
        # Examples that stand side by side are alike: they go to different blocks.
        dealt = [self.rng.permutation(blocks) for _ in range(-(-self.examples // blocks))]
        block = np.concatenate(dealt)[: self.examples]
        self._blocks = [np.flatnonzero(block == i) for i in range(blocks)]
        self._shares = np.bincount(block) / self.examples
        self._best: Array | None = None
        self._inner = self.make(inner, self.space, round(gain * self.budget), self.rng.spawn(1)[0])
        # The start comes first and alone: it is complete, so that there is something to compare with.
        self._batch = -1
        self._begin(self.space.start.dense())

    def _begin(self, x: Array) -> None:
        self._batch += 1
        self._x, self._losses = x, np.full((len(x), len(self._blocks)), np.nan)
        self._left: Index = np.arange(len(x))
        self._order, self._turn = self.rng.permutation(len(self._blocks)), 0

    def ask(self) -> tuple[Array, Index]:  # type: ignore[override]
        """Return the candidates that are left, and the next block."""
        return self._x[self._left], self._blocks[self._order[self._turn]]

    def tell(self, x: Array, losses: Array) -> None:
        """Drop some; after the last block tell the inner optimizer of all."""
        self._losses[self._left, self._order[self._turn]] = tamed(losses)
        self._turn += 1
        if self._turn < len(self._blocks):
            seen = self._order[: self._turn]
            best = None if self._best is None else self._best[seen]
            self._left = self._left[self.keep(self._losses[np.ix_(self._left, seen)], best, self._batch)]
            if len(self._left):
                return
        known = self._foretell()
        if self._batch:
            self._inner.tell(self._x, known)
        self._begin(self._inner.ask())

    @abstractmethod
    def keep(self, losses: Array, best: Array | None, batch: int) -> Index:
        """Return which candidates of a batch go on, by their losses on the blocks so far, shape (n, blocks).

        `best` are those of the best complete candidate, where there is one; `batch` counts the inner optimizer's from 1
        on.
        """

    def _foretell(self) -> Array:
        """Return what is known of the losses on all blocks, shape (n,); keep the best that has seen them all."""
        complete = self._losses[self._left]
        for one in complete[np.argsort(complete @ self._shares)[:1]]:
            if one @ self._shares < (np.inf if self._best is None else self._best @ self._shares):
                self._best = one
        best = np.zeros(len(self._blocks)) if self._best is None else self._best
        seen = ~np.isnan(self._losses)
        worse = np.where(seen, self._losses - best, 0.0)
        return tamed(best @ self._shares + (worse @ self._shares) / (seen @ self._shares))
