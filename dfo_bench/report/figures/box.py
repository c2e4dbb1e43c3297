"""Single runs: their scores, as points and boxes."""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dfo_bench.core import Array
from dfo_bench.errors import InputError
from dfo_bench.report.figures.canvas import (
    LINE,
    MARKERS,
    SETTINGS,
    SMALL,
    fit,
    methods_of,
    name_panels,
    open_figure,
    size,
)
from dfo_bench.report.labels import Look
from dfo_bench.report.rules import STANDARD, Rules
from dfo_bench.report.scores import scores
from dfo_bench.report.stats.scale import spans_decades

FEW = 5
"""From this number of runs on they have a box."""

_OF = "\N{NO-BREAK SPACE}of\N{NO-BREAK SPACE}"


def draw(runs: pd.DataFrame, curves: pd.DataFrame, *, rules: Rules = STANDARD, style: str = "two-column") -> Figure:
    """Draw a panel per task: a point per run, the median of each method, and a box of quartiles from FEW runs on.

    A run without a score cannot be drawn; the method's name says how many there are. Raises InputError where none has.
    """
    width, across = size(style)
    scored = scores(runs, curves, metric=rules.metric, budget=rules.budget, counting=rules.counting)
    tasks = sorted(scored.loc[np.isfinite(scored["score"]), "task"].unique())
    if not tasks:
        raise InputError(f"nothing to draw: none of the {len(scored)} runs that count has a {rules.name}")
    methods = [label for label in methods_of(runs) if label in set(scored["method"])]
    looks = methods_of(runs)
    columns = min(across, len(tasks))
    letters = int(0.36 * width / columns / SMALL)
    lines = max(name.count("\n") + 1 for name in fit([f"{name} (3{_OF}3)" for name in methods], letters))
    height = 0.65 + len(methods) * max(0.22, LINE * lines * 0.9)
    words = "runs and their median" + (
        f", quartiles from {FEW} runs on" if (scored.groupby(["task", "method"]).size() >= FEW).any() else ""
    )
    with matplotlib.rc_context(SETTINGS):
        figure, axes = open_figure(len(tasks), style, title=words, height=height)
        for panel, task in zip(axes, tasks, strict=True):
            own = scored[scored["task"] == task]
            names = []
            for place, method in enumerate(methods):
                values = own.loc[own["method"] == method, "score"].to_numpy(dtype=float)
                finite = values[np.isfinite(values)]
                lacking = "" if len(finite) == len(values) else f" ({len(finite)}{_OF}{len(values)})"
                names.append(method + (lacking if len(values) else " (none)"))
                _draw_method(panel, finite, place, looks[method])
            panel.set_yticks(range(len(methods)), fit(names, letters), fontsize=7, linespacing=0.95)
            panel.set_ylim(len(methods) - 0.5, -0.5)
            if spans_decades(own["score"]):
                panel.set_xscale("log")
            panel.set_xlabel(rules.name)
            panel.grid(axis="x", alpha=0.25, linewidth=0.5)
        name_panels(axes, tasks, style, 0.6)
    return figure


def _draw_method(axes: Axes, values: Array, place: int, look: Look) -> None:
    if not len(values):
        return
    if len(values) >= FEW:
        axes.boxplot(
            values, positions=[place], widths=0.6, orientation="horizontal", showfliers=False, manage_ticks=False,
            medianprops={"color": "black", "linewidth": 1.6}, boxprops={"linewidth": 0.7},
        )  # fmt: skip
    else:
        middle = float(np.median(values))
        axes.plot([middle, middle], [place - 0.3, place + 0.3], color="black", lw=1.6)
    axes.plot(
        values, np.full(len(values), place), linestyle="", marker=MARKERS[look.marker], markersize=3.5,
        color=look.colour, markerfacecolor="none", markeredgewidth=0.8,
    )  # fmt: skip
