"""The contract kit: it finds what breaks a contract, and says what it saw of the rest."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dfo_bench.plugins.component import parse
from dfo_bench.testing import every_method, findings, observations, optimizers, reports, tasks
from dfo_bench.testing.checks import title

PLUGIN = '''
import random
import time
from typing import Unpack
import numpy as np
from pydantic import PositiveInt
from dfo_bench.core import Array, Given, Optimizer, Space


class Crooked(Optimizer):
    """Random search that breaks its contract as it is told to."""

    variants = {"how": ["", "hangs"]}

    def __init__(self, space: Space, *, how: str = "", size: PositiveInt = 20, **given: Unpack[Given]) -> None:
        super().__init__(space, **given)
        self.how, self.size = how, size

    def ask(self) -> Array:
        if self.how == "hangs":
            time.sleep(1000)
        if self.how == "bound":
            assert self.size > 1
        if self.how == "hash":
            return np.full((1, self.space.dim), hash("a word") / 2**63)
        if self.how == "python":
            random.random()
        if self.how == "exits":
            raise SystemExit(0)
        if self.how == "torch":
            import torch
            torch.rand(1)
        if self.how == "one seed":
            return np.random.default_rng(0).uniform(-1, 1, (20, self.space.dim))
        if self.how == "outside":
            return np.where(np.arange(20)[:, None] < 5, 3.0, self.rng.uniform(-1, 1, (20, self.space.dim)))
        if self.how == "centre":
            return self.rng.uniform(-0.1, 0.1, (20, self.space.dim))
        return self.rng.uniform(-1, 1, (20, self.space.dim))

    def tell(self, x: Array, losses: Array) -> None:
        if self.how == "writes":
            x *= 2
        if self.how == "dtype":
            import torch
            torch.set_default_dtype(torch.float64)
        if self.how == "plateau" and (losses == 1).all():
            raise ZeroDivisionError
        if self.how == "overflow" and np.isfinite(losses).all() and not np.isfinite(losses * 2).all():
            raise OverflowError("too large")
        if self.how == "seeds":
            np.random.seed(0)
        if self.how == "inf" and not np.isfinite(losses).all():
            raise ValueError("what is inf?")
'''


@pytest.fixture
def crooked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Declare the optimizer `crooked`, in child processes too, and return an empty folder."""
    (tmp_path / "crooked_plugin.py").write_text(PLUGIN)
    info = tmp_path / "crooked-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: crooked\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[dfo_bench.optimizers]\ncrooked = crooked_plugin\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "crooked_plugin", raising=False)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(__file__).resolve().parents[1]}")
    home = tmp_path / "home"
    home.mkdir()
    return home


@pytest.mark.parametrize(
    ("how", "broken"),
    [
        ("", []),
        ("hash", [optimizers.repeats_in_another_process]),
        ("python", [optimizers.leaves_global_state]),
        ("seeds", [optimizers.leaves_global_state]),
        ("torch", [optimizers.leaves_global_state]),
        ("writes", [optimizers.leaves_what_it_is_told]),
        ("inf", [optimizers.survives_failures]),
        ("dtype", [optimizers.leaves_global_state]),
        ("plateau", [optimizers.survives_plateaus]),
        ("overflow", [optimizers.survives_huge_losses]),
        ("bound", [optimizers.keeps_its_bounds]),
    ],
)
def test_the_kit_finds_what_breaks_the_contract_and_nothing_else(
    crooked: Path, how: str, broken: list[Callable[..., str]]
) -> None:
    torch = pytest.importorskip("torch")
    default = torch.get_default_dtype()
    try:
        found = {name: problem for name, problem in findings("optimizer", parse(f'crooked:how="{how}"')) if problem}
    finally:
        torch.set_default_dtype(default)
    assert list(found) == [title(check) for check in broken]
    if how == "bound":
        (problem,) = found.values()
        assert re.fullmatch(r"crooked:size=1: AssertionError in crooked_plugin.py:\d+: assert self.size > 1", problem)


GRADIENTS = """
from dfo_bench.core import Array, GradientOptimizer


class Downhill(GradientOptimizer):
    def __init__(self, space, *, how: str = "", **given):
        super().__init__(space, **given)
        self.how, self.x = how, space.start.dense()

    def ask(self) -> Array:
        return self.x

    def tell(self, x: Array, losses: Array, gradients: Array) -> None:
        if self.how == "inf":
            assert (losses < float("inf")).all()
        if self.how == "huge":
            assert (gradients**2 < 1e9).all()
        self.x = self.space.clip(x - 0.1 * gradients)
        if self.how == "writes":
            gradients *= 2
"""


@pytest.mark.parametrize(
    ("how", "broken"),
    [
        ("", []),
        ("writes", [optimizers.leaves_what_it_is_told]),
        ("inf", [optimizers.survives_failures]),
        ("huge", [optimizers.survives_plateaus, optimizers.survives_huge_losses]),
    ],
)
def test_an_optimizer_that_sees_gradients_is_checked_with_some(
    crooked: Path, how: str, broken: list[Callable[..., str]]
) -> None:
    (crooked / "downhill.py").write_text(GRADIENTS)
    found = [
        name for name, problem in findings("optimizer", parse(f'{crooked / "downhill.py"}:how="{how}"')) if problem
    ]
    assert found == [title(check) for check in broken]
    assert dict(reports(parse(str(crooked / "downhill.py"))))["Random search, d = 10"] == "better"


def test_a_plugin_that_exits_breaks_its_contract_and_does_not_end_the_check(crooked: Path) -> None:
    done = check("optimizer", "crooked:how=exits", cwd=crooked)
    assert done.returncode == 1
    assert "SystemExit: 0" in done.stdout


@pytest.mark.parametrize(("how", "problem"), [("", ""), ("alone", "one by one other points fail")])
def test_failures_of_a_task_do_not_depend_on_the_batch(toys: Path, how: str, problem: str) -> None:
    found = dict(findings("task", parse(f'toy:fail="{how}"')))
    assert found[title(tasks.evaluates_alike)] == problem


@pytest.mark.parametrize(
    ("how", "report", "found"),
    [
        ("", observations.stays_inside, "0%"),
        ("outside", observations.stays_inside, "25%"),
        ("", observations.seeds_differ, "yes"),
        ("one seed", observations.seeds_differ, "no"),
        ("", observations.beats_random_search_in_10, "equal"),
        ("centre", observations.beats_random_search_in_2, "worse"),
    ],
)
def test_the_kit_reports_what_it_does_not_judge(
    crooked: Path, how: str, report: Callable[..., str], found: str
) -> None:
    assert dict(reports(parse(f'crooked:how="{how}"')))[title(report)] == found


def test_an_optimizer_that_learns_beats_random_search() -> None:
    found = dict(reports(parse("cma:popsize=6,sigma=0.3")))
    assert found[title(observations.beats_random_search_in_2)] == "better"
    assert found[title(observations.beats_random_search_in_10)] == "better"


def test_one_that_hangs_is_stopped_and_the_matrix_goes_on(crooked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(every_method, "IDLE_LIMIT_S", 3)
    optimizers = every_method.variants(["crooked"])
    assert [str(optimizer) for optimizer in optimizers] == ["crooked:how=", "crooked:how=hangs"]
    plain, hangs = optimizers
    verdicts = [row.verdict for row in every_method.rows([hangs, plain])]
    assert verdicts == ["it hangs: no CPU used for 3 s", "kept"]


def check(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dfo_bench", "check", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd)


def test_the_matrix_is_printed_and_written_as_a_page(crooked: Path) -> None:
    done = check("optimizer", "random", "start", "--all", "--output", "page.md", cwd=crooked)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["[1/2] random: kept", "[2/2] start: kept", "page.md"]
    page = (crooked / "page.md").read_text()
    assert "Written by `dfo-bench check optimizer random start --all --output docs/optimizers.md`" in page
    assert "| `random` | 0% | yes | equal | equal |" in page


def test_check_without_a_name_or_with_all_tasks_is_wrong_input(crooked: Path) -> None:
    for arguments, remedy in {("optimizer",): "--all", ("task", "--all"): "name the tasks"}.items():
        done = check(*arguments, cwd=crooked)
        assert done.returncode == 2
        assert remedy in done.stderr
