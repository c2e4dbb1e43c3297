"""T4: REMBO does not see D: T3 in 10^6 and 10^9 dimensions against 25, and the memory it takes.

Only the rows of A that Branin reads are ever made. Quick: 8 runs of 100 evaluations at each D; full: 50 runs of 500.
Memory is the peak that Python and NumPy allocate in one run of 500 evaluations with random search in the embeddings,
which leaves out what the Gaussian process takes whatever D is.
"""

import tracemalloc
from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from dfo_bench.plugins.component import parse
from dfo_bench.runs.assembly import assemble
from dfo_bench.runs.spec import RunSpec
from dfo_bench.validate import Row, _runs, _tests
from dfo_bench.validate.t3_rembo_branin import regrets

SMALL, LARGE = 25, (10**6, 10**9)
GROWTH = 1.1


def t4_rembo_billion(*, full: bool = False, seeds: Annotated[int, Field(ge=6)] | None = None) -> Iterator[Row]:
    """Run `rembo`; `seeds` takes the place of either form's number of runs, and with fewer than 6 p cannot be low."""
    count, budget = _runs.count(seeds, full=full, quick=8, whole=50), 500 if full else 100
    for dim in LARGE:
        what = f"D = {dim:.0e} against {SMALL}, p"
        yield _tests.same_distribution(what, regrets(SMALL, budget, count), regrets(dim, budget, count))
    _memory(SMALL)  # imports, once
    reference = _memory(SMALL)
    for dim in LARGE:
        what = f"peak memory, D = {dim:.0e} over {SMALL}"
        yield _tests.below(what, GROWTH, _memory(dim) / reference, 1, note=f"{reference / 2**20:.2f} MiB at {SMALL}")


def _memory(dim: int) -> int:
    """Return the largest number of bytes allocated in a run."""
    task, in_boxes = parse(f"branin:dim={dim},start=0"), parse("rembo:inner=(random)")
    spec = RunSpec(task, in_boxes, parse("normal"), dim=2, budget=500)
    tracemalloc.start()
    assembly = assemble(spec)
    optimizer = assembly.optimizer()
    spent = 0
    while spent < spec.budget:
        points = optimizer.ask()
        optimizer.tell(assembly.task.evaluate(points))
        spent += len(points)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak
