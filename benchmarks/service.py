"""A population through the service on loopback against the local call, and the bytes of a call.

The service is a thread of this process: both use the same model and cores, so their ratio is what HTTP, the lift and
the book cost. Run: OMP_NUM_THREADS=1 python benchmarks/service.py [ROUNDS]
"""

import socket
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import uvicorn
from _timing import machine, summarize

from dfo_bench.plugins.component import parse
from dfo_bench.runs.assembly import Assembly, assemble
from dfo_bench.runs.spec import RunSpec
from dfo_bench.service.app import make_app
from dfo_bench.service.book import Book
from dfo_bench.service.desk import Desk
from dfo_bench.service.keys import Anyone
from dfo_bench.threads import single_threaded

DIM, POPULATION = 500, 20
TASK = "helpdesk:shots=2,prompt_tokens=50"


def assembly(more: str) -> Assembly:
    return assemble(RunSpec(parse(TASK + more), parse("random"), parse("normal"), dim=DIM))


def serve(folder: str) -> str:
    app = make_app(Desk([]), Book(Path(folder) / "book"), Anyone())
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
    threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True).start()
    return f"http://127.0.0.1:{listening.getsockname()[1]}"


def compare(rounds: int, folder: str) -> None:
    variants = {"local": assembly(""), "service": assembly(f",service={serve(folder)}")}
    traffic = variants["service"].task.traffic
    assert traffic
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    rng = np.random.default_rng(0)
    for round_ in range(rounds + 1):
        # Never the same twice: the service would answer from its book.
        z = rng.standard_normal((POPULATION, DIM))
        for name, one in variants.items():
            before = traffic.up, traffic.down
            begin = time.perf_counter()
            one.task.evaluate(one.embed(0).lift(z))
            if round_:
                seconds[name].append(time.perf_counter() - begin)
    up, down = traffic.up - before[0], traffic.down - before[1]
    local, service = (min(seconds[name]) for name in variants)
    for name, found in seconds.items():
        print(f"{name}: {summarize(found, 1e3)} ms a population of {POPULATION}")
    print(f"ratio {service / local:.3f}, {1e3 * (service - local):.1f} ms beside the model")
    print(f"{up / POPULATION:.0f} bytes up and {down / POPULATION:.0f} down an evaluation")


if __name__ == "__main__":
    print(machine())
    with tempfile.TemporaryDirectory() as folder, single_threaded():
        compare(int(sys.argv[1]) if len(sys.argv) > 1 else 5, folder)
