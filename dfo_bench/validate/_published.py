"""Mean best values of 50 runs, published with the program of ALEBO (Letham et al., NeurIPS 2020)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dfo_bench.plugins.component import parse
from dfo_bench.validate import Row, _runs, _tests

RUNS = 50


@dataclass(frozen=True)
class Method:
    """A method as published, and as we run it; `cheap` ones have no model and run 50 times in either form."""

    optimizer: str
    projection: str = "identity"
    dim: int | None = None
    cheap: bool = False


def rows(
    task: str, budget: int, methods: Mapping[str, Method], published: Mapping[str, tuple[float, float]], seeds: int
) -> Iterator[Row]:
    """Compare mean best values; `published` has means and their standard errors."""
    name, dim = task.partition(":")[0], parse(task).params["dim"]
    for what, (mean, error) in published.items():
        method = methods[what]
        count = RUNS if method.cheap else seeds
        ours = _runs.best(task, method.optimizer, method.projection, budget=budget, seeds=count, dim=method.dim)
        yield _tests.same_mean(f"{what}, {name}, D = {dim}", mean, error, RUNS, ours, f"`{method.optimizer}`")
