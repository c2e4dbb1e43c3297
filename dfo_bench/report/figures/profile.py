"""Data and performance profiles: how many problems are solved, and how fast beside the fastest."""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from dfo_bench.report.figures.canvas import SETTINGS, draw_bands, methods_of, name_panels, open_figure, size
from dfo_bench.report.rules import STANDARD, Rules
from dfo_bench.report.scores import BLOCK
from dfo_bench.report.stats.targets import data_profile, hits, performance_profile

TARGET = 0.1
"""A block counts as solved nine tenths of the way from its beginning to the best that any run reached."""


def draw(runs: pd.DataFrame, curves: pd.DataFrame, *, rules: Rules = STANDARD, style: str = "two-column") -> Figure:
    """Draw both profiles over the blocks of all tasks; raise InputError where nothing improves."""
    size(style)
    hit = hits(runs, curves, np.array([TARGET]), budget=rules.budget, counting=rules.counting)
    methods = {label: look for label, look in methods_of(runs).items() if label in set(hit["method"])}
    blocks = len(hit[BLOCK].drop_duplicates())
    words = f"share of {blocks} block{'s' * (blocks > 1)} (task and seed) solved to {1 - TARGET:.0%} of the best"
    with matplotlib.rc_context(SETTINGS):
        figure, axes = open_figure(2, style, list(methods.values()), words)
        draw_bands(axes[0], data_profile(hit, TARGET).assign(low=np.nan, high=np.nan), "gradients", "share", methods)
        axes[0].set_xlabel("evaluations / (dimension + 1)")
        ratios = performance_profile(hit, TARGET).assign(low=np.nan, high=np.nan)
        axes[1].set_xscale("log", base=2)
        draw_bands(axes[1], ratios, "ratio", "share", methods)
        axes[1].xaxis.set_major_formatter("{x:g}")
        axes[1].set_xlabel("evaluations / the fastest method's")
        for panel in axes:
            panel.set_ylim(-0.02, 1.02)
            panel.set_ylabel("share solved")
        name_panels(axes, ["data profile", "performance profile"], style)
    return figure
