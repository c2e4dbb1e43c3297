"""Writes the plugin file to start from."""

import keyword
from pathlib import Path
from typing import Any

from dfo_bench import core
from dfo_bench.errors import InputError
from dfo_bench.plugins.registry import OPTIMIZERS, PROJECTIONS, TASKS, Kind

_OPTIMIZER = '''"""One line: what it does, and the paper it comes from."""

import numpy as np

from dfo_bench.core import Array, Optimizer, Space


class {cls}(Optimizer):
    """A (1+20) search around the best point so far; put your own in its place."""

    def __init__(self, space: Space, *, budget: int, rng: np.random.Generator, step: float = 0.5) -> None:
        """`step` is in units of the space's scale."""
        super().__init__(space, budget=budget, rng=rng)
        self.step, self.best, self.loss = step, space.start.dense()[0], float("inf")

    def ask(self) -> Array:
        """Return 20 points, shape (20, d)."""
        noise = self.rng.standard_normal((20, self.space.dim))
        return self.space.clip(self.best + self.step * self.space.scale * noise)

    def tell(self, x: Array, losses: Array) -> None:
        """Keep the best; lower is better, a failed evaluation is +inf."""
        if losses.min() < self.loss:
            self.best, self.loss = x[losses.argmin()], losses.min()
'''

_TASK = '''"""One line: what is minimised, and where it comes from."""

from dfo_bench.core import Anchor, Array, Points, Rngs, Space, Task


class {cls}(Task):
    """Squared distance from a point drawn per seed; put your own in its place."""

    def __init__(self, *, rngs: Rngs, dim: int = 100) -> None:
        """`dim` is D, the dimension of the task's space."""
        self.space = Space(dim, lower=-1.0, upper=1.0, start=Anchor.origin(dim), scale=1.0)
        self.optimum = 0.0
        self.target = rngs("task").uniform(-0.5, 0.5, dim)

    def evaluate(self, points: Points) -> Array:
        """Return losses, shape (n,); nan where a point cannot be evaluated."""
        losses: Array = ((points.dense() - self.target) ** 2).sum(axis=1)
        return losses
'''

_PROJECTION = '''"""One line: which map it draws, and the paper it comes from."""

from dfo_bench.core import Array, Embedding, Projection, RandomEmbedding, Space


class {cls}(Projection):
    """Entries +-1/sqrt(d); put your own in its place."""

    def __init__(self, *, alpha: float = 1.0) -> None:
        """`alpha` multiplies the step."""
        self.alpha = alpha

    def draw(self, space: Space, dim: int, seed: int, index: int) -> Embedding:
        """Draw A from uniforms in (0, 1), one an entry; every entry has variance 1/dim."""

        def entries(uniforms: Array) -> Array:
            return ((uniforms > 0.5) * 2.0 - 1.0) / dim**0.5

        return RandomEmbedding(space, dim, index, self.alpha * space.scale, seed, entries)
'''

_TEMPLATES: dict[Kind[Any], str] = {OPTIMIZERS: _OPTIMIZER, TASKS: _TASK, PROJECTIONS: _PROJECTION}


def write_plugin(kind: Kind[Any], name: str) -> tuple[Path, str]:
    """Write NAME.py where plugins of this kind are found; return its path and what remains to be done.

    In a checkout that is the plugin folder and nothing remains; elsewhere it is the current folder, and the entry
    point has to be declared.
    """
    if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_") or name != name.lower():
        raise InputError(f"{name!r} cannot be a plugin's name; use lower-case letters, digits and _")
    cls = "".join(word.capitalize() for word in name.split("_"))
    if hasattr(core, cls):
        raise InputError(f"the class of {name!r} would be {cls}, which dfo_bench.core has; choose another name")
    if there := kind.sources().get(name):
        raise InputError(f"{kind.name} {name!r} exists already ({there.where}); choose another name")
    folder = Path("dfo_bench/projections" if kind is PROJECTIONS else kind.plural)
    checkout = Path("setup.cfg").is_file() and Path("dfo_bench/core.py").is_file()
    path = folder / f"{name}.py" if checkout else Path(f"{name}.py")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(_TEMPLATES[kind].format(cls=cls))
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from error
    check = f"try it with: dfo-bench check {kind.name} {name}"
    if checkout:
        return path, check
    return path, (
        f'declare it in your package, install that, then {check}\n\n[project.entry-points."dfo_bench.{kind.plural}"]\n'
        f'{name} = "{name}"'
    )
