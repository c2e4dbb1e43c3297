"""The overhead: the seconds of an optimizer beside those of its task."""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from dfo_bench.errors import InputError
from dfo_bench.report.figures.canvas import LINE, SETTINGS, SMALL, fit, name_panels, open_figure, size
from dfo_bench.report.rules import STANDARD, Rules
from dfo_bench.report.scores import name_methods

_COSTS = {"task_seconds": ("task", "s", "white"), "optimizer_seconds": ("optimizer", "o", "black")}
"""Of each column: its word, its marker and what fills it."""


def draw(runs: pd.DataFrame, curves: pd.DataFrame, *, rules: Rules = STANDARD, style: str = "two-column") -> Figure:
    """Draw a panel per task: the seconds that an evaluation takes, and those that its optimizer takes to propose it.

    A point is the median over runs, its line reaches from the least to the most. Raises InputError where no run has
    both evaluations and times.
    """
    width, across = size(style)
    members = name_methods(runs, rules.counting).reindex(columns=["task", "method", "evaluations", *_COSTS])
    members = members[(members["evaluations"] > 0) & (members[list(_COSTS)].max(axis="columns") > 0)]
    if members.empty:
        raise InputError(f"nothing to draw: none of the {len(runs)} runs has evaluations and their seconds")
    each = members[list(_COSTS)].astype(float).div(members["evaluations"].astype(float), axis="index")
    each = each.where(each > 0)
    tasks, methods = sorted(members["task"].unique()), sorted(members["method"].unique())
    columns = min(across, len(tasks))
    letters = int(0.36 * width / columns / SMALL)
    names = fit(methods, letters)
    height = 0.65 + len(methods) * max(0.22, LINE * 0.9 * max(1 + name.count("\n") for name in names))
    with matplotlib.rc_context(SETTINGS):
        words = "wall seconds per evaluation: median over runs, from the least to the most"
        figure, axes = open_figure(len(tasks), style, title=words, height=height)
        for panel, task in zip(axes, tasks, strict=True):
            for (column, (word, marker, fill)), shift in zip(_COSTS.items(), (-0.12, 0.12), strict=True):
                own = each[members["task"] == task].groupby(members["method"])[column]
                spread = own.agg(["min", "median", "max"]).reindex(methods)
                at = np.arange(len(methods)) + shift
                panel.hlines(at, spread["min"], spread["max"], color="black", linewidth=0.8)
                panel.plot(spread["median"], at, marker=marker, markerfacecolor=fill, color="black", linestyle="",
                           markersize=4, label=word)  # fmt: skip
            panel.set_xscale("log")
            panel.set_yticks(range(len(methods)), names, fontsize=7, linespacing=0.95)
            panel.set_ylim(len(methods) - 0.5, -0.5)
            panel.set_xlabel("seconds per evaluation")
            panel.grid(axis="x", alpha=0.25, linewidth=0.5)
        name_panels(axes, tasks, style, 0.6)
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=2)
    return figure
