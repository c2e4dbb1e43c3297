"""Curves: the incumbent's loss over evaluations, or against what they cost."""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from dfo_bench.errors import InputError
from dfo_bench.report.figures.canvas import (
    SETTINGS,
    draw_bands,
    methods_of,
    name_panels,
    open_figure,
    seeds,
    size,
    where,
)
from dfo_bench.report.labels import SERIES, Look, looks
from dfo_bench.report.rules import AXES, STANDARD, Rules
from dfo_bench.report.scores import name_methods
from dfo_bench.report.stats.bands import loss_bands
from dfo_bench.report.stats.costs import add_costs
from dfo_bench.report.stats.intervals import LEVEL, median_level
from dfo_bench.report.stats.scale import spans_decades
from dfo_bench.runs.columns import GROUP


def draw(runs: pd.DataFrame, curves: pd.DataFrame, *, rules: Rules = STANDARD, style: str = "two-column") -> Figure:
    """Draw a panel per task: of each group the median over seeds and its bootstrap bounds.

    Raises InputError for an unknown style, and where no run has a loss, or the cost of none is known: an empty figure
    says nothing.
    """
    size(style)
    members = name_methods(runs, rules.counting)
    bands = loss_bands(members, add_costs(members, curves, curves), rules.against, counting=rules.counting)
    bands = bands[np.isfinite(bands["median"])].replace(np.inf, np.nan)
    calls = rules.against == STANDARD.against
    if bands.empty:
        lacking = "" if calls else f", or none of them knows its {AXES[rules.against].name}"
        raise InputError(
            f"nothing to draw: no group of the {len(runs)} runs has a loss in half of its seeds yet{lacking}"
        )
    look = looks(runs)
    bands = bands.assign(method=[look[group].label for group in bands[SERIES].itertuples(index=False, name=None)])
    tasks = sorted(bands["task"].unique())
    methods = {label: one for label, one in methods_of(runs).items() if label in set(bands["method"])}
    with matplotlib.rc_context(SETTINGS):
        figure, axes = open_figure(len(tasks), style, list(methods.values()), _legend_title(members, methods))
        for panel, task in zip(axes, tasks, strict=True):
            own = bands[bands["task"] == task]
            draw_bands(panel, own, rules.against, "median", methods)
            if spans_decades(own["median"]):
                panel.set_yscale("log")
            panel.set_ylabel("loss of the incumbent")
            panel.set_xlabel("evaluations" if calls else AXES[rules.against].name)
        name_panels(axes, tasks, style)
    return figure


def _legend_title(runs: pd.DataFrame, methods: dict[str, Look]) -> str:
    numbers = runs.groupby(GROUP)["seed"].nunique()
    if numbers.max() == 1:
        return "one seed: no bounds"
    level = median_level(int(numbers.min()))
    few = f" ({level:.0%} is what so few reach)" if level < LEVEL and numbers.min() > 1 else ""
    return f"median and its {LEVEL:.0%} bootstrap interval over {seeds(numbers)}{few}{where(methods)}"
