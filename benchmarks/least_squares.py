"""How many evaluations least squares take: ours, and DFO-LS (Cartis, Fiala, Marteau & Roberts, ACM TOMS 45, 2019).

Problems are the functions of the task least_squares at 4, 8 and 12 variables, and those of Moré & Wild (SIAM J. Optim.
20, 2009) as optimagic has them, on which DFO-LS was published. A problem is solved to tau once
f - f* <= tau (f0 - f*), as in their data profiles. Every method has its defaults; DFO-LS draws nothing, ours run over
three seeds. On Moré & Wild's, which say nothing of a scale, that is DFO-LS's first radius, 0.1 max(|x0|, 1).

DFO-LS is under the GPL and no part of this project; without it only shares are printed. Run, d being a folder:
pip install --target d DFO-LS; PYTHONPATH=d python benchmarks/least_squares.py [optimizer ...]
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple, get_args

import numpy as np
from optimagic.benchmarking.get_benchmark_problems import get_benchmark_problems

from dfo_bench.core import Array, Dense, Points, Space, Squares, VectorOptimizer
from dfo_bench.plugins.registry import OPTIMIZERS
from dfo_bench.runs.spec import streams

family = import_module("dfo_bench.tasks.least_squares")

TAUS, SEEDS = (1e-1, 1e-3, 1e-5), 3

BUDGET = 20
"""In simplex gradients, n + 1 evaluations each."""

PROFILE = (2, 5, 10, BUDGET)
"""Where the data profile is read, in simplex gradients."""


class Problem(NamedTuple):
    """Residuals of points, their space, and the least sum of squares."""

    residuals: Callable[[Points], Array]
    space: Space
    least: float


def of_the_task() -> Iterator[Problem]:
    for function in get_args(family.Function):
        for n in (4, 8, 12):
            task = family.LeastSquares(rngs=streams(0), function=function, dim=n, effective=n)
            yield Problem(task.outputs, task.space, 0.0)


def of_more_and_wild() -> Iterator[Problem]:
    problems = get_benchmark_problems(  # type: ignore[no-untyped-call]
        "more_wild", exclude="brown_almost_linear_medium"
    )
    for problem in problems.values():
        start, residuals = np.asarray(problem["inputs"]["params"], dtype=float), problem["noise_free_fun"]
        space = Space(len(start), None, None, Dense(start[None]), 0.1 * max(float(np.abs(start).max()), 1.0))
        yield Problem(partial(at_each, residuals), space, problem["solution"]["value"])


def at_each(residuals: Callable[[Array], Array], points: Points) -> Array:
    return np.array([residuals(x) for x in points.dense()])


class SolvedError(Exception):
    """The last tau is reached."""


class Count:
    """The residuals of a problem, which count the evaluations until each tau is reached."""

    def __init__(self, problem: Problem) -> None:
        self.problem, self.first, self.evaluations = problem, np.nan, 0
        self.reached = dict.fromkeys(TAUS, np.inf)

    def __call__(self, x: Array) -> Array:
        """Return the residuals at one point, shape (m,)."""
        with np.errstate(all="ignore"):
            residuals = self.problem.residuals(Dense(x[None]))[0]
            loss = float(residuals @ residuals)
        self.evaluations += 1
        self.first = loss if self.evaluations == 1 else self.first
        least = self.problem.least
        for tau in TAUS:
            if loss - least <= tau * (self.first - least):
                self.reached[tau] = min(self.reached[tau], self.evaluations)
        if self.reached[TAUS[-1]] < np.inf:
            raise SolvedError
        return residuals


def ours(name: str, problem: Problem, seed: int) -> Count:
    count, space = Count(problem), problem.space
    outer = Squares(problem.residuals(space.start).shape[1])
    method: Any = OPTIMIZERS.load(name)
    given = {"outer": outer} if issubclass(method, VectorOptimizer) else {}
    budget = BUDGET * (space.dim + 1)
    optimizer = method(space, budget=budget, rng=np.random.default_rng(seed), **given)
    with suppress(SolvedError):
        while count.evaluations < budget:
            x = optimizer.ask()
            outputs = np.array([count(row) for row in x])
            with np.errstate(all="ignore"):
                losses = outer.loss(outputs)
            optimizer.tell(x, np.where(np.isfinite(losses), losses, np.inf), *([outputs] if given else []))
    return count


def dfo_ls(problem: Problem, _: int) -> Count:
    import dfols

    count, space = Count(problem), problem.space
    bounds = None
    if space.lower is not None and space.upper is not None:
        bounds = np.full(space.dim, space.lower), np.full(space.dim, space.upper)
    with suppress(SolvedError):
        dfols.solve(count, space.start.dense()[0], bounds=bounds, maxfun=BUDGET * (space.dim + 1), do_logging=False)
    return count


def told(taken: Array, simplex: Array, theirs: Array | None) -> str:
    """Return shares solved, and the geometric mean of evaluations by those of DFO-LS where both solve a problem."""
    shares = ", ".join(f"{(taken <= k * simplex).mean():.2f}" for k in PROFILE)
    if theirs is None:
        return shares
    both = np.isfinite(taken) & np.isfinite(theirs)
    return f"{shares}; {np.exp(np.log(taken[both] / theirs[both]).mean()):.2f} on {both.mean():.2f}"


def main(names: list[str]) -> None:
    methods: dict[str, Callable[[Problem, int], Count]] = {name: partial(ours, name) for name in names}
    if find_spec("dfols"):
        methods = {"dfo_ls": dfo_ls, **methods}
    else:
        print("no DFO-LS here: install it to have the ratios", file=sys.stderr)
    print(f"shares solved within {PROFILE} simplex gradients; evaluations by DFO-LS's on the share solved by both")
    for title, problems in (("least_squares", [*of_the_task()]), ("more_wild", [*of_more_and_wild()])):
        simplex = np.repeat([problem.space.dim + 1 for problem in problems], SEEDS)
        reached = {}
        for name, run in methods.items():
            counts = [run(problem, seed) for problem in problems for seed in range(SEEDS)]
            reached[name] = np.array([[count.reached[tau] for tau in TAUS] for count in counts]).T
        for i, tau in enumerate(TAUS):
            for name, taken in reached.items():
                theirs = reached["dfo_ls"][i] if "dfo_ls" in reached else None
                print(
                    f"{title} ({len(problems)}), tau {tau:g}: {name:12} {told(taken[i], simplex, theirs)}", flush=True
                )


if __name__ == "__main__":
    main(sys.argv[1:] or ["prox_linear", "composite", "secant"])
