"""The checks of tasks: the contract that every one must keep."""

import numpy as np

from dfo_bench.core import Dense, Points, Task
from dfo_bench.plugins.plugin import Plugin
from dfo_bench.runs.columns import meets
from dfo_bench.runs.spec import streams
from dfo_bench.testing.bowl import Sketch
from dfo_bench.testing.checks import Problem


def _task(plugin: Plugin[Task]) -> Task:
    return plugin.construct(rngs=streams(0))


def _three_points(task: Task) -> Points:
    z = np.random.default_rng(0).standard_normal((3, min(3, task.space.dim)))
    if not z.shape[1]:
        return Dense(z)
    return Sketch().draw(task.space, z.shape[1], 0, 0).lift(z)


def evaluates(plugin: Plugin[Task]) -> Problem:
    """It returns one loss per point, a number or nan, and the start can be evaluated."""
    task = _task(plugin)
    losses = task.evaluate(_three_points(task))
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
    points = _three_points(task)
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


def tells_outputs(plugin: Plugin[Task]) -> Problem:
    """If it has outputs, its losses are the outer function of these, whose gradient is that of its differences."""
    task = _task(plugin)
    if task.outer is None or not task.space.dim:
        return ""
    points = _three_points(task)
    outputs, losses = np.asarray(task.outputs(points)), task.evaluate(points)
    if outputs.shape != (wanted := (3, *task.outer.shape)):
        return f"outputs have shape {outputs.shape}; they must be {wanted}"
    # As an optimizer sees them.
    told = outputs.astype(np.float32).astype(float)
    off = np.abs(task.outer.loss(told) - losses) > task.tolerance + 1e-5 * np.abs(losses)
    if off.any():
        return f"the outer function gives {task.outer.loss(told)} where the losses are {losses}"
    gradients = task.outer.gradient(told)
    if gradients.shape != told.shape:
        return f"the outer function's gradients have shape {gradients.shape}; they must be {told.shape}"
    step = 1e-5 * np.random.default_rng(0).standard_normal(told.shape) * max(1.0, float(np.abs(told).max()))
    change = task.outer.loss(told + step) - task.outer.loss(told - step)
    slope = 2 * (gradients * step).sum(axis=tuple(range(1, told.ndim)))
    if not np.allclose(change, slope, rtol=1e-3, atol=1e-3 * np.abs(slope).max() + 1e-12):
        return f"along a small step the outer function changes by {change}, and its gradient says {slope}"
    return ""


def takes_examples(plugin: Plugin[Task]) -> Problem:
    """If it can be evaluated on some examples, what parts say adds up to the whole, and a part that fails fails it."""
    task = _task(plugin)
    if task.no_examples or task.outer is None or not task.space.dim:
        return ""
    points, count = _three_points(task), task.outer.shape[0]
    parts = [part.tolist() for part in np.array_split(np.random.default_rng(0).permutation(count), 3) if len(part)]
    losses = [task.evaluate_on(points, part) for part in parts]
    if shapes := [np.shape(some) for some in losses if np.shape(some) != (3,)]:
        return f"3 points gave losses of shape {shapes[0]} on some examples"
    added = sum(len(part) / count * some for part, some in zip(parts, losses, strict=True))
    whole = task.evaluate(points)
    if np.allclose(added, whole, rtol=1e-9, atol=task.tolerance, equal_nan=True):
        return ""
    return f"the losses on parts add up to {added}, and the whole losses are {whole}"


def measures(plugin: Plugin[Task]) -> Problem:
    """Every split it names can be scored, with the metric that selects."""
    task = _task(plugin)
    for split in task.splits:
        metrics = task.score(task.space.start, split).metrics
        if task.metric not in metrics:
            return f"{split} has {sorted(metrics)} and no {task.metric!r}"
        if not all(np.isfinite(value) for value in metrics.values()):
            return f"{split} has {metrics}"
        if taken := [metric for metric in metrics if meets(metric)]:
            return f"{split} has a metric {taken[0]!r}, whose column {meets(taken[0])} is taken; rename it"
    return ""


CHECKS = (evaluates, evaluates_alike, tells_outputs, takes_examples, measures)
"""The checks of a task; each docstring is a title."""
