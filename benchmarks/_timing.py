"""How every figure here is taken: CPU seconds of one process, variants in turn, several rounds, minimum and median."""

import gc
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path


def in_turn(variants: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Return the CPU seconds of every variant in every round; a first round warms up and is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for round_ in range(rounds + 1):
        for name, run in variants.items():
            # What one variant leaves behind is not to be collected at the cost of the next.
            gc.collect()
            begin = time.process_time()
            run()
            if round_:
                seconds[name].append(time.process_time() - begin)
    return seconds


def summarize(seconds: list[float], unit: float = 1.0) -> str:
    """Return "minimum (median)" in a unit."""
    return f"{min(seconds) * unit:.4g} ({statistics.median(seconds) * unit:.4g})"


def machine() -> str:
    """Name the processor."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(models)} x {models[0]}, Python {platform.python_version()}"
