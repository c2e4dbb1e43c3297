"""What the framework costs per evaluation: `random` on `sphere`, journal on, against a bare NumPy loop.

The bare loop draws, evaluates and writes one JSON line an evaluation. Both include whatever they do only once,
spread over 20,000 evaluations. Run: python benchmarks/overhead.py
"""

import json
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from _timing import in_turn, machine, summarize

from dfo_bench.plugins.component import parse
from dfo_bench.runs.spec import RunSpec
from dfo_bench.store.store import Store
from dfo_bench.sweeps.execute import execute

EVALUATIONS = 20_000


def framework(dim: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Store.create(Path(folder) / "store")
        task = parse(f"sphere:dim={dim}")
        execute(RunSpec(task, parse("random"), parse("identity"), budget=EVALUATIONS), store.path)


def bare(dim: int) -> None:
    rng, shift = np.random.default_rng(0), np.full(10, 0.3)
    best = np.inf
    with tempfile.TemporaryFile("w", encoding="utf-8") as file:
        for i in range(EVALUATIONS):
            x = rng.uniform(-1, 1, dim)
            loss = float(((x[:10] - shift) ** 2).sum())
            best = min(best, loss)
            file.write(json.dumps({"evaluation": i, "loss": loss, "best": best}) + "\n")


if __name__ == "__main__":
    print(machine())
    for dim in (10, 500):
        seconds = in_turn({"framework": partial(framework, dim), "bare loop": partial(bare, dim)}, rounds=5)
        for name, taken in seconds.items():
            print(f"d = {dim}: {name}: {summarize(taken, 1e6 / EVALUATIONS)} us of CPU an evaluation, min (median)")
