"""Sweeps on a cluster under fire: FAULTS times a process, a node or the driver is killed, as if nothing had happened.

A sweep of four runs (cma, and prox_linear, which is told outputs; two seeds; a task that takes its time) goes to a
cluster of two nodes of one core each, both on this machine, through Ray's client as `dfo-bench sweep --cluster
ray://...`. In turns, at random moments, the process of a run is killed, a node is killed and another one comes, the
driver is killed and started again. A sweep that is done is compared, and the next one begins with a new store.

Each store must hold the curves and measurements of the sweep that nobody disturbed, to the bit, and no run may ever be
called failed. A death may cost the batches in flight, of two runs at most: all that is evaluated again is counted.
A driver that cannot join, as Ray's server is slow to start after a death, is started again.

Run: PYTHONPATH=. python benchmarks/fire_cluster.py [FAULTS [SEED]]
"""

import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled", "RAY_worker_niceness": "0"}

import pandas as pd
import psutil
import ray.cluster_utils

import dfo_bench
from dfo_bench.store.filenames import JOURNAL
from dfo_bench.store.store import Store
from dfo_bench.sweeps.events import Listener
from tests.toys import SOURCE

BUDGET, BATCH, EVERY = 60, 5, 40
"""Evaluations a run, the most in a batch, and from one fault to the next, on average."""

PROCESS, NODE, DRIVER = "process of a run", "node", "driver"
NODE_SIZE: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
TASK, LOG = "toy.py:log={log},pause=0.05", "log"
AXES: dict[str, Any] = {"optimizers": [f"cma:popsize={BATCH}", "prox_linear"], "dim": 8, "budget": BUDGET}


class Nodes:
    """A cluster of two nodes, of which the second can be killed."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = int(free.getsockname()[1])
        head = {**NODE_SIZE, "include_dashboard": False, "ray_client_server_port": port}
        self._cluster = ray.cluster_utils.Cluster(initialize_head=True, head_node_args=head)
        self._second = self._cluster.add_node(**NODE_SIZE)
        self.address = f"ray://127.0.0.1:{port}"

    def kill(self) -> None:
        """Kill the second node, and add another."""
        self._cluster.remove_node(self._second, allow_graceful=False)
        self._second = self._cluster.add_node(**NODE_SIZE)

    def stop(self) -> None:
        """End all."""
        self._cluster.shutdown()


def kill_process(rng: random.Random) -> bool:
    """Kill a process that works off runs; say whether there was one."""
    slots = [one for one in psutil.process_iter(["cmdline"]) if "ray::Slot" in "".join(one.info["cmdline"] or [])[:20]]
    with suppress(psutil.NoSuchProcess, IndexError):
        rng.choice(slots).kill()
        return True
    return False


def written(store: Path) -> int:
    """Return how many lines the journals have, and what the runs had that are done."""
    lines = 0
    for folder in store.glob("*/"):
        with suppress(FileNotFoundError):
            lines += (folder / JOURNAL).read_bytes().count(b"\n")
            continue
        lines += BUDGET if (folder / "summary.json").exists() else 0
    return lines


class Fire:
    """Draws what is killed when, `left` times in all."""

    def __init__(self, faults: int, seed: int, nodes: Nodes) -> None:
        self.left, self.struck, self._nodes = faults, Counter[str](), nodes
        self._rng, self._bag = random.Random(seed), list[str]()
        self._gap = self._rng.randrange(1, 2 * EVERY)

    def strike(self, driver: "subprocess.Popen[bytes]", progressed: int) -> bool:
        """Kill something where it is time to, after some progress; say whether it was."""
        self._gap -= progressed
        if self._gap > 0 or not self.left:
            return False
        self._bag = self._bag or self._rng.sample([PROCESS, NODE, DRIVER], 3)
        kind = self._bag[-1]
        if kind == PROCESS and not kill_process(self._rng):
            return False
        if kind == NODE:
            self._nodes.kill()
        if kind == DRIVER:
            driver.send_signal(signal.SIGKILL)
        self._bag.pop()
        self.struck[kind] += 1
        self.left -= 1
        self._gap = self._rng.randrange(1, 2 * EVERY)
        return True


def sweep(store: Path, log: Path, fire: Fire, address: str) -> tuple[int, str]:
    """Sweep until it ends or is killed; return the exit status, and what it said."""
    axes = [part for name in AXES["optimizers"] for part in ("-o", name)]
    axes += ["-d", str(AXES["dim"]), "-b", str(BUDGET), "-s", "0-1", "--dev-every", "20", "--store", str(store)]
    command = [sys.executable, "-m", "dfo_bench", "sweep", "-t", TASK.format(log=log), *axes, "--cluster", address]
    with tempfile.TemporaryFile() as output:
        driver = subprocess.Popen(command, stdout=output, stderr=output)
        before = written(store)
        while driver.poll() is None:
            time.sleep(0.05)
            now = written(store)
            fire.strike(driver, now - before)
            before = now
        output.seek(0)
        return driver.returncode, output.read().decode()


def repaid(log: Path) -> int:
    """Return how many evaluations were made more than once."""
    asked = [line for line in log.read_text(encoding="utf-8").splitlines() if line.startswith("evaluate")]
    return len(asked) - len(set(asked))


def compare(store: Store, whole: Store) -> list[str]:
    """Return what differs in the results of two stores; the log of a task is in no curve."""
    wrong = []
    frames = {
        "curves": (Store.curves, ["evaluation", "loss", "best", "digest"]),
        "measures": (Store.measures, ["evaluation", "split", "metric", "value"]),
        "runs": (Store.runs, ["optimizer", "seed", "status", "evaluations", "best_loss", "dev_loss", "test_loss"]),
    }
    for name, (read, columns) in frames.items():
        ours, theirs = (_sorted(read(one), one, columns) for one in (store, whole))
        try:
            pd.testing.assert_frame_equal(ours, theirs, check_exact=True)
        except AssertionError as error:
            wrong.append(f"{name} differ: {error}")
    return wrong


def _sorted(frame: pd.DataFrame, store: Store, columns: list[str]) -> pd.DataFrame:
    """Return columns of a frame, and whose run each row is, without keys, which rest on the name of the log."""
    if "seed" not in frame:
        frame = frame.merge(store.runs()[["key", "optimizer", "seed"]], on="key")
    order = list(dict.fromkeys(["optimizer", "seed", *columns]))
    return frame[order].sort_values(order[:4], kind="stable").reset_index(drop=True)


def burn(folder: Path, faults: int, seed: int) -> int:
    """Return in how many sweeps something was wrong."""
    (folder / "toy.py").write_text(SOURCE, encoding="utf-8")
    whole = dfo_bench.sweep(
        **AXES, tasks=[TASK.format(log="whole.log")], seeds=range(2), dev_every=20, store="whole", listener=Listener()
    )
    nodes = Nodes()
    fire, starts, bad, number, again = Fire(faults, seed, nodes), 0, 0, 0, 0
    while fire.left:
        store, log, wrong, struck = folder / f"store{number}", folder / f"log{number}", list[str](), fire.left
        for _ in range(100):
            starts += 1
            killed = fire.struck[DRIVER]
            status, told = sweep(store, log, fire, nodes.address)
            if "cannot be joined" in told:
                continue
            if re.search(r"Traceback|runs? failed|failed:", told):
                wrong.append(f"it says: {told}")
            if status == 0:
                break
            if fire.struck[DRIVER] == killed:
                print(f"sweep {number}: exit status {status}: {told.splitlines()[-1:]}", flush=True)
        else:
            wrong.append("it was never done")
        more, number = repaid(log), number + 1
        again += more
        if more > 2 * BATCH * (struck - fire.left):
            wrong.append(f"{more} evaluations were made again, for {struck - fire.left} deaths")
        wrong += compare(Store(store), whole)
        bad += bool(wrong)
        for one in wrong:
            print(f"sweep {number - 1} is wrong: {one}")
        print(f"{faults - fire.left} of {faults} faults, {number} sweeps", file=sys.stderr, flush=True)
    nodes.stop()
    for name, count in fire.struck.most_common():
        print(f"{count:4} x {name}")
    print(f"{faults} faults, {number} sweeps, started {starts} times, {again} evaluations repaid, {bad} wrong")
    return bad


if __name__ == "__main__":
    faults, seed = (int(text) for text in [*sys.argv[1:], *["50", "0"][len(sys.argv) - 1 :]])
    os.environ |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.getcwd()}
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        sys.exit(1 if burn(Path(name), faults, seed) else 0)
