"""Plugins named by the path of their file."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dfo_bench.errors import InputError, PluginError, UnknownNameError
from dfo_bench.plugins.component import component, parse
from dfo_bench.plugins.plugin import resolve
from dfo_bench.plugins.registry import OPTIMIZERS, TASKS
from dfo_bench.runs.assembly import assemble
from dfo_bench.runs.spec import RunSpec
from dfo_bench.store.store import Store
from dfo_bench.store.verify import verify
from dfo_bench.sweeps.execute import execute
from dfo_bench.sweeps.sweep import sweep
from tests.toys import OPTIMIZER, interrupt, planned

PROJECTION = """
from dfo_bench.core import Array, Embedding, Projection, RandomEmbedding, Space
from ._signs import signs


class Signs(Projection):
    def draw(self, space: Space, dim: int, seed: int, number: int) -> Embedding:
        return RandomEmbedding(space, dim, number, self.factor(space), seed, lambda u: signs(u) / dim**0.5)
"""

TASK = """
from dfo_bench.core import Anchor, Array, Points, Rngs, Space, Task


class Far(Task):
    def __init__(self, *, rngs: Rngs, dim: int = 6, away: float = 1.0) -> None:
        self.space = Space(dim, None, None, Anchor.origin(dim), 1.0)
        self.away = away

    def evaluate(self, points: Points) -> Array:
        return ((points.dense() - self.away) ** 2).sum(axis=1)
"""


@pytest.fixture
def lone(in_tmp: Path) -> Path:
    """Return the current folder with a lone optimizer, a task and a projection of two files."""
    (in_tmp / "search.py").write_text(OPTIMIZER)
    (in_tmp / "far.py").write_text(TASK)
    (in_tmp / "maps").mkdir()
    (in_tmp / "maps" / "signs.py").write_text(PROJECTION)
    (in_tmp / "maps" / "_signs.py").write_text("def signs(u):\n    return (u > 0.5) * 2.0 - 1.0\n")
    return in_tmp


def test_every_kind_of_plugin_runs_from_its_file_in_worker_processes_too(
    lone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[1]))
    store = sweep(
        tasks=["./far.py:away=0.5"],
        optimizers=["./search.py", {"name": "rembo", "inner": "(./search.py:batch=3)", "k": 2}],
        projections=["maps/signs.py:alpha=2"],
        dim=3,
        budget=10,
        store="store",
        workers=2,
    )
    runs = store.runs()
    assert set(runs["status"]) == {"finished"}
    assert set(runs["optimizer"]) == {"search", "rembo:inner=(search:batch=3),k=2"}
    assert set(runs["task"]) == {"far:away=0.5"}
    assert set(runs["projection"]) == {"signs:alpha=2.0"}
    assert all(verdict.agrees and not verdict.notes for verdict in verify(store))


def test_a_run_is_named_by_the_file_and_not_by_where_it_is_and_by_a_digest_of_what_it_holds(lone: Path) -> None:
    (lone / "other").mkdir()
    (lone / "other" / "search.py").write_text(OPTIMIZER)
    here, there = (assemble(planned("sphere", f"{path}/search.py", budget=5)) for path in (".", lone / "other"))
    assert here.key == there.key
    assert here.shown() == there.shown()
    digests = here.source_digests
    assert there.source_digests == digests
    assert here.spec.to_json()["optimizer"] == "./search.py:batch=5,fail="
    (lone / "search.py").write_text(OPTIMIZER.replace("standard_normal((self", "uniform(-2, 2, (self"))
    assert assemble(planned("sphere", "./search.py", budget=5)).source_digests != digests


def test_a_file_that_changes_is_read_anew_in_one_session(lone: Path) -> None:
    first = OPTIMIZERS.load("./search.py")
    assert OPTIMIZERS.load("search.py") is first
    (lone / "search.py").write_text(OPTIMIZER.replace("class Odd", "class Two"))
    assert OPTIMIZERS.load("./search.py").__name__ == "Two"


def test_a_run_of_a_file_goes_on_where_it_stopped(lone: Path) -> None:
    store = Store.create("store")
    spec = planned("sphere", "./search.py:batch=4", dim=3, budget=20)
    interrupt(spec, store.path, 8)
    (summary,) = [execute(RunSpec.from_json(spec.to_json()), store.path)]
    assert (summary.status, summary.evaluations, summary.attempts) == ("finished", 20, 2)


def test_two_files_of_one_name_in_a_sweep_are_refused_with_both(lone: Path) -> None:
    (lone / "other").mkdir()
    (lone / "other" / "search.py").write_text(OPTIMIZER)
    with pytest.raises(InputError, match=r"search.py and other/search.py are both called 'search'; rename one"):
        sweep(tasks=["sphere"], optimizers=["./search.py", "rembo:inner=(other/search.py)"], budget=5, store="store")
    assert not (lone / "store").exists()
    sweep(tasks=["sphere"], optimizers=["./search.py", "other/../search.py"], dim=2, budget=5, store="store")


def test_a_file_with_the_name_of_an_installed_plugin_is_refused_unless_it_is_that(lone: Path) -> None:
    (lone / "cma.py").write_text(OPTIMIZER)
    with pytest.raises(PluginError, match=r"cma.py has the name of the optimizer .*optimizers/cma.py; rename the file"):
        OPTIMIZERS.load("./cma.py")
    source = OPTIMIZERS.sources()["cma"]
    assert source.file()
    own = resolve(OPTIMIZERS, parse(f"{source.file()}:popsize=4"))
    assert (own.cls, own.keyed()) == (OPTIMIZERS.load("cma"), resolve(OPTIMIZERS, parse("cma:popsize=4")).keyed())


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("./nothing.py", "plugin file nothing.py cannot be read: No such file or directory"),
        ("./a.b.py", "'a.b' cannot be a plugin's name"),
        (
            "./far.py",
            "optimizer ./far.py must define one public subclass of Optimizer or VectorOptimizer or ",
        ),
        ("./broken.py", "optimizer ./broken.py does not import: SyntaxError"),
    ],
)
def test_a_file_that_is_no_plugin_is_refused(lone: Path, path: str, message: str) -> None:
    (lone / "a.b.py").write_text(OPTIMIZER)
    (lone / "broken.py").write_text("def (")
    with pytest.raises(InputError, match=message) as caught:
        OPTIMIZERS.load(path)
    assert "\n" not in str(caught.value)


def test_a_name_that_is_only_a_files_brings_the_path(lone: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"no task named 'far'; did you mean ./far.py\?"):
        TASKS.load("far")
    with pytest.raises(UnknownNameError, match="no optimizer named 'far'"):
        OPTIMIZERS.load("far")


def test_a_path_stands_in_yaml_and_on_the_command_line_too(lone: Path) -> None:
    assert component({"name": "./search.py", "batch": 2}) == parse("./search.py:batch=2")
    command = [sys.executable, "-m", "dfo_bench"]
    environment = {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    for arguments in (["check", "task", "far.py:dim=3"], ["list", "optimizers", "./search.py", "--json"]):
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr
    assert list(json.loads(done.stdout)) == ["fail", "batch"]
