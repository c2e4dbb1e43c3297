"""The memory of a service over REQUESTS small requests: calls, registrations, questions about its state, wrong ones.

A tiny model is behind it, so that what grows is what the service keeps. Half of the registrations and calls are new
ones, each of its own. Printed is the resident memory after every tenth of them.

Run: PYTHONPATH=. python benchmarks/service_memory.py [REQUESTS [SEED]]
"""

import http.client
import json
import os
import random
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import psutil
from safetensors.numpy import save

from dfo_bench.lm.remote import wire
from tests.services import problem
from tests.tiny_lm import build

DIM = 4
RAW, JSON = {"content-type": wire.RAW}, {"content-type": "application/json"}
Question = tuple[str, str, bytes, dict[str, str]]


def recipe(seed: int) -> bytes:
    written = {"projection": "normal", "dim": DIM, "seed": seed, "number": 0, "factor": 0.1, "shape": [2, 16]}
    return save({"start": np.zeros(32)}, metadata={"recipe": json.dumps(written)})


def registration(text: str) -> bytes:
    return json.dumps(problem("bert", texts=[[text], ["a great film"]])).encode()


def draw(rng: random.Random, number: int, known: str, embedding: str) -> tuple[str, Question]:
    """Return what a question is about, and the question; `known` and `embedding` are registered."""
    kind = rng.choices(("state", "wrong", "problem", "embedding", "call"), (40, 20, 10, 10, 20))[0]
    new = rng.random() < 0.5
    if kind == "state":
        return kind, ("GET", rng.choice(("/healthz", "/readyz", "/v1/usage", "/v1/models")), b"", {})
    if kind == "wrong":
        path = f"/v1/problems/{known}/logits?points=1"
        body = rng.randbytes(8)
        return kind, rng.choice(
            (
                ("POST", path, body, RAW),
                ("POST", "/v1/problems", body, JSON),
                ("POST", "/v1/embeddings", body, RAW),
                ("GET", f"/v1/problems/{number:032x}/scales", b"", {}),
                ("DELETE", f"/{number}", b"", {}),
            )
        )
    if kind == "problem":
        return kind, ("POST", "/v1/problems", registration(f"film {number}" if new else "a film"), JSON)
    if kind == "embedding":
        return kind, ("POST", "/v1/embeddings", recipe(number if new else 0), RAW)
    z = np.full(DIM, number if new else 1, np.float32).tobytes()
    headers = {**RAW, wire.IDEMPOTENCY: wire.name(z)}
    return kind, ("POST", f"/v1/problems/{known}/logits?points=1&embedding={embedding}", z, headers)


def ask(connection: http.client.HTTPConnection, question: Question) -> tuple[int, bytes]:
    method, path, body, headers = question
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    return answer.status, answer.read()


def watch(port: int, pid: int, count: int, seed: int) -> None:
    connection, rng = http.client.HTTPConnection("127.0.0.1", port), random.Random(seed)

    def register(path: str, body: bytes, name: str) -> str:
        status, told = ask(connection, ("POST", path, body, JSON if path.endswith("problems") else RAW))
        assert status == 200, told
        return str(json.loads(told)[name])

    asked: Counter[str] = Counter()
    for number in range(count):
        # Registered anew now and then: the oldest problems are forgotten.
        if number % 500 == 0:
            known = register("/v1/problems", registration("a film"), "problem")
            embedding = register("/v1/embeddings", recipe(0), "embedding")
        kind, question = draw(rng, number, known, embedding)
        status, told = ask(connection, question)
        asked[f"{kind} {status}"] += 1
        if status >= 500:
            raise RuntimeError(f"{question} is answered {status}: {told!r}")
        if (number + 1) % max(1, count // 10) == 0:
            print(f"{number + 1:7} requests: {psutil.Process(pid).memory_info().rss / 1e6:.1f} MB", flush=True)
    print(dict(sorted(asked.items())))


if __name__ == "__main__":
    count, seed = (int(text) for text in [*sys.argv[1:], *["100000", "0"][len(sys.argv) - 1 :]])
    with tempfile.TemporaryDirectory() as name:
        folder = build(Path(name) / "bert")
        command = [sys.executable, "-m", "dfo_bench", "serve", str(folder), "--port", "0", "--book", f"{name}/book"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
        ) as serving:
            assert serving.stdout
            try:
                watch(int(serving.stdout.readline().rpartition(":")[2]), serving.pid, count, seed)
            finally:
                serving.kill()
