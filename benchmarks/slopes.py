"""How rough a task is, and what knowing all slopes would bring: `python benchmarks/slopes.py TASK [SEED ...]`.

After 150 calls of `composite` the slopes of all outputs along all d = 200 variables are measured at its best point,
from differences over .03 of a step: 200 calls. Prints a row of Markdown per seed:

- how far the outputs of random points are from what the slopes foretell, as a share of the change foretold (root mean
  squares over eight points), at distances of .1, .5 and 2 steps, a step being that of `composite`;
- the loss at that point, and the lowest of six steps that minimise the loss on the slopes within radii of .1 to 3;
- the loss of `composite` itself after as many calls again as slopes and steps took.
"""

import sys
from importlib import import_module
from typing import Any

import numpy as np

from dfo_bench.core import Array
from dfo_bench.plugins.component import component
from dfo_bench.runs.assembly import Assembly, assemble
from dfo_bench.runs.spec import RunSpec, streams

trust: Any = import_module("dfo_bench.optimizers._trust")

FIRST, DIM, APART = 150, 200, 0.03
DISTANCES, RADII = (0.1, 0.5, 2.0), (0.1, 0.2, 0.5, 1.0, 2.0, 3.0)


class Measured:
    """A task in its embedding: outputs, without what the loss does not depend on, and losses of points of R^d."""

    def __init__(self, assembly: Assembly) -> None:
        self.task, self.embedding = assembly.task, assembly.embed(0)
        assert self.task.outer is not None
        self.outer, self.space = self.task.outer, self.embedding.search_space
        self.steps = trust.Steps(self.space, assembly.spec.optimizer.params["sigma"])

    def __call__(self, x: Array) -> tuple[Array, Array]:
        """Return losses, shape (n,), and outputs, shape (n, *outer.shape), at x, shape (n, d)."""
        outputs = np.asarray(self.task.outputs(self.embedding.lift(x)), dtype=float)
        return self.outer.loss(outputs), outputs

    def flat(self, z: Array) -> tuple[Array, Array]:
        """Likewise at z, in steps; the outputs are canonical, shape (n, m)."""
        losses, outputs = self(self.steps.point(z))
        return losses, self.outer.canonical(outputs).reshape(len(z), -1)


def search(assembly: Assembly, measured: Measured, calls: int) -> tuple[Array, list[float]]:
    """Return the best of the first points of `composite`, in steps, and the best loss after every call."""
    make: Any = assembly.plugins.optimizer.construct
    optimizer = make(measured.space, budget=calls, rng=streams(assembly.spec.seed)("optimizer"), outer=measured.outer)
    best, curve = np.zeros(DIM), [np.inf]
    while len(curve) <= calls:
        x = optimizer.ask()
        losses, outputs = measured(x)
        optimizer.tell(x, losses, outputs)
        for point, loss in zip(x, losses, strict=True):
            if loss < curve[-1] and len(curve) <= FIRST:
                best = measured.steps.read(point)
            curve.append(min(curve[-1], float(loss)))
    return best, curve


def row(task: str, seed: int) -> str:
    """Measure one task."""
    spec = RunSpec(component(task), component("composite"), component("normal:alpha=8"), DIM, seed=seed)
    assembly = assemble(spec)
    measured, rng = Measured(assembly), np.random.default_rng(0)
    calls = FIRST + DIM + len(RADII)
    centre, curve = search(assembly, measured, calls)
    (loss,), (outputs,) = measured.flat(centre[None])
    parts = [measured.flat(centre + part)[1] for part in np.split(APART * np.eye(DIM), 20)]
    slopes = (np.vstack(parts) - outputs) / APART

    def model(z: Array) -> tuple[float, Array]:
        linear = (outputs + (z - centre) @ slopes).reshape(1, *measured.outer.shape)
        return float(measured.outer.loss(linear)[0]), slopes @ measured.outer.gradient(linear).ravel()

    rough = []
    for distance in DISTANCES:
        away = rng.standard_normal((8, DIM))
        away *= distance / np.linalg.norm(away, axis=1, keepdims=True)
        foretold = away @ slopes
        rough.append(np.linalg.norm(measured.flat(centre + away)[1] - outputs - foretold) / np.linalg.norm(foretold))
    stepped = min(
        float(measured.flat(trust.least_within(model, measured.steps, centre, radius, rng, 300)[0][None])[0][0])
        for radius in RADII
    )
    shares = " | ".join(f"{share:.2f}" for share in rough)
    return f"| {task} | {seed} | {shares} | {loss:.3f} | {min(stepped, loss):.3f} | {curve[calls]:.3f} |"


def main() -> None:
    """Print the table."""
    task, seeds = sys.argv[1], [int(seed) for seed in sys.argv[2:]] or [0]
    distances = " | ".join(f"{distance:g} steps" for distance in DISTANCES)
    print(f"| task | seed | {distances} | after {FIRST} calls | with all slopes | `composite` |")
    print("| --- | --- |" + " ---: |" * (len(DISTANCES) + 3))
    for seed in seeds:
        print(row(task, seed), flush=True)


if __name__ == "__main__":
    main()
