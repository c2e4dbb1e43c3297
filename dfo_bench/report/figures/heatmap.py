"""The heatmap: scores normalised by pooled random search, methods x tasks."""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from dfo_bench.report.figures.canvas import LETTER, LINE, SETTINGS, SHADES, SMALL, fit, size, wrap
from dfo_bench.report.format import MISSING
from dfo_bench.report.rules import STANDARD, Rules
from dfo_bench.report.scores import by_block
from dfo_bench.report.stats.intervals import mean_interval
from dfo_bench.report.stats.scale import normalise

_SIDE = 0.3
"""The share of the width that names take."""

_NARROW = 0.62
"""Inches that a cell needs for an interval."""


_TINY = 0.34
"""Inches that a mean needs that does not stand upright."""

_UPRIGHT = 24
"""Letters of a line of a head that stands upright, for want of room."""


def draw(runs: pd.DataFrame, curves: pd.DataFrame, *, rules: Rules = STANDARD, style: str = "two-column") -> Figure:
    """Draw a cell per method and task: the mean score over seeds, its bounds, and the number of runs.

    Raises InputError where there is no random search to normalise by, or nothing better than it.
    """
    width, _ = size(style)
    blocks = by_block(normalise(runs, curves, budget=rules.budget, counting=rules.counting))
    tasks = list(blocks.index.unique("task"))
    mean = blocks.groupby("task").mean().T
    order = list(mean.mean(axis="columns").sort_values(ascending=False, kind="stable").index)
    per_task = {task: mean_interval(blocks.loc[task, order].to_numpy()) for task in tasks}
    names = fit(order, int(_SIDE * width / SMALL) - 1)
    cell = (1 - _SIDE) * width / len(tasks)
    upright = cell < _NARROW
    heads = fit(tasks, _UPRIGHT, max(1, int(cell / LINE))) if upright else fit(tasks, int(cell / SMALL) - 1)
    tall = max(
        _TINY if cell < _TINY else 0.2 if cell > 2 or cell < _NARROW else 0.4,
        LINE * max(1 + name.count("\n") for name in names),
    )
    head = (LETTER * _UPRIGHT if upright else LINE * max(1 + name.count("\n") for name in heads)) + 0.08
    words = "loss on a scale of each task: 0 for random search of the same seed, 1 for the best of all runs; "
    shown = "its 95% interval, number of seeds" if cell >= _NARROW else "without intervals for want of room"
    note = wrap(f"{words}mean over seeds, {shown}", int(width / LETTER))
    foot = 0.13 * (note.count("\n") + 1) + 0.12
    with matplotlib.rc_context(SETTINGS):
        height = head + tall * len(order) + foot
        figure = Figure(figsize=(width, height))
        axes = figure.add_axes((_SIDE, foot / height, 0.99 - _SIDE, tall * len(order) / height))
        shades = np.array([np.where(np.isinf(m := mean.loc[order, task].to_numpy()), 0, m) for task in tasks]).T
        axes.imshow(shades, cmap=SHADES, vmin=0, vmax=1, aspect="auto")
        for x, task in enumerate(tasks):
            counts = blocks.loc[task, order].notna().sum()
            for y, method in enumerate(order):
                low, high = (bound[y] for bound in per_task[task][1:])
                axes.text(
                    x,
                    y,
                    _text(mean.loc[method, task], low, high, int(counts[method]), cell),
                    ha="center",
                    va="center",
                    fontsize=7 if cell > 0.8 else 5.5,
                    linespacing=1.0,
                    rotation=90 if cell < _TINY else 0,
                )
        axes.set_xticks(range(len(tasks)), heads, fontsize=7, linespacing=0.95, rotation=90 if upright else 0)
        axes.set_yticks(range(len(order)), names, fontsize=7, linespacing=0.95)
        axes.tick_params(length=0, top=False, bottom=False, labeltop=True, labelbottom=False)
        axes.set_xticks(np.arange(1, len(tasks)) - 0.5, minor=True)
        axes.set_yticks(np.arange(1, len(order)) - 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=1)
        axes.tick_params(which="minor", length=0)
        figure.text(0.5, 0.05 / height, note, ha="center", va="bottom", fontsize=7)
    return figure


def _text(mean: float, low: float, high: float, n: int, cell: float) -> str:
    """Write a cell: in one line where it is wide, the mean alone where it is narrow."""
    if not n:
        return MISSING
    if np.isinf(mean):
        return "no loss"
    parts = [_number(mean)]
    if cell >= _NARROW:
        parts += [f"{_number(low)} to {_number(high)}"] if n > 1 else []
        parts += [f"n {n}"]
    return ("   " if cell > 2 else "\n").join(parts)


def _number(value: float) -> str:
    written = f"{round(value, 2) + 0.0:.2f}" if abs(value) < 100 else f"{value:.0e}"
    return written.replace("-", "\N{MINUS SIGN}")
