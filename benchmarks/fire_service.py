"""Sweeps through a service under fire: FAULTS random ones, and everything must be as if nothing had happened.

A sweep of four runs (cma and random, two seeds, a tiny model) and of what they are compared with goes through
`dfo-bench serve`, a process of its own, and through a proxy that does what middle boxes do at their worst
(tests/proxies.py). The service is killed and started again with the same book, and the disk of the sweep is full at
times. A sweep that ends is started again until it is done, then the next one begins, with a new store and a new book;
every other one has two workers, whose calls the service may compute together.

Each store must then hold the losses of a sweep that nobody disturbed: to the bit, with two workers to TOLERANCE. The
service must have billed as much as for that one, and no run may ever be called failed.

Run: PYTHONPATH=. python benchmarks/fire_service.py [FAULTS [SEED]]
"""

import multiprocessing
import os
import random
import re
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import psutil

import dfo_bench.sweeps.sweep  # noqa: F401 - before the first process is copied
from dfo_bench.cli import main
from dfo_bench.service.book import Book, Usage
from dfo_bench.store.filenames import JOURNAL
from dfo_bench.store.store import Store
from tests.proxies import BUSY, HARMS, LIMITED, Cut, Exchange, Harm, Message, Proxy
from tests.tiny_lm import build, reviews, write

BUDGET, EVERY, TOLERANCE = 400, 14, 1e-5
"""Evaluations a run; requests from one fault to the next, on average; by how much merged losses may differ."""

KILLS = ("kill before the question", "kill at work", "kill before the answer")
STORMS = {"storm of 429": LIMITED, "storm of 503": BUSY}
FULL = "full disk"
KINDS = [*HARMS, *KILLS, *STORMS, FULL]


def ask(exchange: Exchange) -> None:
    with suppress(OSError):
        exchange.forward()


def command(arguments: list[str], output: Path) -> None:
    """Be `dfo-bench` with these arguments, and write what it says to a file."""
    # Whatever is copied of the proxy's connections would hold them open.
    os.closerange(3, 4096)
    with output.open("a", buffering=1, encoding="utf-8") as file:
        for number in (1, 2):
            os.dup2(file.fileno(), number)
        sys.stdout = sys.stderr = file
        sys.argv = ["dfo-bench", *arguments]
        main()


def start(arguments: list[str], output: Path) -> BaseProcess:
    """Start `dfo-bench` as a process of its own: a copy of this one, as imports are most of what a start costs."""
    process = multiprocessing.get_context("fork").Process(target=command, args=(arguments, output))
    process.start()
    return process


class Service:
    """`dfo-bench serve` as a process, which can be killed and comes up again at the same port with the same book."""

    def __init__(self, book: Path, log: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        self._arguments, self._log = ["serve", "bert", "--port", str(self.port), "--book", str(book)], log
        self._start()

    def _start(self) -> None:
        self._process = start(self._arguments, self._log)
        while self._process.is_alive():
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                break
            time.sleep(0.1)
        self.up = True

    def kill(self) -> None:
        """Kill it, and start it again meanwhile."""
        self.up = False
        self._end()
        threading.Thread(target=self._start).start()

    def _end(self) -> None:
        self._process.kill()
        self._process.join()

    def stop(self) -> None:
        """Kill it for good."""
        while not self.up:
            time.sleep(0.1)
        self._end()


class Fire:
    """Draws what happens to which request, `left` times in all; the kinds come in turns, in random order."""

    def __init__(self, faults: int, seed: int) -> None:
        self.left, self.struck = faults, Counter[str]()
        self._rng, self._lock = random.Random(seed), threading.Lock()
        self._bag: list[str] = []
        self._gap, self._storm, self._length = EVERY, "", 0
        self.service: Service
        self.driver: psutil.Process | None = None
        self.store = Path()

    def harm(self, request: Message) -> Harm | None:
        """Return what is to happen to a request, None for nothing."""
        with self._lock:
            if self._length:
                self._length -= 1
                return STORMS[self._storm]
            self._gap -= self.service.up
            if self._gap > 0 or not self.left:
                return None
            self._bag = self._bag or self._rng.sample(KINDS, len(KINDS))
            kind = self._bag.pop()
            self.struck[kind] += 1
            self.left -= 1
            self._gap = self._rng.randrange(1, 2 * EVERY)
            if kind in STORMS:
                self._storm, self._length = kind, self._rng.randrange(2, 8)
                return STORMS[kind]
            if kind == FULL:
                self._fill()
                return None
            return self._killing(kind) if kind in KILLS else HARMS[kind]

    def _fill(self) -> None:
        """Let no file of the sweep grow further than its longest journal, and a part of a line."""
        sizes = [path.stat().st_size for path in self.store.glob(f"*/{JOURNAL}")]
        room = max(sizes, default=0) + self._rng.randrange(100)
        if self.driver:
            with suppress(psutil.NoSuchProcess):
                for process in [self.driver, *self.driver.children(recursive=True)]:
                    process.rlimit(psutil.RLIMIT_FSIZE, (room, -1))

    def _killing(self, kind: str) -> Harm:
        def strike(exchange: Exchange) -> None:
            if kind == "kill before the answer":
                exchange.forward()
            if kind == "kill at work":
                threading.Thread(target=ask, args=(exchange,)).start()
                time.sleep(self._rng.uniform(0.0, 0.02))
            self.service.kill()
            raise Cut

        return strike


def sweep(url: str, store: Path, workers: int, fire: Fire | None = None) -> tuple[int, str]:
    """Sweep until it is done or ends otherwise; return the exit status, and what it said."""
    words = 'words={"negative": "bad", "positive": "good"}'
    task = f"text:train=train.jsonl,test=test.jsonl,{words},model=bert,shots=3,prompt_tokens=3,service={url}"
    axes = ["-o", "cma:popsize=5", "-o", "random", "-s", "0-1", "-d", "5", "-b", str(BUDGET), "--dev-every", "100"]
    # No file: a full disk is not to silence it.
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "output"
        os.mkfifo(output)
        process = start(["sweep", "-t", task, *axes, "--workers", str(workers), "--store", str(store)], output)
        if fire:
            fire.store, fire.driver = store, psutil.Process(process.pid)
        told = output.read_text(encoding="utf-8")
        process.join()
    return process.exitcode or 0, told


def billed(book: Path) -> Usage:
    opened = Book(book)
    usage = opened.usage("local")
    opened.close()
    return usage


def compare(store: Store, whole: Store, *, exact: bool) -> list[str]:
    """Return what differs in the results of two stores."""
    wrong = []
    for name, columns in (
        ("curves", ["key", "evaluation", "digest", "loss", "best"]),
        ("runs", ["key", "status", "evaluations", "best_loss", "dev_loss", "test_loss", "lost", "discarded"]),
    ):
        ours, theirs = (getattr(one, name)()[columns] for one in (store, whole))
        losses = [column for column in columns if "loss" in column or column == "best"]
        same = ours.drop(columns=losses).equals(theirs.drop(columns=losses))
        if not same:
            wrong.append(f"{name} differ beside the losses")
        elif exact and not ours.equals(theirs):
            wrong.append(f"{name} differ in the losses")
        elif not np.allclose(ours[losses].astype(float), theirs[losses].astype(float), rtol=0, atol=TOLERANCE):
            wrong.append(f"{name} differ in the losses by more than {TOLERANCE}")
    return wrong


def survive(fire: Fire, folder: Path, number: int, whole: Store, bill: Usage) -> tuple[int, list[str]]:
    """Let a sweep go through the fire; return how often it was started, and what is wrong."""
    workers, store, book = 1 + number % 2, folder / f"store{number}", folder / f"book{number}"
    fire.service = Service(book, folder / "service.log")
    proxy = Proxy(fire.service.port, fire.harm, number)
    wrong: list[str] = []
    for started in range(1, 20):
        full = fire.struck[FULL]
        status, told = sweep(proxy.url, store, workers, fire)
        if status == 0:
            break
        notes = [line for line in told.splitlines() if re.search(r"interrupted|failed|cannot be|File too large", line)]
        print(f"sweep {number}, start {started}: exit status {status}: {'; '.join(notes)}", flush=True)
        failed = "failed" in set(Store(store).runs()["status"]) if (store / "dfo-bench.json").exists() else False
        if failed or "Traceback" in told or ("runs failed" in told and fire.struck[FULL] == full):
            wrong.append(f"start {started} says: {told}")
    else:
        wrong.append("it was never done")
    fire.driver = None
    fire.service.stop()
    if (ours := billed(book)) != bill:
        wrong.append(f"billed {ours} where {bill} was due")
    return started, wrong + compare(Store(store), whole, exact=workers == 1)


def burn(folder: Path, faults: int, seed: int) -> int:
    """Return in how many sweeps something was wrong."""
    service = Service(folder / "book", folder / "service.log")
    status, told = sweep(f"http://127.0.0.1:{service.port}", folder / "whole", 1)
    if status:
        raise RuntimeError(told)
    service.stop()
    whole, bill = Store(folder / "whole"), billed(folder / "book")
    print(f"undisturbed: {len(whole.curves())} evaluations, {len(whole.measures())} measurements; billed {bill}")
    fire, starts, bad, number = Fire(faults, seed), 0, 0, 0
    while fire.left:
        more, wrong = survive(fire, folder, number, whole, bill)
        starts, bad, number = starts + more, bad + bool(wrong), number + 1
        for one in wrong:
            print(f"sweep {number - 1} is wrong: {one}")
        print(f"{faults - fire.left} of {faults} faults, {number} sweeps", file=sys.stderr, flush=True)
    for name, count in fire.struck.most_common():
        print(f"{count:4} x {name}")
    log = (folder / "service.log").read_text(encoding="utf-8")
    errors = len(re.findall(r'"status": 500|Traceback', log))
    print(
        f"{faults} faults, {number} sweeps, started {starts} times, {bad} wrong; {errors} errors in the service's log"
    )
    return bad + errors


if __name__ == "__main__":
    faults, seed = (int(text) for text in [*sys.argv[1:], *["100", "0"][len(sys.argv) - 1 :]])
    os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        for split in ("train", "test"):
            write(Path(f"{split}.jsonl"), reviews(6))
        build(Path("bert"))
        sys.exit(1 if burn(Path(name), faults, seed) else 0)
