"""A sweep of equal language-model runs on two nodes of one core each against one, and the driver's share of CPU time.

Run: python benchmarks/cluster.py [RUNS]

The nodes are Ray's own, on this machine, which must have three cores that are idle for the ratio to say anything: the
driver takes part of one. RUNS (8) of 200 evaluations are made on two nodes for the share. It is the CPU time of the
driver's process from planning to the last line, of that and what tasks and optimizers took on the nodes. Planning is
paid once, whatever the number of runs, so that few runs say little of the share of many: it is told apart.
"""

import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled", "RAY_worker_niceness": "0"}

import ray
from _timing import machine
from ray.cluster_utils import Cluster

import dfo_bench
from dfo_bench.runs.header import PlannedRun
from dfo_bench.sweeps.events import Listener

_NODE = {"num_cpus": 1, "object_store_memory": 100 * 2**20}


class _Planned(Listener):
    """Notes the CPU time at which the first run begins."""

    @contextmanager
    def begin(self, runs: Sequence[PlannedRun]) -> Iterator[None]:
        self.cpu = time.process_time()
        yield


def sweep(store: Path, runs: int, budget: int) -> tuple[float, float, float, float]:
    """Return the wall time, this process's CPU time of planning and afterwards, and that of the runs on the nodes."""
    planned = _Planned()
    wall, cpu = time.perf_counter(), time.process_time()
    made = dfo_bench.sweep(
        tasks=["helpdesk:prompt_tokens=10,shots=8"],
        optimizers=["cma"],
        dim=100,
        budget=budget,
        seeds=range(runs),
        references=False,
        store=store,
        cluster="ray",
        listener=planned,
    )
    wall, planning, driving = time.perf_counter() - wall, planned.cpu - cpu, time.process_time() - planned.cpu
    took = made.runs()[["task_cpu_seconds", "optimizer_cpu_seconds", "measuring_seconds"]]
    return wall, planning, driving, float(took.to_numpy().sum())


if __name__ == "__main__":
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    print(machine())
    cluster = Cluster(initialize_head=True, head_node_args={**_NODE, "include_dashboard": False})
    ray.init(cluster.address, log_to_driver=False)
    with tempfile.TemporaryDirectory() as name:
        # The first sweep reads files from the disk and unpacks what travels; the others find it there.
        sweep(Path(name) / "warm", 1, 20)
        one = sweep(Path(name) / "one", 4, 80)[0]
        cluster.add_node(**_NODE)
        two = sweep(Path(name) / "two", 4, 80)[0]
        _, planning, driving, nodes = sweep(Path(name) / "share", runs, 200)
    ray.shutdown()
    cluster.shutdown()
    print(f"one node {one:.1f} s, two nodes {two:.1f} s, ratio {two / one:.2f}")
    share = (planning + driving) / (planning + driving + nodes)
    print(
        f"{runs} runs: driver {planning:.1f} s of CPU to plan, {driving:.1f} s then, nodes {nodes:.1f} s; {share:.3f}"
    )
