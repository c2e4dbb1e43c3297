"""The scaffold of a new plugin: a file in a checkout, a package that pip installs elsewhere."""

import keyword
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dfo_bench import core
from dfo_bench.errors import InputError, writing
from dfo_bench.plugins.registry import OPTIMIZERS, PROJECTIONS, REFERENCES, TASKS, Kind

_OPTIMIZER = '''"""One line: what it does, and the paper it comes from."""

from typing import Unpack

from pydantic import PositiveFloat

from dfo_bench.core import Array, Given, Optimizer, Space


class {cls}(Optimizer):
    """A (1+20) search around the best point so far; put your own in its place.

    step: how far points lie from the best, in units of the space's scale.
    """

    def __init__(self, space: Space, *, step: PositiveFloat = 0.5, **given: Unpack[Given]) -> None:
        super().__init__(space, **given)
        self.step, self.best, self.loss = step, space.start.dense()[0], float("inf")

    def ask(self) -> Array:
        """Return 20 points, shape (20, d); self.rng is the only source of randomness."""
        noise = self.rng.standard_normal((20, self.space.dim))
        return self.space.clip(self.best + self.step * self.space.scale * noise)

    def tell(self, x: Array, losses: Array) -> None:
        """Keep the best; lower is better, a failed evaluation is +inf."""
        if losses.min() < self.loss:
            self.best, self.loss = x[losses.argmin()], losses.min()
'''

_TASK = '''"""One line: what is minimised, and where it comes from."""

from pydantic import PositiveInt

from dfo_bench.core import Anchor, Array, Points, Rngs, Space, Task


class {cls}(Task):
    """Squared distance from a point drawn per seed; put your own in its place.

    dim: D, the dimension of the task's space.
    """

    def __init__(self, *, rngs: Rngs, dim: PositiveInt = 100) -> None:
        self.space = Space(dim, lower=-1.0, upper=1.0, start=Anchor.origin(dim), scale=1.0)
        self.optimum = 0.0
        self.target = rngs("task").uniform(-0.5, 0.5, dim)

    def evaluate(self, points: Points) -> Array:
        """Return losses, shape (n,); nan where a point cannot be evaluated."""
        return ((points.dense() - self.target) ** 2).sum(axis=1)
'''

_PROJECTION = '''"""One line: which map it draws, and the paper it comes from."""

from dfo_bench.core import Array, Embedding, Projection, RandomEmbedding, Space


class {cls}(Projection):
    """Entries +-1/sqrt(d); put your own in its place."""

    def draw(self, space: Space, dim: int, seed: int, number: int) -> Embedding:
        """Draw A from uniforms in (0, 1), one per entry; every entry has variance 1/dim."""

        def entries(uniforms: Array) -> Array:
            return ((uniforms > 0.5) * 2.0 - 1.0) / dim**0.5

        return RandomEmbedding(space, dim, number, self.factor(space), seed, entries)
'''

_REFERENCE = '''"""One line: what it learns, and the paper it comes from."""

import numpy as np

from dfo_bench.core import Array, Classifier, FitProgress, LabelledTexts, Reference, Rows


class {cls}(Reference):
    """The nearest mean of a class's features; put your own in its place."""

    sees = "features"

    def fit(self, texts: LabelledTexts, progress: FitProgress) -> Classifier:
        """Learn from train, select on dev; self.rng is the only source of randomness."""
        train, classes = texts.features(texts.rows("train")), texts.classes("train")
        return _Nearest(texts, np.array([train[classes == i].mean(axis=0) for i in range(len(texts.labels))]))


class _Nearest(Classifier):
    def __init__(self, texts: LabelledTexts, means: Array) -> None:
        super().__init__()
        self.texts, self.means = texts, means

    def logits(self, rows: Rows) -> Array:
        """Return logits of any texts, shape (n, classes)."""
        return -((self.texts.features(rows)[:, None] - self.means) ** 2).sum(axis=2)
'''

_TEMPLATES: dict[Kind[Any], str] = {
    OPTIMIZERS: _OPTIMIZER,
    TASKS: _TASK,
    PROJECTIONS: _PROJECTION,
    REFERENCES: _REFERENCE,
}

_PYPROJECT = """[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "{dashed}"
version = "0.1.0"
dependencies = ["dfo-bench"]

[project.entry-points."dfo_bench.{kind}s"]
{name} = "{name}"

[tool.setuptools]
py-modules = ["{name}"]
"""

_TEST = """from dfo_bench.testing import check_plugin


def test_{name}_keeps_its_contract() -> None:
    check_plugin("{kind}", "{name}")
"""


def write_plugin(kind: Kind[Any], name: str) -> tuple[Path, str]:
    """Write a plugin to start from; return its file, and the commands that come next.

    In a checkout that is NAME.py in the folder of its kind; elsewhere a folder NAME with NAME.py, a pyproject.toml
    with its entry point, and its test.
    """
    if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_") or name != name.lower():
        raise InputError(f"{name!r} cannot be a plugin's name; use lower-case letters, digits and _")
    cls = "".join(word.capitalize() for word in name.split("_"))
    if hasattr(core, cls):
        raise InputError(f"the class of {name!r} would be {cls}, which dfo_bench.core has; choose another name")
    if there := kind.sources().get(name):
        raise InputError(f"{kind.name} {name!r} exists already ({there.where}); choose another name")
    plugin = _TEMPLATES[kind].format(cls=cls)
    if Path("setup.cfg").is_file() and Path("dfo_bench/core.py").is_file():
        own = Path() if kind in (OPTIMIZERS, TASKS) else Path("dfo_bench")
        file = own / kind.plural / f"{name}.py"
        _write({file: plugin})
        return file, f"try it with: dfo-bench check {kind.name} {name}"
    words = {"name": name, "dashed": name.replace("_", "-"), "kind": kind.name}
    folder, file = Path(name), Path(name, f"{name}.py")
    _write(
        {
            file: plugin,
            folder / "pyproject.toml": _PYPROJECT.format(**words),
            folder / f"test_{name}.py": _TEST.format(**words),
        }
    )
    return file, (
        f"try it with: dfo-bench check {kind.name} {file}\n"
        f"use it as it is, by its path: dfo-bench run {_USE[kind].format(file)} --store results/{name}\n"
        f"install it, to use it by its name and to run its test: pip install ./{name} && pytest {name}"
    )


_USE = {
    OPTIMIZERS: "-t sphere -o {} -b 1000",
    TASKS: "-t {} -o cma -b 1000",
    PROJECTIONS: "-t sphere -o cma -p {} -b 1000",
    REFERENCES: "-t helpdesk -o {}",
}


def _write(files: Mapping[Path, str]) -> None:
    for path, text in files.items():
        with writing(path, "choose another name"):
            path.parent.mkdir(exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
