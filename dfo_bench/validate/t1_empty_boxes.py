"""T1: how often the box of one random embedding holds no optimum of Branin's function.

Wang et al. (REMBO, JAIR 55, 2016) saw it in 13 of 50 runs of d = 2. The shares to three digits were measured before
this program, on N(0, 1) matrices and the box [-sqrt(d), sqrt(d)]^d. Ours are of the projection `normal` and the box of
`rembo`, and exact for each draw: whether a point of the plane is in the image of a box.

**d = 4 is not matched in the full form, and is wrong as printed.** It is 0.0021 (and d = 3 is 0.0323, d = 2 0.2858) by
10^6 draws of NumPy's own generator, too, and a linear program finds no optimum in any of the 137 boxes that the first
60,000 draws call empty. 0.004 and 0.031 are what about 1,000 draws would give; how many were made is not recorded.

Quick: 2e4 draws, too few to see it; full: 2e5.
"""

from collections.abc import Iterator

import numpy as np
from pydantic import PositiveInt

from dfo_bench.plugins.component import parse
from dfo_bench.runs.assembly import assemble
from dfo_bench.runs.spec import RunSpec
from dfo_bench.validate import Row, _boxes, _runs, _tests

PUBLISHED = {2: 0.285, 3: 0.031, 4: 0.004}
SEEN, RUNS = 13, 50


def t1_empty_boxes(*, full: bool = False, draws: PositiveInt | None = None) -> Iterator[Row]:
    """Draw embeddings; `draws` takes the place of either form's number."""
    count = _runs.count(draws, full=full, quick=20_000, whole=200_000)
    for dim, published in PUBLISHED.items():
        share = empty(dim, count)
        yield _tests.same_share(f"empty boxes, d = {dim}", published, share, count, rounding=0.0005)
        if dim == 2:
            yield _tests.share_seen("the same, in the paper", SEEN, RUNS, share, count)


def empty(dim: int, count: int) -> float:
    """Return the share of `count` boxes that hold no optimum."""
    spec = RunSpec(parse("branin:dim=25,active=[0,1]"), parse("rembo"), parse("normal"), dim=dim)
    assembly, active = assemble(spec), np.arange(2)
    rows = np.stack([assembly.embed(i).rows(active) for i in range(count)])
    return 1 - float(_boxes.holds_optimum(rows, half=float(dim)).mean())
