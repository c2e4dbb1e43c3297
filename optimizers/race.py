"""Races over blocks of examples: F-Race (Birattari et al., GECCO 2002), as CAPO has it (arXiv 2504.16005)."""

from typing import Annotated, Unpack

import numpy as np
from annotated_types import Ge, Lt
from scipy.stats import t as student

from dfo_bench.core import Array, Component, ExampleGiven, Index, Space

from ._blocks import Racing


class Race(Racing):
    """Candidates of another optimizer are dropped once a paired t-test says that they will not be the best.

    A batch is evaluated on one block of examples after another, in a random order. After each block every candidate is
    compared with the leader, which is the best complete candidate of the run or the one of the batch, whichever has
    the lower mean on the blocks so far. As in both papers the error is that of one test, not of all looks together.

    inner: the optimizer whose batches are raced.
    blocks: into how many blocks the examples fall.
    error: how often a test may drop a candidate that is as good as the leader; CAPO's value.
    """

    def __init__(
        self,
        space: Space,
        *,
        inner: Component = Component("cma"),
        blocks: Annotated[int, Ge(2)] = 8,
        error: Annotated[float, Ge(1e-6), Lt(0.5)] = 0.2,
        **given: Unpack[ExampleGiven],
    ) -> None:
        super().__init__(space, **given)
        self._error = error
        self.deal(inner, blocks, gain=2)

    def keep(self, losses: Array, best: Array | None, batch: int) -> Index:
        """Keep who is not worse than the leader for sure; from the second block on, but for failures."""
        leaders = losses if best is None else np.concatenate([losses, best[None]])
        leader = leaders[leaders.mean(axis=1).argmin()]
        seen = losses.shape[1]
        fine = np.flatnonzero(np.isfinite(losses).all(axis=1))
        if seen == 1 or not len(fine):
            return fine
        worse = losses[fine] - leader
        bound = student.isf(self._error, seen - 1) * worse.std(axis=1, ddof=1) / np.sqrt(seen)
        return fine[worse.mean(axis=1) <= bound]
