"""T3: REMBO in the setting of its paper: Branin in D = 25, d = 2, k = 4, 500 evaluations.

The figures are regrets. Measured before with an optimizer of this kind: 4 of 4 runs below 1e-3, mean 2.7e-4.
Quick: 4 runs; full: the paper's 50.
"""

from collections.abc import Iterator
from typing import Annotated

import numpy as np
from pydantic import Field
from scipy import stats

from dfo_bench.validate import Row, _runs, _tests

OPTIMUM = 10 / (8 * np.pi)


def regrets(dim: int, budget: int, seeds: int) -> list[float]:
    """Return the regrets of `rembo` by default, on Branin in `dim` dimensions."""
    losses = _runs.best(f"branin:dim={dim},start=0", "rembo", "normal", budget=budget, seeds=seeds, dim=2)
    return [loss - OPTIMUM for loss in losses]


def t3_rembo_branin(*, full: bool = False, seeds: Annotated[int, Field(ge=2)] | None = None) -> Iterator[Row]:
    """Run `rembo`; `seeds` takes the place of either form's number of runs."""
    count = _runs.count(seeds, full=full, quick=4, whole=50)
    found = regrets(25, 500, count)
    note = f"{sum(regret < 1e-3 for regret in found)} of {count} runs below 1e-3, worst {max(found):.2g}"
    yield _tests.below("median regret", 1e-2, float(np.median(found)), count, note=note)
    yield _tests.below("mean regret", 5e-2, float(np.mean(found)), count, float(stats.sem(found)))
