"""Scores normalised by pooled random search, methods x tasks."""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from dfo_bench.report.anytime import normalised
from dfo_bench.report.figures.canvas import LETTER, LINE, SETTINGS, SHADES, SMALL, size, wrap
from dfo_bench.report.intervals import mean_interval
from dfo_bench.report.outcomes import by_block
from dfo_bench.report.rules import STANDARD, Rules
from dfo_bench.report.units import MISSING

_SIDE = 0.3
"""The share of the width that names take."""


def draw_heatmap(
    runs: pd.DataFrame, curves: pd.DataFrame, *, rules: Rules = STANDARD, style: str = "two-column"
) -> Figure:
    """Draw a cell a method and task: the mean score over seeds, its bounds, and the number of runs.

    Raises InputError where there is no random search to normalise by, or nothing better than it.
    """
    width, _ = size(style)
    blocks = by_block(normalised(runs, curves, budget=rules.budget, counting=rules.counting))
    tasks = list(blocks.index.unique("task"))
    mean = blocks.groupby("task").mean().T
    order = list(mean.mean(axis="columns").sort_values(ascending=False, kind="stable").index)
    per_task = {task: mean_interval(blocks.loc[task, order].to_numpy()) for task in tasks}
    names = [wrap(name, int(_SIDE * width / SMALL) - 1) for name in order]
    cell = (1 - _SIDE) * width / len(tasks)
    heads = [wrap(task, int(cell / SMALL) - 1) for task in tasks]
    tall = max(0.26, LINE * max(1 + name.count("\n") for name in names))
    head = LINE * max(1 + name.count("\n") for name in heads) + 0.08
    words = "loss on a scale of each task: 0 for random search of the same seed, 1 for the best of all runs; "
    note = wrap(words + "mean over seeds, its 95% interval, number of seeds", int(width / LETTER))
    foot = 0.13 * (note.count("\n") + 1) + 0.12
    with matplotlib.rc_context(SETTINGS):
        height = head + tall * len(order) + foot
        figure = Figure(figsize=(width, height))
        axes = figure.add_axes((_SIDE, foot / height, 0.99 - _SIDE, tall * len(order) / height))
        shades = np.array([np.where(np.isinf(m := mean.loc[order, task].to_numpy()), 0, m) for task in tasks]).T
        axes.imshow(np.ma.masked_invalid(shades), cmap=SHADES, vmin=0, vmax=1, aspect="auto")
        for x, task in enumerate(tasks):
            counts = blocks.loc[task, order].notna().sum()
            for y, method in enumerate(order):
                low, high = (bound[y] for bound in per_task[task][1:])
                axes.text(x, y, _text(mean.loc[method, task], low, high, int(counts[method]), cell), ha="center",
                          va="center", fontsize=7 if cell > 0.8 else 5.5, linespacing=1.0)  # fmt: skip
        axes.set_xticks(range(len(tasks)), heads, fontsize=7, linespacing=0.95)
        axes.set_yticks(range(len(order)), names, fontsize=7, linespacing=0.95)
        axes.tick_params(length=0, top=False, bottom=False, labeltop=True, labelbottom=False)
        figure.text(0.5, 0.05 / height, note, ha="center", va="bottom", fontsize=7)
    return figure


def _text(mean: float, low: float, high: float, n: int, cell: float) -> str:
    """Write a cell in one line where it is wide, else in two."""
    if not n or np.isnan(mean):
        return "no scale" if n else MISSING
    if np.isinf(mean):
        return f"no loss, n {n}"
    bounds = f"{low:.2f} to {high:.2f}, " if n > 1 else ""
    return f"{round(mean, 2) + 0.0:.2f}{'  ' if cell > 1.5 else chr(10)}({bounds}n {n})"
