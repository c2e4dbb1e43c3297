"""T2: the false optimum that clipping makes, and a row of A far out.

Branin's smallest value on the face a = 10 of its domain is 1.5453 above its optimum, exactly: cos 10 is what is left
once b is in the valley. Row 999,999,999 of an embedding must be the same whatever was read before.
"""

from collections.abc import Iterator

import numpy as np
from scipy.optimize import minimize_scalar

from dfo_bench.plugins.component import parse
from dfo_bench.runs.assembly import Assembly, assemble
from dfo_bench.runs.spec import RunSpec
from dfo_bench.validate import Row

REGRET, DIGITS = 1.5453, 5e-5
LAST = 999_999_999


def t2_clipped_face() -> Iterator[Row]:
    """Lift points that lie beyond the face, and read rows in several orders."""
    face = _assemble("branin:dim=2,active=[0,1],start=0", "identity", 2)
    embedding, task = face.embed(0), face.task

    def loss(b: float) -> float:
        return float(task.evaluate(embedding.lift(np.array([[5.0, b]])))[0])  # 5 is clipped to 1, which is a = 10

    ours = float(minimize_scalar(loss, bounds=(-1, 1), method="bounded", options={"xatol": 1e-10}).fun)
    assert task.optimum is not None
    ours -= task.optimum
    difference = abs(ours - REGRET)
    test = "half a unit of the last digit printed"
    yield Row("regret on the face a = 10", REGRET, ours, difference, DIGITS, difference <= DIGITS, test)
    for projection in ("normal", "uniform", "hashing"):
        assembly = _assemble(f"sphere:dim={LAST + 1}", projection, 10)
        alone = assembly.embed(0).rows(np.array([LAST]))
        used = assembly.embed(0)
        orders = (np.array([0, LAST]), np.array([LAST, 7, LAST - 1]), np.arange(LAST - 99, LAST + 1))
        largest = max(float(np.abs(used.rows(order)[order == LAST] - alone).max()) for order in orders)
        what = f"row {LAST:,} of {projection} after others"
        yield Row(what, 0.0, largest, largest, 0.0, largest == 0.0, f"to the bit, in {len(orders)} orders of access")


def _assemble(task: str, projection: str, dim: int) -> Assembly:
    return assemble(RunSpec(parse(task), parse("random"), parse(projection), dim=dim))
