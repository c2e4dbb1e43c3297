"""Deep prompts layer by layer: the divide and conquer of BBTv2 (Sun et al., EMNLP 2022, arXiv 2205.11200)."""

from typing import Unpack

import numpy as np

from dfo_bench.core import Array, Blocks, Component, EmbeddingGiven, EmbeddingOptimizer, InputError, Kept, Points, Space


class Layerwise(EmbeddingOptimizer):
    """One embedding and one optimizer for every block of the space, searched in turns of a generation each.

    A turn moves one block and leaves the others at their best, which is the start at first. As published, a block's
    best keeps the loss that it was found with: it is never evaluated again after the others moved. On a space of one
    block this is the inner optimizer in one embedding.

    All embeddings keep their rows: 8 bytes times `dim` for every coordinate of the task, 4.9 GB for RoBERTa-large.

    inner: the optimizer of a block, each with an equal share of the budget to plan for.
    """

    def __init__(self, space: Space, *, inner: Component = Component("cma"), **given: Unpack[EmbeddingGiven]) -> None:
        super().__init__(space, **given)
        if self.dim > space.dim // space.blocks:
            raise InputError(
                f"dim {self.dim} is above the {space.dim // space.blocks} coordinates of each of {space.blocks} "
                "blocks; use a smaller one, and no identity projection"
            )
        share, rngs = max(1, self.budget // space.blocks), [self.rng, *self.rng.spawn(space.blocks - 1)]
        self._embeddings = [self.embed(i) for i in range(space.blocks)]
        self._inner = [self.make(inner, e.search_space, share, r) for e, r in zip(self._embeddings, rngs, strict=True)]
        self._best: list[Points] = [space.start] * space.blocks
        self._losses = [np.inf] * space.blocks
        self._turns = 0

    def ask(self) -> Points:
        """Return a generation of the next block, from the lowest layer to the highest and again."""
        self._block = self._turns % self.space.blocks
        self._z = self._inner[self._block].ask()
        if not self._turns and len(self._z) * self.space.blocks > self.budget:
            cycle = f"{self.space.blocks} blocks x {len(self._z)} points"
            self.events.append(f"budget {self.budget} is below one cycle of {cycle}: the last blocks stay at the start")
        self._turns += 1
        self._moving = self._embeddings[self._block].lift(self._z)
        return Blocks([self._moving if i == self._block else p for i, p in enumerate(self._best)], self._block)

    def tell(self, losses: Array) -> None:
        """Tell the block's optimizer, and keep the block's best of all its turns."""
        best = int(np.argmin(losses))
        if losses[best] < self._losses[self._block]:
            found = self._moving[best : best + 1]
            self._losses[self._block], self._best[self._block] = losses[best], Kept(self.space.dim, lambda: found)
        self._inner[self._block].tell(self._z, losses)
