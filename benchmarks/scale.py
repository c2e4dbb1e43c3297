"""A store of 10,000 runs x 8,000 evaluations: what opening it, its status and its report cost.

The runs are made up, about 2.5 GB of them, and written as real ones are. Each figure is of a process of its own, first
as the store was left, then again with the cache that the first left. Run: python benchmarks/scale.py FOLDER [RUNS
[STEP ...]]; it makes FOLDER where it is not there, and leaves it: delete it afterwards.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from _timing import machine

from dfo_bench.core import Cost
from dfo_bench.plugins.component import parse
from dfo_bench.runs.curve import curve
from dfo_bench.runs.journal import Batch, Measurement
from dfo_bench.runs.machine import provenance
from dfo_bench.runs.spec import RunSpec
from dfo_bench.runs.summary import Kept, Summary, Totals
from dfo_bench.store.folder import write_results
from dfo_bench.store.store import Store

BUDGET, POPULATION, DIM, DEV_EVERY = 8_000, 20, 500, 100
TASKS = ("sst2", "yelp", "agnews", "dbpedia", "mrpc", "snli", "rte")
OPTIMIZERS = ("cma", "random", "rembo", "sre", "bo", "turbo", "spsa", "xnes", "openai_es", "one_plus_one")

STEPS = {
    "status": "sys.argv = ['dfo-bench', 'status', '--store', STORE]; main()",
    "runs()": "print(len(Store(STORE).runs()), 'runs')",
    "measures()": "print(len(Store(STORE).measures()), 'measures')",
    "improvements": "print(len(Store(STORE).curves(improvements=True)), 'improvements')",
    "report": "sys.argv = ['dfo-bench', 'report', '--store', STORE]; main()",
    "compact": "sys.argv = ['dfo-bench', 'compact', '--store', STORE]; main()",
    "status, packed": "sys.argv = ['dfo-bench', 'status', '--store', STORE]; main()",
}


def make(path: Path, runs: int) -> None:
    """Write a store of so many finished runs."""
    store, rng, made = Store.create(path), np.random.default_rng(0), provenance()
    for number in range(runs):
        task, rest = TASKS[number % len(TASKS)], number // len(TASKS)
        spec = RunSpec(
            parse(task),
            parse(OPTIMIZERS[rest % len(OPTIMIZERS)]),
            parse("normal"),
            DIM,
            BUDGET,
            rest // len(OPTIMIZERS),
        )
        batches = _batches(rng)
        measurements = [
            Measurement(at, "dev", {"accuracy": rng.random(), "loss": rng.random()}, Cost(32, 1, 1, 1, 1), 0.5)
            for at in range(DEV_EVERY, BUDGET + 1, DEV_EVERY)
        ]
        measurements.append(
            Measurement(BUDGET, "test", {"accuracy": rng.random(), "loss": 1.0}, Cost(800, 1, 1, 1, 1), 9.0)
        )
        table = curve(batches)
        found = Kept(BUDGET - 3, {"embedding": 0, "z": rng.standard_normal(DIM).tolist()})
        summary = Summary(
            key=spec.key(),
            spec=spec,
            shown={kind: str(getattr(spec, kind)) for kind in ("optimizer", "task", "projection")},
            digests=dict.fromkeys(("optimizer", "task", "projection"), "0123456789abcdef"),
            optimum=None,
            metric="accuracy",
            cost=Cost(examples=32, tokens=938, bytes_up_z=3089, bytes_up_prompt=17649, bytes_down=256),
            baseline=False,
            sees="losses",
            status="finished",
            error="",
            best_loss=table["best"][-1].as_py(),
            evaluations=BUDGET,
            incumbent=found,
            selected=found,
            measurements=measurements,
            seconds=Totals.of(batches, measurements),
            peak_memory=10**9,
            provenance=made,
        )
        folder = store.path / spec.key()
        folder.mkdir()
        write_results(folder, table, summary)


def _batches(rng: np.random.Generator) -> list[Batch]:
    """Make up losses that fall like a search's, with a few hundred improvements."""
    at = np.arange(BUDGET)
    losses = (1.5 * np.exp(-at / 2500) + rng.normal(0, 0.01, BUDGET)).tolist()
    text = rng.bytes(8 * BUDGET).hex()
    digests = [text[i : i + 16] for i in range(0, len(text), 16)]
    seconds = rng.random((BUDGET // POPULATION, 4)).tolist()
    return [
        Batch(i, losses[i : i + POPULATION], digests[i : i + POPULATION], seconds[i // POPULATION])
        for i in range(0, BUDGET, POPULATION)
    ]


MEASURED = """
import sys
from dfo_bench.cli import main
from dfo_bench.runs.machine import peak_memory
from dfo_bench.store.store import Store
STORE = sys.argv[1]
try:
    exec(sys.argv[2])
except SystemExit:
    pass
print(f"peak {peak_memory() / 1e9:.2f} GB", file=sys.stderr)
"""


def measure(path: Path, what: str) -> str:
    """Run one step in a process of its own; return its seconds, CPU seconds and peak memory."""
    wall, before = time.perf_counter(), os.times()
    done = subprocess.run([sys.executable, "-c", MEASURED, path, STEPS[what]], capture_output=True, encoding="utf-8")
    wall, after = time.perf_counter() - wall, os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    said = " | ".join([*done.stdout.splitlines()[-1:], *done.stderr.splitlines()[-1:]])
    return f"{wall:.1f} s wall, {cpu:.1f} s CPU: {said}"


if __name__ == "__main__":
    print(machine())
    folder, count = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 10_000
    if not folder.exists():
        begin = time.process_time()
        make(folder, count)
        print(f"made {count} runs in {time.process_time() - begin:.0f} s of CPU")
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    print(f"{size / 1e9:.2f} GB")
    for name in sys.argv[3:] or STEPS:
        for which in ("first", "again"):
            print(f"{name}, {which}: {measure(folder, name)}", flush=True)
