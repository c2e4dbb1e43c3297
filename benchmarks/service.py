"""A population through the service on loopback against the local call, the bytes of a call, and many clients at once.

The first service is a thread of this process: both use the same model and cores, so their ratio is what HTTP, the lift
and the book cost. The second is a process of its own, on all cores, and CLIENTS ask it at once; against it stands one
process with a model of its own, on all cores and at work without pause. Memory is the most that a process ever held.

Run on an idle machine: python benchmarks/service.py [ROUNDS]
"""

import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import uvicorn
from _timing import machine, summarize

from dfo_bench.core import Array
from dfo_bench.plugins.component import parse
from dfo_bench.runs.assembly import Assembly, assemble
from dfo_bench.runs.spec import RunSpec
from dfo_bench.service.app import make_app
from dfo_bench.service.book import Book
from dfo_bench.service.desk import Desk, find_models
from dfo_bench.service.keys import Anyone
from dfo_bench.service.portion import Portion
from dfo_bench.threads import single_threaded

DIM, POPULATION, CLIENTS = 500, 20, 8
ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 5
TASK = "helpdesk:shots=2,prompt_tokens=50"


def assembly(more: str) -> Assembly:
    return assemble(RunSpec(parse(TASK + more), parse("random"), parse("normal"), dim=DIM))


def serve(folder: str) -> str:
    app = make_app(Desk(find_models([])), Book(Path(folder) / "book"), Anyone())
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
    threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True).start()
    return f"http://127.0.0.1:{listening.getsockname()[1]}"


def compare(folder: str) -> None:
    variants = {"local": assembly(""), "service": assembly(f",service={serve(folder)}")}
    traffic = variants["service"].task.traffic
    assert traffic
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    beside: list[float] = []
    rng = np.random.default_rng(0)
    # Once, as in a run: an embedding keeps its matrix, and so does the service.
    embeddings = {name: one.embed(0) for name, one in variants.items()}
    with timed() as computing:
        for round_ in range(ROUNDS + 1):
            # Never the same twice: the service would answer from its book.
            z = rng.standard_normal((POPULATION, DIM))
            # Each is first every other time: what comes second finds the processor warmer.
            for name in sorted(variants, reverse=round_ % 2 == 0):
                before = traffic.up, traffic.down
                computing.clear()
                begin = time.perf_counter()
                variants[name].task.evaluate(embeddings[name].lift(z))
                took = time.perf_counter() - begin
                if name == "service":
                    up, down = traffic.up - before[0], traffic.down - before[1]
                if round_:
                    seconds[name].append(took)
                    beside += [took - sum(computing)] if name == "service" else []
    local, service = (min(seconds[name]) for name in variants)
    for name, found in seconds.items():
        print(f"{name}: {summarize(found, 1e3)} ms a population of {POPULATION}")
    print(f"ratio {service / local:.3f}; {summarize(beside, 1e3)} ms beside the model")
    print(f"{up / POPULATION:.0f} bytes up and {down / POPULATION:.0f} down an evaluation")


@contextmanager
def timed() -> Iterator[list[float]]:
    """Give a list of the seconds that each call of the service takes in the thread of the model."""
    seconds: list[float] = []
    logits = Portion.logits

    def clocked(portion: Portion) -> Array:
        begin = time.perf_counter()
        found = logits(portion)
        seconds.append(time.perf_counter() - begin)
        return found

    Portion.logits = clocked  # type: ignore[method-assign, assignment]
    yield seconds
    Portion.logits = logits  # type: ignore[method-assign]


@contextmanager
def process(folder: str) -> Iterator[tuple[str, int]]:
    """Serve from a process of its own; give its address and number."""
    command = [sys.executable, "-m", "dfo_bench", "serve", "--port", "0", "--book", f"{folder}/own"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as serving:
        assert serving.stdout
        try:
            yield serving.stdout.readline().split()[-1], serving.pid
        finally:
            serving.terminate()


def held(pid: int | str) -> float:
    """Return the most memory that a process ever held, in MB."""
    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(encoding="utf-8"))
    assert found
    return int(found[1]) / 1e3


def throughput(clients: list[Assembly], size: int, rounds: int, rng: np.random.Generator) -> float:
    """Return the evaluations a second of clients that ask at once, `rounds` populations of a size each."""
    # Never the same twice: the service would answer from its book.
    z = rng.standard_normal((len(clients), rounds, size, DIM))
    embeddings = [one.embed(0) for one in clients]

    def ask(number: int) -> None:
        for some in z[number]:
            clients[number].task.evaluate(embeddings[number].lift(some))

    begin = time.perf_counter()
    with ThreadPoolExecutor(len(clients)) as pool:
        list(pool.map(ask, range(len(clients))))
    return len(clients) * rounds * size / (time.perf_counter() - begin)


def share(folder: str) -> None:
    rng = np.random.default_rng(0)
    with process(folder) as (url, pid):
        clients = [assembly(f",service={url}") for _ in range(CLIENTS)]
        without = held("self")
        alone = [assembly("")]
        for size in (POPULATION, 1):
            found = []
            for variant in (alone, clients):
                throughput(variant, size, 1, rng)
                found.append(throughput(variant, size, ROUNDS * CLIENTS // len(variant), rng))
            one, together = found
            print(
                f"populations of {size}: one process {one:.1f}, {CLIENTS} clients {together:.1f} evaluations a second"
            )
            print(f"  ratio {together / one:.2f}", flush=True)
        print(f"memory: service {held(pid):.0f} MB, clients {without:.0f} MB, with a model {held('self'):.0f} MB")


if __name__ == "__main__":
    print(machine())
    with tempfile.TemporaryDirectory() as folder, single_threaded():
        compare(folder)
    with tempfile.TemporaryDirectory() as folder:
        share(folder)
