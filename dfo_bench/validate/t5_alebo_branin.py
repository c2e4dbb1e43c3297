"""T5: Branin in 100 dimensions, 50 evaluations: the best values of five methods, published with ALEBO.

Source: benchmarks/ of github.com/facebookresearch/alebo (Letham et al., NeurIPS 2020), 50 runs each; the coordinates
are 19 and 64. As there: REMBO with 4 embeddings of d = 2; HeSBO, which is `bo` on `hashing`, with d = 4; CMA-ES from
the middle of the domain with a step of a quarter of its width and pycma's population; TuRBO one point at a time.
Unlike there: the Gaussian processes are ours (8 start-up points instead of 2 for REMBO and 10 for HeSBO; 12 for TuRBO,
the middle of the domain among them, instead of 10).

**Sobol' is not matched, and should not be.** Uniform random points reach 1.421 on average at 50 evaluations (20,000
draws; standard error of 50 runs 0.15). So do ours; so do PyTorch's own sequences today (1.36, 200 seeds). The 5.179
that was published is what uniform points have after 11 evaluations: the sequence used then left holes in this pair of
coordinates. It was PyTorch's of before January 2021, when its direction numbers were replaced (pytorch pull request
49710); that these are the reason is likely, not shown.

Quick: 8 runs of the methods with a model; full: 50. Those without one run 50 times in either form.
"""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from dfo_bench.validate import Row, _published, _runs
from dfo_bench.validate._published import Method

TASK, BUDGET = "branin:dim=100,active=[19,64],start=0", 50
METHODS = {
    "REMBO": Method("rembo:k=4", "normal", 2),
    "HeSBO": Method("bo", "hashing", 4),
    "CMA-ES": Method("cma:sigma=0.5,popsize=17", cheap=True),
    "TuRBO": Method("turbo:batch=1"),
    "Sobol'": Method("sobol", cheap=True),
}
PUBLISHED = {
    "REMBO": (1.433, 0.165),
    "HeSBO": (2.149, 0.716),
    "CMA-ES": (1.643, 0.175),
    "TuRBO": (1.755, 0.329),
    "Sobol'": (5.179, 0.622),
}


def t5_alebo_branin(*, full: bool = False, seeds: Annotated[int, Field(ge=2)] | None = None) -> Iterator[Row]:
    """Run the five methods; `seeds` takes the place of either form's number of runs."""
    yield from _published.rows(TASK, BUDGET, METHODS, PUBLISHED, _runs.count(seeds, full=full, quick=8, whole=50))
