"""Learn the numbers of the optimizer `learned` on test functions, and print them: `python benchmarks/learned.py`.

CMA-ES minimises the mean, over functions and dimensions, of the logarithm of the best loss after 200 evaluations, as a
share of that at the start. Every function is shifted and rotated anew for every episode; the same for all candidates of
a generation.
"""

import sys
from collections.abc import Callable
from typing import Any

import cma
import numpy as np

from dfo_bench.core import Anchor, Array, Space
from dfo_bench.plugins.registry import OPTIMIZERS

BUDGET, GENERATIONS = 200, 60


def ellipsoid(x: Array) -> Array:
    return (x**2) @ 10.0 ** np.linspace(0, 3, x.shape[1])


def rosenbrock(x: Array) -> Array:
    y = x + 1
    return (100 * (y[:, 1:] - y[:, :-1] ** 2) ** 2 + (1 - y[:, :-1]) ** 2).sum(axis=1)


def rastrigin(x: Array) -> Array:
    return (x**2 + 10 - 10 * np.cos(2 * np.pi * x)).sum(axis=1)


FUNCTIONS: list[Callable[[Array], Array]] = [lambda x: (x**2).sum(axis=1), ellipsoid, rosenbrock, rastrigin]
CASES = [(function, dim) for function in FUNCTIONS for dim in (5, 20, 200)]


def score(rules: Array, generation: int) -> float:
    """Return the mean logarithm of what is left of the loss."""
    found = []
    for number, (function, dim) in enumerate(CASES):
        rng = np.random.default_rng([generation, number])
        shift, turn = rng.standard_normal(dim), np.linalg.qr(rng.standard_normal((dim, dim)))[0]
        space = Space(dim, None, None, Anchor.origin(dim), 1.0)
        optimizer: Any = OPTIMIZERS.load("learned")(space, budget=BUDGET, rng=rng)  # type: ignore[call-arg]
        optimizer.rules = tuple(rules)
        first = best = function(-shift[None] @ turn)[0]
        for _ in range(BUDGET // 10):
            x = optimizer.ask()
            losses = function((x - shift) @ turn)
            optimizer.tell(x, losses)
            best = min(best, losses.min())
        found.append(np.log(max(best, 1e-12) / first))
    return float(np.mean(found))


def main() -> None:
    """Learn, and print every ten generations."""
    strategy = cma.CMAEvolutionStrategy(np.zeros(6), 0.5, {"seed": 1, "verbose": -9})
    with np.errstate(all="ignore"):
        for generation in range(GENERATIONS):
            asked = strategy.ask()
            strategy.tell(asked, [score(rules, generation) for rules in asked])
            if generation % 10 == 9:
                print(generation + 1, score(strategy.mean, 10**6), np.round(strategy.mean, 2).tolist(), file=sys.stderr)
    print(tuple(np.round(strategy.mean, 2).tolist()))


if __name__ == "__main__":
    main()
