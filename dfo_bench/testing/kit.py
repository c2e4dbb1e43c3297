"""The contract kit: what every plugin must keep, checked on the real class.

`dfo-bench check` prints it; a package of plugins runs it in its own tests with one line a plugin::

    from dfo_bench.testing import check_plugin
    def test_my_search_keeps_its_contract():
        check_plugin("optimizer", "my_search")
"""

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.stats import mannwhitneyu

from dfo_bench.core import (
    Anchor,
    Array,
    Dense,
    Embedding,
    IdentityEmbedding,
    Optimizer,
    Points,
    Projection,
    RandomEmbedding,
    Space,
    Task,
)
from dfo_bench.errors import InputError, cause
from dfo_bench.plugins.component import Component, component
from dfo_bench.plugins.plugin import AnyOptimizer, Plugin, resolve
from dfo_bench.plugins.registry import OPTIMIZERS, PROJECTIONS, TASKS, kind_of
from dfo_bench.runs.assembly import Assembly, Plugins, spendable
from dfo_bench.runs.spec import RunSpec, streams
from dfo_bench.threads import single_threaded

Problem = str
"""What is wrong, "" where nothing is."""

_DIM = 4
_BUDGET = 60


class Bowl(Task):
    """A shifted sphere, in the box [-1, 1]^D or without bounds: the task on which optimizers are checked."""

    def __init__(self, shift: Array, *, bounded: bool, blocks: int = 1) -> None:
        """`shift`, of shape (D,), is where the minimum 0 lies; the start is the origin, the scale 1."""
        dim, edge = len(shift), 1.0 if bounded else None
        self.space = Space(dim, None if edge is None else -edge, edge, Anchor.origin(dim), 1.0, blocks)
        self.shift = shift

    def evaluate(self, points: Points) -> Array:
        """Return squared distances to the shift."""
        losses: Array = ((points.dense() - self.shift) ** 2).sum(axis=1)
        return losses


class Gaussian(Projection):
    """The projection under which optimizers are checked: entries uniform, variance 1/d."""

    def draw(self, space: Space, dim: int, seed: int, number: int) -> Embedding:
        """Draw A."""
        return RandomEmbedding(space, dim, number, space.scale, seed, lambda u: (2 * u - 1) * (3 / dim) ** 0.5)


class Whole(Projection):
    """The identity, under which optimizers are compared with random search."""

    whole = True

    def draw(self, space: Space, dim: int, seed: int, number: int) -> Embedding:
        """Return A = I."""
        return IdentityEmbedding(space, number)


def check_plugin(kind: str, name: str | Component) -> None:
    """Raise AssertionError with every check that a plugin does not keep."""
    broken = [f"{title}: {problem}" for title, problem in findings(kind, component(name)) if problem]
    assert not broken, f"{kind} {name} breaks its contract:\n" + "\n".join(broken)


def findings(kind: str, plugin: Component) -> Iterator[tuple[str, Problem]]:
    """Yield the title of every check and what is wrong; raise InputError where the plugin cannot be built."""
    yield from results(CHECKS[kind_of(kind).name], resolve(kind_of(kind), plugin))


def reports(optimizer: Component) -> Iterator[tuple[str, str]]:
    """Yield what is reported of an optimizer and not judged: a title, and what was found."""
    yield from results(REPORTS, resolve(OPTIMIZERS, optimizer))


def results(checks: Sequence[Callable[[Any], str]], plugin: Plugin[Any]) -> Iterator[tuple[str, str]]:
    """Yield the title of each check or report, and its result or the error it ended with."""
    with single_threaded():
        for check in checks:
            try:
                yield title(check), check(plugin)
            except InputError as error:
                yield title(check), str(error)
            except (Exception, SystemExit) as error:
                yield title(check), cause(error)


def title(check: Callable[[Any], str]) -> str:
    """Return the first line of its docstring."""
    return (check.__doc__ or "").partition("\n")[0].rstrip(".")


def _assembly(plugin: AnyOptimizer, *, bounded: bool = True, seed: int = 0, budget: int = _BUDGET) -> Assembly:
    # Twelve dimensions in three blocks, for what searches them in turn.
    task = Bowl(np.linspace(-0.5, 0.5, 12), bounded=bounded, blocks=3)
    return _run(plugin, task, Gaussian(), _DIM, budget, seed)


def _run(plugin: AnyOptimizer, task: Task, projection: Projection, dim: int, budget: int, seed: int = 0) -> Assembly:
    plugins = Plugins(
        plugin,
        Plugin(TASKS, type(task), Component("bowl")),
        Plugin(PROJECTIONS, type(projection), Component("drawn")),
    )
    components = {kind: one.component for kind, one in vars(plugins).items()}
    spec = RunSpec(**components, dim=dim, budget=spendable(plugin, budget), seed=seed)
    return Assembly(spec, plugins, task, projection)


def _drive(assembly: Assembly, answer: Callable[[Array], Array] = lambda losses: losses) -> list[str]:
    """Run an optimizer to its budget and return the digests of all it asked; `answer` may spoil the losses."""
    optimizer, _ = assembly.optimizer()
    digests: list[str] = []
    while len(digests) < assembly.spec.budget:
        points = optimizer.ask()
        if len(points) == 0:
            raise AssertionError("ask returned no points")
        digests += points.digests()
        optimizer.tell(answer(_evaluated(assembly.task, points)))
    return digests


def _evaluated(task: Task, points: Points) -> Array:
    """Return losses as the meter of a run tells them: nan, of points so far out that they overflow, is +inf."""
    with np.errstate(over="ignore", invalid="ignore"):
        losses = task.evaluate(points)
    return np.where(losses > -np.inf, losses, np.inf)


def asks_well(plugin: AnyOptimizer) -> Problem:
    """It asks for finite points of the space until its evaluations are spent, with and without bounds."""
    for bounded in (True, False):
        _drive(_assembly(plugin, bounded=bounded))
    return ""


def survives_a_budget_of_one(plugin: AnyOptimizer) -> Problem:
    """It survives a budget of one."""
    _drive(_assembly(plugin, budget=1))
    return ""


def repeats_itself(plugin: AnyOptimizer) -> Problem:
    """The same seed asks the same points, whatever the global random state: a journal can be replayed."""
    first = _drive(_assembly(plugin))
    random.seed(12345)
    np.random.seed(12345)  # noqa: NPY002 - the global state is what is checked
    return _difference(first, _drive(_assembly(plugin)))


def repeats_in_another_process(plugin: AnyOptimizer) -> Problem:
    """A fresh process of another hash seed asks the same points, too."""
    other = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    command = [
        sys.executable,
        "-c",
        "import sys, dfo_bench.testing.kit as kit; kit.replay(sys.argv[1])",
        str(plugin.component),
    ]
    environment = {**os.environ, "PYTHONHASHSEED": other, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, encoding="utf-8", env=environment)
    if done.returncode:
        return f"the process ended with {done.returncode}: {' '.join(done.stderr.splitlines()[-1:])}"
    return _difference(_drive(_assembly(plugin)), done.stdout.splitlines()[-1].split())


def replay(plugin: str) -> None:
    """Print the digests of all that an optimizer, written as resolved, asks for: what the fresh process does."""
    with single_threaded():
        print(*_drive(_assembly(resolve(OPTIMIZERS, component(plugin)))))


def _difference(first: list[str], again: list[str]) -> Problem:
    differ = next((i for i, pair in enumerate(zip(first, again, strict=True)) if pair[0] != pair[1]), None)
    return "" if differ is None else f"evaluation {differ + 1} differs between two runs of one seed"


def leaves_global_state(plugin: AnyOptimizer) -> Problem:
    """The global random states of Python, NumPy and torch stay as they are."""
    # Another state than one that it may have seeded in an earlier check.
    random.seed(54321)
    np.random.seed(54321)  # noqa: NPY002 - the global state is what is checked
    before = _global_state()
    _drive(_assembly(plugin))
    return "" if _global_state() == before else "it draws from, or seeds, a global generator"


def _global_state() -> str:
    state = np.random.get_state(legacy=False)  # noqa: NPY002 - the global state is what is checked
    numbers = state["state"]
    numpy = numbers["key"].tobytes(), numbers["pos"], state["has_gauss"], state["gauss"]
    torch = sys.modules.get("torch")
    return repr((random.getstate(), numpy, torch.get_rng_state().tolist() if torch else None))


def leaves_what_it_is_told(plugin: AnyOptimizer) -> Problem:
    """Tell changes neither the points nor the losses."""
    assembly = _assembly(plugin)
    plain = issubclass(plugin.cls, Optimizer)
    optimizer = _in_box(plugin, assembly.task.space) if plain else assembly.optimizer()[0]
    spent = 0
    while spent < assembly.spec.budget:
        asked: Any = optimizer.ask()
        x: Array = asked if plain else asked.dense()
        losses = _evaluated(assembly.task, Dense(x))
        spent += len(losses)
        kept = x.copy(), losses.copy()
        optimizer.tell(*([x, losses] if plain else [losses]))
        if not (np.array_equal(x if plain else asked.dense(), kept[0]) and np.array_equal(losses, kept[1])):
            return "what was told has changed afterwards"
    return ""


def _in_box(plugin: AnyOptimizer, space: Space) -> Any:
    """Build a plain optimizer in a task's own space."""
    return plugin.construct(space, budget=spendable(plugin, _BUDGET), rng=np.random.default_rng(0))


def survives_failures(plugin: AnyOptimizer) -> Problem:
    """It goes on when single evaluations, and all of the first, fail."""
    told = 0

    def spoil(losses: Array) -> Array:
        nonlocal told
        failed = (np.arange(told, told + len(losses)) < 25) | (np.arange(told, told + len(losses)) % 3 == 0)
        told += len(losses)
        return np.where(failed, np.inf, losses)

    _drive(_assembly(plugin), spoil)
    return ""


def stays_inside(plugin: AnyOptimizer) -> str:
    """Outside the box."""
    if not issubclass(plugin.cls, Optimizer):
        return "none: the lift clips"
    task = Bowl(np.linspace(-0.5, 0.5, _DIM), bounded=True)
    optimizer = _in_box(plugin, task.space)
    outside: list[bool] = []
    while len(outside) < optimizer.budget:
        x = optimizer.ask()
        outside += (x != task.space.clip(x)).any(axis=1).tolist()
        optimizer.tell(x, _evaluated(task, Dense(x)))
    return f"{np.mean(outside):.0%}"


def seeds_differ(plugin: AnyOptimizer) -> str:
    """Seeds differ."""
    return "yes" if _drive(_assembly(plugin)) != _drive(_assembly(plugin, seed=1)) else "no"


def beats_random_search_in_2(plugin: AnyOptimizer) -> str:
    """Random search, d = 2."""
    return race(plugin, 2)


def beats_random_search_in_10(plugin: AnyOptimizer) -> str:
    """Random search, d = 10."""
    return race(plugin, 10)


RACE_SEEDS, RACE_BUDGET, RACE_LEVEL = 6, 100, 0.05
"""Runs and evaluations of the race against random search, and how often it may call equals better or worse."""


def race(plugin: AnyOptimizer, dim: int, budget: int = RACE_BUDGET) -> str:
    """Compare the best losses of shifted spheres with those of 60 random searches: Mann & Whitney, two-sided.

    Return better, equal or worse.
    """
    rng = np.random.default_rng(0)

    def shift() -> Array:
        return rng.uniform(-0.8, 0.8, dim)

    best = [
        min(_losses(_run(plugin, Bowl(shift(), bounded=True), Whole(), dim, budget, seed)))
        for seed in range(RACE_SEEDS)
    ]
    draws = [((rng.uniform(-1, 1, (budget, dim)) - shift()) ** 2).sum(axis=1).min() for _ in range(60)]
    if mannwhitneyu(best, draws).pvalue > RACE_LEVEL:
        return "equal"
    return "better" if np.median(best) < np.median(draws) else "worse"


def costs(plugin: AnyOptimizer) -> str:
    """Cost, d = 500."""
    assembly = _run(plugin, Bowl(np.full(500, 0.3), bounded=False), Whole(), 500, 40)
    begin = time.process_time()
    spent = len(_losses(assembly))
    return f"{1e3 * (time.process_time() - begin) / spent:.2g} ms"


def _losses(assembly: Assembly) -> list[float]:
    """Run an optimizer to its budget and return the losses of it, cut where the last batch crosses it."""
    losses: list[float] = []

    def note(batch: Array) -> Array:
        losses.extend(batch.tolist())
        return batch

    _drive(assembly, note)
    return losses[: assembly.spec.budget]


REPORTS = (stays_inside, seeds_differ, beats_random_search_in_2, beats_random_search_in_10, costs)
"""What is reported of every optimizer; each docstring is a title."""


def _task(plugin: Plugin[Task], seed: int = 0) -> Task:
    return plugin.construct(rngs=streams(seed))


def _some_points(task: Task, count: int = 3) -> Points:
    z = np.random.default_rng(0).standard_normal((count, min(3, task.space.dim)))
    if not z.shape[1]:
        return Dense(z)
    return Gaussian().draw(task.space, z.shape[1], 0, 0).lift(z)


def evaluates(plugin: Plugin[Task]) -> Problem:
    """It returns one loss a point, a number or nan, and the start can be evaluated."""
    task = _task(plugin)
    losses = task.evaluate(_some_points(task))
    if np.shape(losses) != (3,):
        return f"3 points gave losses of shape {np.shape(losses)}"
    start = task.evaluate(task.space.start)
    if np.shape(start) != (1,) or not np.isfinite(start).all():
        return f"the start has the loss {start}"
    if task.optimum is not None and min(np.nanmin(losses), start[0]) < task.optimum - task.tolerance - 1e-9:
        return f"a loss of {min(np.nanmin(losses), start[0])} is below the optimum {task.optimum}"
    return ""


def evaluates_alike(plugin: Plugin[Task]) -> Problem:
    """The same points have the same losses: to the bit in the same batch, to its tolerance in any other."""
    task = _task(plugin)
    points = _some_points(task)
    losses = task.evaluate(points)
    if not np.array_equal(task.evaluate(points), losses, equal_nan=True):
        return "two evaluations of one batch differ"
    if not np.array_equal(_task(plugin).evaluate(points), losses, equal_nan=True):
        return "two tasks of one seed differ"
    single = np.concatenate([task.evaluate(points[i : i + 1]) for i in range(len(points))])
    if not np.array_equal(np.isnan(single), np.isnan(losses)):
        return "one by one other points fail"
    # Equal infinities differ by nothing, and have no difference.
    error = float(np.abs(np.subtract(single, losses, where=single != losses, out=np.zeros(len(losses)))).max())
    if np.isnan(losses).all() or error <= task.tolerance:
        return ""
    return f"one by one the losses differ by {error:.3g}, more than its tolerance of {task.tolerance:g}"


def measures(plugin: Plugin[Task]) -> Problem:
    """Every split it names can be scored, with the metric that selects."""
    task = _task(plugin)
    for split in task.splits:
        metrics, _ = task.measure(task.space.start, split)
        if task.metric not in metrics:
            return f"{split} has {sorted(metrics)} and no {task.metric!r}"
        if not all(np.isfinite(value) for value in metrics.values()):
            return f"{split} has {metrics}"
    return ""


def _embedding(plugin: Plugin[Projection]) -> Embedding:
    projection = plugin.construct()
    space = projection.example or Space(200, None, None, Anchor.origin(200), 0.5)
    bounded = replace(space, lower=-1.0, upper=1.0)
    return projection.draw(bounded, space.dim if projection.whole else min(40, space.dim), 0, 0)


def rows_are_pure(plugin: Plugin[Projection]) -> Problem:
    """A row is the same whatever was read before it, alone or in a block."""
    embedding = _embedding(plugin)
    last = embedding.space.dim - 1
    whole = _embedding(plugin).rows(np.arange(last + 1))
    for index in ([last], [3, 4, 5, 0], [7, 7], [last // 2]):
        if not np.array_equal(embedding.rows(np.array(index)), whole[index]):
            return f"rows {index} differ from those of the whole"
    return ""


def lifts_consistently(plugin: Plugin[Projection]) -> Problem:
    """Coordinates on demand are those of the whole point, inside the task's bounds."""
    embedding = _embedding(plugin)
    last = embedding.space.dim - 1
    z = np.random.default_rng(1).standard_normal((5, embedding.dim)) * 3
    points = embedding.lift(z)
    dense, index = points.dense(), np.array([5, last // 2, 6, last])
    if not np.allclose(points.at(index), dense[:, index], rtol=0, atol=1e-12):
        return "at() and dense() disagree"
    return "" if (np.abs(dense) <= 1).all() else "a lifted point is out of bounds"


def has_unit_variance(plugin: Plugin[Projection]) -> Problem:
    """A unit z gives every coordinate unit variance."""
    embedding = _embedding(plugin)
    variance = float((embedding.rows(np.arange(embedding.space.dim)) ** 2).sum(axis=1).mean())
    return "" if abs(variance - 1) < 0.1 else f"the variance is {variance:.3f}"


CHECKS: dict[str, list[Callable[[Any], Problem]]] = {
    "optimizer": [
        asks_well,
        survives_a_budget_of_one,
        repeats_itself,
        repeats_in_another_process,
        leaves_global_state,
        leaves_what_it_is_told,
        survives_failures,
    ],
    "task": [evaluates, evaluates_alike, measures],
    "projection": [rows_are_pure, lifts_consistently, has_unit_variance],
}
"""The checks of every kind of plugin; the first line of each docstring is its title."""
