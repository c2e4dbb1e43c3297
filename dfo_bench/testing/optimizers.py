"""The checks of optimizers: the contract that every one must keep."""

import os
import random
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from dfo_bench.core import Array, ExampleOptimizer, Optimizer
from dfo_bench.errors import InputError, cause
from dfo_bench.plugins.component import Component, Value, component
from dfo_bench.plugins.plugin import AnyOptimizer, resolve
from dfo_bench.plugins.registry import OPTIMIZERS
from dfo_bench.runs.assembly import spendable
from dfo_bench.runs.curve import curve
from dfo_bench.testing.bowl import BUDGET, Flat, Narrow, drive, evaluated, play, read_asked, small_run
from dfo_bench.testing.checks import Problem
from dfo_bench.threads import single_threaded


def asks_well(plugin: AnyOptimizer) -> Problem:
    """It asks for finite points of the space until its evaluations are spent, with and without bounds."""
    for bounded in (True, False):
        drive(small_run(plugin, bounded=bounded))
    return ""


def survives_a_budget_of_one(plugin: AnyOptimizer) -> Problem:
    """It survives a budget of one."""
    drive(small_run(plugin, budget=1))
    return ""


def repeats_itself(plugin: AnyOptimizer) -> Problem:
    """The same seed asks the same points, whatever the global random state: a journal can be replayed."""
    first = drive(small_run(plugin))
    seed_globally(12345)
    return _difference(first, drive(small_run(plugin)))


def repeats_in_another_process(plugin: AnyOptimizer) -> Problem:
    """A fresh process of another hash seed asks the same points, too."""
    other = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    code = f"import sys; from {__name__} import replay; replay(sys.argv[1])"
    environment = {**os.environ, "PYTHONHASHSEED": other, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, str(plugin.component)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        return f"the process ended with {done.returncode}: {' '.join(done.stderr.splitlines()[-1:])}"
    return _difference(drive(small_run(plugin)), done.stdout.splitlines()[-1].split())


def replay(written: str) -> None:
    """Print the digests of all that an optimizer asks for: what the fresh process does."""
    with single_threaded():
        print(*drive(small_run(resolve(OPTIMIZERS, component(written)))))


def _difference(first: list[str], again: list[str]) -> Problem:
    differ = next((i for i, pair in enumerate(zip(first, again, strict=True)) if pair[0] != pair[1]), None)
    return "" if differ is None else f"evaluation {differ + 1} differs between two runs of one seed"


def leaves_global_state(plugin: AnyOptimizer) -> Problem:
    """The global random states of Python, NumPy and torch stay as they are, and torch's threads and default type."""
    # Another state than one that it may have left in an earlier check.
    seed_globally(54321)
    if torch := sys.modules.get("torch"):
        torch.set_default_dtype(torch.float32)
    before, settings = random_states(), _torch_settings()
    drive(small_run(plugin))
    if random_states() != before:
        return "it draws from, or seeds, a global generator"
    return "" if _torch_settings() == settings else f"torch's settings were {settings} and are {_torch_settings()}"


def seed_globally(seed: int) -> None:
    """Seed the global generators of Python, NumPy and torch."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - the global state is what is checked
    if torch := sys.modules.get("torch"):
        torch.manual_seed(seed)


def random_states() -> str:
    """Return the global random states of Python, NumPy and torch."""
    state = np.random.get_state(legacy=False)  # noqa: NPY002 - the global state is what is checked
    numbers = state["state"]
    numpy = numbers["key"].tobytes(), numbers["pos"], state["has_gauss"], state["gauss"]
    torch = sys.modules.get("torch")
    return repr((random.getstate(), numpy, torch.get_rng_state().tolist() if torch else None))


def _torch_settings() -> tuple[Any, ...]:
    torch = sys.modules.get("torch")
    return (torch.get_num_threads(), torch.get_default_dtype()) if torch else ()


def leaves_what_it_is_told(plugin: AnyOptimizer) -> Problem:
    """Tell changes neither the points nor the losses, nor their gradients or outputs."""
    assembly = small_run(plugin)
    plain = issubclass(plugin.cls, Optimizer)
    optimizer: Any = assembly.optimizer()
    if plain:
        rng = np.random.default_rng(0)
        optimizer = assembly.build(plugin, assembly.task.space, spendable(plugin, BUDGET), rng)
    spent = 0
    while spent < assembly.spec.budget:
        asked = optimizer.ask()
        x, points = read_asked(asked) if plain else (asked.dense(), asked)
        told = evaluated(assembly.oracle, points)
        spent += len(x)
        kept = [one.copy() for one in (x, *told)]
        optimizer.tell(*([x, *told] if plain else told))
        now = (x if plain else asked.dense(), *told)
        if not all(np.array_equal(one, before) for one, before in zip(now, kept, strict=True)):
            return "what was told has changed afterwards"
    return ""


def survives_failures(plugin: AnyOptimizer) -> Problem:
    """It goes on when all evaluations fail, and when all of the first and then every third."""
    drive(small_run(plugin, budget=2 * BUDGET), lambda losses: np.full(len(losses), np.inf))
    drive(small_run(plugin), _spoiled(np.inf))
    return ""


def survives_plateaus(plugin: AnyOptimizer) -> Problem:
    """It goes on when all losses are equal."""
    drive(small_run(plugin, budget=2 * BUDGET), lambda losses: np.ones(len(losses)))
    return ""


def survives_huge_losses(plugin: AnyOptimizer) -> Problem:
    """It goes on when losses are as large as floats get, of either sign."""
    for huge in (np.finfo(float).max, -np.finfo(float).max):
        drive(small_run(plugin), _spoiled(huge))
    return ""


def survives_poor_outputs(plugin: AnyOptimizer) -> Problem:
    """If it sees outputs, it goes on when there is only one, and when all are equal."""
    if plugin.cls.sees == "outputs":
        drive(small_run(plugin, bowl=Narrow))
        drive(small_run(plugin, budget=2 * BUDGET, bowl=Flat))
    return ""


def completes_points(plugin: AnyOptimizer) -> Problem:
    """If it chooses examples, a point has seen all of them by the end, however small the budget."""
    for budget in (1, BUDGET) if issubclass(plugin.cls, ExampleOptimizer) else ():
        assembly = small_run(plugin, budget=budget)
        if np.isnan(curve(play(assembly), assembly.unit)["loss"]).all():
            return f"of a budget of {budget} no point has seen all {assembly.unit} examples"
    return ""


def keeps_its_bounds(plugin: AnyOptimizer) -> Problem:
    """Every whole number at its least, under every choice, is refused in words or works to the end of the budget."""
    declared = OPTIMIZERS.parameters(plugin.cls)
    choices: list[dict[str, Value]] = [{name: choice} for name, one in declared.items() for choice in one.choices()]
    least: list[dict[str, Value]] = [{name: one.least()} for name, one in declared.items() if one.least() is not None]
    for case in [*choices, *least, *({**choice, **number} for choice in choices for number in least)]:
        try:
            drive(small_run(resolve(OPTIMIZERS, plugin.component.replace(**case))))
        except InputError:
            continue
        except (Exception, SystemExit) as error:
            return f"{Component(plugin.name, case)}: {cause(error)}"
    return ""


def _spoiled(loss: float) -> Callable[[Array], Array]:
    """Return a function that puts a loss in place of the first 25, and of every third from then on."""
    told = 0

    def spoil(losses: Array) -> Array:
        nonlocal told
        number = np.arange(told, told + len(losses))
        told += len(losses)
        return np.where((number < 25) | (number % 3 == 0), loss, losses)

    return spoil


CHECKS = (
    asks_well,
    survives_a_budget_of_one,
    repeats_itself,
    repeats_in_another_process,
    leaves_global_state,
    leaves_what_it_is_told,
    survives_failures,
    survives_plateaus,
    survives_huge_losses,
    survives_poor_outputs,
    completes_points,
    keeps_its_bounds,
)
"""The checks of an optimizer; each docstring is a title."""
