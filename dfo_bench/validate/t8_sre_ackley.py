"""T8: sequential random embedding on Ackley's function of its paper: D = 10^4, 10^4 evaluations in all, d = 10.

As T7, with Ackley's function on the ten effective coordinates, not rotated. The goal is a mean below 0.15 with the
default settings; ZOOpt comes to 0.317 +- 0.067. Measured before, of 4 runs at least: 0.118 +- 0.034 with CMA-ES inside,
and 0.412 +- 0.124 for one stage, which is no sequence. Quick: 8 runs; full: 50.
"""

from collections.abc import Iterator
from typing import Annotated

import numpy as np
from pydantic import Field
from scipy import stats

from dfo_bench.validate import Row, _runs, _tests

TASK = "ackley:dim=10000,effective=10,rotated=false,shift=0.2,start=0,tail=true"
GOAL = 0.15
RUNS = 4
MEASURED = {"sre": (0.118, 0.034), "sre:stages=1": (0.412, 0.124)}


def t8_sre_ackley(*, full: bool = False, seeds: Annotated[int, Field(ge=2)] | None = None) -> Iterator[Row]:
    """Run `sre` by default and with one stage; `seeds` takes the place of either form's number of runs."""
    count = _runs.count(seeds, full=full, quick=8, whole=50)
    for optimizer, (mean, error) in MEASURED.items():
        found = _runs.best(TASK, optimizer, "normal", budget=10_000, seeds=count, dim=10)
        if optimizer == "sre":
            yield _tests.below("mean loss", GOAL, float(np.mean(found)), count, float(stats.sem(found)))
        yield _tests.same_mean(f"{optimizer}, measured before", mean, error, RUNS, found)
