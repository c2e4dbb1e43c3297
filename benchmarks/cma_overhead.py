"""What `cma` costs against bare pycma: d = 500, population 20, without the task's own time.

Run: python benchmarks/cma_overhead.py
"""

import cma
import numpy as np
from _timing import in_turn, machine, summarize

from dfo_bench.core import Anchor, Optimizer, Space
from dfo_bench.plugins.component import parse
from dfo_bench.plugins.plugin import resolve
from dfo_bench.plugins.registry import OPTIMIZERS
from dfo_bench.threads import single_threaded

DIM, POPULATION, EVALUATIONS = 500, 20, 2_000


def ours() -> None:
    space = Space(DIM, None, None, Anchor.origin(DIM), 1.0)
    plugin = resolve(OPTIMIZERS, parse("cma"))
    optimizer = plugin.construct(space, budget=EVALUATIONS, rng=np.random.default_rng(0))
    assert isinstance(optimizer, Optimizer)
    for _ in range(EVALUATIONS // POPULATION):
        x = optimizer.ask()
        optimizer.tell(x, (x**2).sum(axis=1))


def bare() -> None:
    strategy = cma.CMAEvolutionStrategy(np.zeros(DIM), 1.0, {"popsize": POPULATION, "seed": 1, "verbose": -9})
    for _ in range(EVALUATIONS // POPULATION):
        x = strategy.ask()
        strategy.tell(x, [float(loss) for loss in (np.array(x) ** 2).sum(axis=1)])
        strategy.stop()


if __name__ == "__main__":
    print(machine())
    with single_threaded():
        seconds = in_turn({"cma": ours, "bare pycma": bare}, rounds=5)
    for name, taken in seconds.items():
        print(f"{name}: {summarize(taken, 1e3 / EVALUATIONS)} ms of CPU an evaluation, min (median)")
    print(f"ratio of the minima: {min(seconds['cma']) / min(seconds['bare pycma']):.2f}")
