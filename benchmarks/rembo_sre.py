"""What `rembo` and `sre` cost by default: CPU seconds of whole runs, the task's own time apart.

`rembo` at 8,000 evaluations and d = 10 on a function of ten variables in 100; `sre` at D = 10^4 and 10^4 evaluations
on a function that reads every coordinate. One round each: a run of `rembo` takes minutes.
Run: python benchmarks/rembo_sre.py
"""

import tempfile
from pathlib import Path

from _timing import machine

from dfo_bench.plugins.component import parse
from dfo_bench.runs.spec import RunSpec
from dfo_bench.store.store import Store
from dfo_bench.sweeps.execute import execute

RUNS = {
    "sre": RunSpec(parse("ackley:dim=10000,tail=true"), parse("sre"), parse("normal"), dim=10, budget=10_000),
    "rembo": RunSpec(parse("ackley:dim=100"), parse("rembo"), parse("normal"), dim=10, budget=8_000),
}

if __name__ == "__main__":
    print(machine(), flush=True)
    for name, spec in RUNS.items():
        with tempfile.TemporaryDirectory() as folder:
            seconds = execute(spec, Store.create(Path(folder) / "store").path).seconds
        own, task = seconds.optimizer_cpu, seconds.task_cpu
        figures = f"{own:.1f} s of its own, the task {task:.1f} s"
        print(f"{name} on {spec.task}, {spec.budget} evaluations: {figures}", flush=True)
