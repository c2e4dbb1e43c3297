"""The wall time of a sweep of equal language-model runs with two workers against one, on an idle machine.

Run: python benchmarks/workers.py
"""

import tempfile
import time
from pathlib import Path

from _timing import machine

import dfo_bench


def sweep(workers: int, folder: str) -> float:
    begin = time.perf_counter()
    dfo_bench.sweep(
        tasks=["helpdesk:prompt_tokens=10,shots=8"],
        optimizers=["random"],
        dim=100,
        budget=40,
        seeds=range(4),
        store=Path(folder) / str(workers),
        workers=workers,
    )
    return time.perf_counter() - begin


if __name__ == "__main__":
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        one, two = sweep(1, folder), sweep(2, folder)
    print(f"one worker {one:.1f} s, two workers {two:.1f} s, ratio {two / one:.2f}")
