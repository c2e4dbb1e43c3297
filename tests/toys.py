"""Small real plugins for tests of the framework, declared like anybody's through entry points."""

import sys
from pathlib import Path
from typing import Any

import pytest

from dfo_bench.core import Component, Cost
from dfo_bench.plugins.component import parse
from dfo_bench.runs.header import Header
from dfo_bench.runs.spec import RunSpec
from dfo_bench.sweeps.execute import execute

SOURCE = '''
import os, time
from pathlib import Path
import numpy as np
from dfo_bench.core import Anchor, Array, Cost, InputError, Points, Rngs, Space, Squares, Task, Unavailable


class Toy(Task):
    """A shifted sphere with dev, test, gradients and outputs; fails, counts its calls, or is slow when told to.

    While there is a file `down`, what stands in it is unavailable, or refused, from the second batch on.
    """

    patience_s = 0.0
    metric, splits = "closeness", ("dev", "test")

    def __init__(
        self, *, rngs: Rngs, dim: int = 12, blocks: int = 1, fail: str = "", log: str = "", pause: float = 0.0,
        down: str = "", steps: bool = False,
    ) -> None:
        self.space = Space(dim, None, None, Anchor.origin(dim), 1.0, blocks)
        self.shift = rngs("shift").uniform(-1, 1, dim)
        self.outer = Squares(dim)
        if fail == "seed" and self.shift[0] > 0:
            raise InputError("what this seed drew does not fit; pass a smaller dim")
        self.cost = Cost(examples=2, tokens=30, bytes_up_z=100, bytes_up_prompt=500, bytes_down=8)
        self.fail, self.log, self.pause, self.calls = fail, log, pause, 0
        self.down = Path(down) if down else None
        self.finds_step = steps

    def evaluate(self, points: Points) -> Array:
        self.calls += 1
        if self.calls > 1 and self.out("refuse"):
            raise OSError("connection refused")
        if self.calls > 1 and self.out("evaluate"):
            raise Unavailable("no evaluate")
        if self.log:
            with open(self.log, "a") as file:
                file.write("".join(f"evaluate {digest}\\n" for digest in points.digests()))
        time.sleep(self.pause)
        losses = ((points.dense() - self.shift) ** 2).sum(axis=1)
        if self.fail == "always" or (self.fail == "second" and self.calls == 2):
            raise RuntimeError("the service said no")
        if self.fail == "nan":
            losses[::3] = np.nan
        if self.fail == "alone" and len(losses) == 1:
            losses[0] = np.nan
        if self.fail == "minus-inf":
            losses[0] = -np.inf
        if self.fail == "shape":
            losses = losses[:-1]
        if self.fail == "die":
            os._exit(9)
        return losses

    def out(self, what: str) -> bool:
        return self.down is not None and self.down.exists() and self.down.read_text() == what

    def outputs(self, points: Points) -> Array:
        losses, outputs = self.evaluate(points), points.dense() - self.shift
        if self.fail == "output":
            outputs[(1e6 * losses).astype(int) % 3 == 0, 0] = 1e39
        return outputs[:, :-1] if self.fail == "narrow" else outputs

    def gradients(self, points: Points) -> tuple[Array, Array]:
        losses, gradients = self.evaluate(points), 2 * (points.dense() - self.shift)
        if self.fail == "gradient":
            # Of every third point, as good as drawn at random.
            gradients[(1e6 * losses).astype(int) % 3 == 0, 0] = 1e39
        return losses, gradients[:, :-1] if self.fail == "narrow" else gradients

    def measure(self, point: Points, split: str) -> tuple[dict[str, float], Cost]:
        if self.out(split):
            raise Unavailable(f"no {split}")
        if self.log:
            with open(self.log, "a") as file:
                file.write(f"{split} {point.digests()[0]}\\n")
        loss = float(((point.dense()[0] - self.shift - (0.3 if split == "dev" else 0.4)) ** 2).sum())
        return {"loss": loss, "closeness": 1 / (1 + loss)}, Cost(examples=10)
'''

OPTIMIZER = '''"""Random search that misbehaves."""

import numpy as np
from dfo_bench.core import Array, Optimizer, Space


class Odd(Optimizer):
    """Random search that misbehaves when told to."""

    def __init__(self, space: Space, *, budget: int, rng: np.random.Generator, fail: str = "", batch: int = 5) -> None:
        super().__init__(space, budget=budget, rng=rng)
        if fail == "constructor":
            raise ValueError("no such luck")
        self.fail, self.batch, self.asked = fail, batch, 0

    def ask(self) -> Array:
        self.asked += 1
        if self.fail == "third" and self.asked == 3:
            raise RuntimeError("lost my way")
        if self.fail == "global":
            return np.random.standard_normal((self.batch, self.space.dim))
        x = self.rng.standard_normal((self.batch, self.space.dim))
        if self.fail == "shape":
            return x[:, :-1]
        if self.fail == "nan":
            x[0, 0] = np.nan
        if self.fail == "empty":
            return x[:0]
        return x

    def tell(self, x: Array, losses: Array) -> None:
        if self.fail == "writes":
            x[:] = 0.0
'''


def declare(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the task `toy` and the optimizer `odd` known, in child processes too."""
    for name, source in {"toy": SOURCE, "odd": OPTIMIZER}.items():
        (folder / f"{name}_plugin.py").write_text(source)
        monkeypatch.delitem(sys.modules, f"{name}_plugin", raising=False)
    info = folder / "toys-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toys\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[dfo_bench.tasks]\ntoy = toy_plugin\n\n[dfo_bench.optimizers]\nodd = odd_plugin\n"
    )
    monkeypatch.syspath_prepend(folder)
    root = Path(__file__).resolve().parents[1]
    monkeypatch.setenv("PYTHONPATH", f"{folder}:{root}")


def planned(
    task: str, optimizer: str, projection: str = "normal", *, dim: int | None = None, budget: int, seed: int = 0
) -> RunSpec:
    """Return the spec of a run."""
    return RunSpec(parse(task), parse(optimizer), parse(projection), dim=dim, budget=budget, seed=seed)


def interrupt(spec: RunSpec, store: Path, after: int) -> None:
    """Leave a run unfinished, as Ctrl-C does, when it has spent so many evaluations."""

    def stop(spent: float, best: float, replayed: bool) -> None:
        if spent >= after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute(spec, store, stop)


def header(**fields: Any) -> Header:
    """Return the header of a run that nobody made."""
    spec = RunSpec(Component("toy"), Component("random"), Component("normal"), dim=3, budget=60)
    shown = {"task": "toy", "optimizer": "random", "projection": "normal"}
    given = {"key": spec.key(), "spec": spec, "shown": shown, "digests": {}, "optimum": None, "metric": "closeness"}
    return Header(**{**given, "cost": Cost(), "baseline": False, "sees": "losses", **fields})
