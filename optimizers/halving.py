"""Successive halving and Hyperband over examples (Jamieson & Talwalkar, AISTATS 2016; Li et al., JMLR 18, 2018)."""

from collections.abc import Sequence
from typing import Annotated, Unpack

import numpy as np
from annotated_types import Ge

from dfo_bench.core import Array, Component, ExampleGiven, Index, Space

from ._blocks import Racing


class Halving(Racing):
    """Every batch of another optimizer is evaluated on few examples; the best part of it on more, and so on to all.

    What the papers spend on more iterations is spent on more examples here. There are eta^rungs blocks of examples; of
    the candidates that have seen eta^r of them, 1 / eta see eta times as many. With one point at a time nothing is
    gained.

    inner: the optimizer whose batches are halved.
    eta: what part goes on, and how many times more examples it sees.
    rungs: how often a batch is cut.
    hyperband: cuts the batches rungs, rungs - 1, ... and 0 times in turns, the first cuts left out, in case so few
        examples tell nothing.
    """

    def __init__(
        self,
        space: Space,
        *,
        inner: Component = Component("cma"),
        eta: Annotated[int, Ge(2)] = 4,
        rungs: Annotated[int, Ge(1)] = 1,
        hyperband: bool = False,
        **given: Unpack[ExampleGiven],
    ) -> None:
        super().__init__(space, **given)
        self._eta = eta
        cuts = [eta**rung for rung in range(rungs)]
        self._brackets = [cuts[first:] for first in range(rungs + 1 if hyperband else 1)]
        blocks = eta**rungs
        spent = np.mean([_blocks(bracket, eta, blocks) for bracket in self._brackets])
        self.deal(inner, blocks, gain=float(blocks / spent))

    def keep(self, losses: Array, best: Array | None, batch: int) -> Index:
        """Keep the best part of a batch after as many blocks as its bracket says, else all."""
        count, seen = losses.shape
        bracket = self._brackets[(batch - 1) % len(self._brackets)]
        kept = -(-count // self._eta) if seen in bracket else count
        return np.sort(np.argsort(losses.mean(axis=1), kind="stable")[:kept])


def _blocks(cuts: Sequence[int], eta: int, blocks: int) -> float:
    """Return how many blocks a candidate sees on average that is cut after so many."""
    ends = [*cuts, blocks]
    return sum((end - begin) / eta**i for i, (begin, end) in enumerate(zip([0, *ends], ends, strict=False)))
