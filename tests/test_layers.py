"""Who may import whom: what DESIGN calls rooms, from what plugins rest on up to the command line."""

import ast
from collections.abc import Iterator
from configparser import ConfigParser
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "dfo_bench"
MODULES = {
    ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in ROOT.rglob("*.py")
}

LAYERS = [
    {
        "errors",
        "threads",
        "points",
        "embedding",
        "composed",
        "predicted",
        "texts",
        "traffic",
        "outer",
        "reference",
        "core",
        "plugins",
    },
    {"projections", "references", "lm", "runs"},
    {"store"},
    {"sweeps"},
    {"report"},
    {"exchange"},
    {"service", "testing", "validate"},
    {"cli"},
]
"""Each room imports from its own layer and from those before it."""

FOUNDATIONS = [
    "errors",
    "threads",
    "plugins.component",
    "plugins.plugged",
    "points",
    "embedding",
    "composed",
    "predicted",
    "texts",
    "outer",
    "reference",
    "traffic",
    "core",
]
"""The modules that plugins rest on, each importing only those before it."""


def imports(module: str, *, lazy: bool = True) -> Iterator[str]:
    """Yield the modules of the package that a module imports; not `lazy`: only those at its top."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    for node in ast.walk(tree) if lazy else tree.body:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "dfo_bench":
            for alias in node.names:
                below = f"{node.module}.{alias.name}"
                yield below if below in MODULES else node.module


def layer(module: str) -> int:
    room = module.split(".")[1]
    return next(i for i, rooms in enumerate(LAYERS) if room in rooms)


@pytest.mark.parametrize("module", sorted(m for m in MODULES if m.count(".") and not m.endswith("__main__")))
def test_a_module_imports_from_its_own_layer_and_those_below(module: str) -> None:
    above = [other for other in imports(module) if other.count(".") and layer(other) > layer(module)]
    assert not above


@pytest.mark.parametrize("module", FOUNDATIONS)
def test_what_plugins_rest_on_rests_on_nothing_else(module: str) -> None:
    before = {f"dfo_bench.{name}" for name in FOUNDATIONS[: FOUNDATIONS.index(module)]}
    assert set(imports(f"dfo_bench.{module}")) <= before


def test_the_report_reads_frames_and_runs_nothing() -> None:
    reached = {other for module in MODULES if module.startswith("dfo_bench.report") for other in imports(module)}
    work = ("dfo_bench.sweeps", "dfo_bench.exchange", "dfo_bench.store.store", "dfo_bench.runs.loop")
    assert not [module for module in reached if module.startswith(work)]


def test_no_modules_import_each_other_in_a_circle() -> None:
    TopologicalSorter({module: list(imports(module, lazy=False)) for module in MODULES}).prepare()


@pytest.mark.parametrize("module", sorted(MODULES))
def test_no_module_is_longer_than_400_lines(module: str) -> None:
    assert len(MODULES[module].read_text(encoding="utf-8").splitlines()) <= 400


def test_every_package_is_in_the_wheel() -> None:
    settings = ConfigParser()
    settings.read(ROOT.parent / "setup.cfg")
    packed = set(settings["options"]["packages"].split())
    folders = {".".join(init.parent.relative_to(ROOT.parent).parts) for init in ROOT.rglob("__init__.py")}
    assert packed == folders | {"dfo_bench.optimizers", "dfo_bench.tasks"}
