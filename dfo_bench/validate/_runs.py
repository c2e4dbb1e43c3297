"""Runs as users make them, of which only the best loss is kept."""

import tempfile
from functools import cache
from pathlib import Path

from dfo_bench.errors import RunError
from dfo_bench.plugins.component import parse
from dfo_bench.runs.spec import RunSpec
from dfo_bench.store.store import Store
from dfo_bench.sweeps.execute import execute


def count(seeds: int | None, *, full: bool, quick: int, whole: int) -> int:
    """Return how many runs there are in the quick form and in the full one, where no number is given."""
    return seeds or (whole if full else quick)


def best(
    task: str, optimizer: str, projection: str = "identity", *, budget: int, seeds: int, dim: int | None = None
) -> list[float]:
    """Return the best loss of the runs of seeds 0 to seeds - 1; raise RunError where one fails."""
    return [_best(task, optimizer, projection, budget, seed, dim) for seed in range(seeds)]


@cache
def _best(task: str, optimizer: str, projection: str, budget: int, seed: int, dim: int | None) -> float:
    spec = RunSpec(parse(task), parse(optimizer), parse(projection), dim=dim, budget=budget, seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        summary = execute(spec, Store.create(Path(folder) / "store").path)
    if summary.status != "finished":
        raise RunError(f"{optimizer} on {task}, seed {seed}: {summary.error}")
    return float(summary.best_loss)
