"""Run-time distributions: the share of runs and targets that are hit within so many evaluations."""

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

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
from dfo_bench.report.rules import STANDARD, Rules
from dfo_bench.report.stats.targets import LADDER, hits, run_time_ecdf


def draw(runs: pd.DataFrame, curves: pd.DataFrame, *, rules: Rules = STANDARD, style: str = "two-column") -> Figure:
    """Draw a panel per task, and one of all together; raise InputError where no run improves on its beginning."""
    size(style)
    hit = hits(runs, curves, budget=rules.budget, counting=rules.counting)
    panels = {str(task): members for task, members in hit.groupby("task", sort=True)}
    if len(panels) > 1:
        panels["all tasks"] = hit
    methods = {label: look for label, look in methods_of(runs).items() if label in set(hit["method"])}
    numbers = hit.groupby(["task", "method"])["seed"].nunique()
    words = f"share of runs and of {len(LADDER)} targets, from the beginning of a block to its best; "
    words += f"mean and its 95% interval over {seeds(numbers)} of each task{where(methods)}"
    with matplotlib.rc_context(SETTINGS):
        figure, axes = open_figure(len(panels), style, list(methods.values()), words)
        for panel, members in zip(axes, panels.values(), strict=True):
            panel.set_xscale("log")
            draw_bands(panel, run_time_ecdf(members), "evaluations", "share", methods)
            panel.set_ylim(-0.02, 1.02)
            panel.set_xlabel("evaluations")
            panel.set_ylabel("share of targets hit")
        name_panels(axes, list(panels), style)
    return figure
