"""Speedups: how many times less each method spends for the loss that a reference has at a budget."""

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from dfo_bench.report.figures.canvas import SETTINGS, line, methods_of, open_figure, size
from dfo_bench.report.rules import AXES, STANDARD, Rules
from dfo_bench.report.stats.speedup import mean_speedups, speedups


def draw(runs: pd.DataFrame, curves: pd.DataFrame, *, rules: Rules = STANDARD, style: str = "two-column") -> Figure:
    """Draw a line per method over the reference's evaluations, with the bounds of its mean; 1 is as fast as that.

    Raises InputError where the reference has no run, or no other has one on its tasks and seeds.
    """
    size(style)
    found = speedups(runs, curves, rules.reference, budget=rules.budget, against=rules.against, counting=rules.counting)
    means = mean_speedups(found)
    looks = methods_of(runs)
    methods = sorted(set(means["method"]))
    alike = means["evaluations"].notna().all()
    blocks = len(found[["task", "seed"]].drop_duplicates())
    words = f"geometric mean and its 95% bootstrap interval over {blocks} block{'s' * (blocks > 1)} (task and seed); "
    words += "a loss that is not reached is a ratio of at most 1"
    with matplotlib.rc_context(SETTINGS):
        figure, (panel,) = open_figure(1, style, [looks[method] for method in methods], words, height=2.6)
        for place, (method, own) in enumerate(means.groupby("method", sort=True)):
            x = own["evaluations"] if alike else 100 * own["share"]
            x = x + (place - (len(methods) - 1) / 2) * 0.006 * float(x.max())
            look = {**line(looks[str(method)]), "drawstyle": "default"}
            panel.plot(x, own["ratio"], **look)
            panel.vlines(x, own["low"], own["high"], color=look["color"], linewidth=0.7, alpha=0.8)
        panel.axhline(1.0, color="black", linewidth=0.6)
        panel.set_yscale("log", base=2)
        panel.yaxis.set_major_formatter("{x:g}")
        panel.grid(alpha=0.25, linewidth=0.5)
        panel.set_xlabel(f"calls of {rules.reference}" + ("" if alike else ", % of its budget"))
        panel.set_ylabel(f"times fewer {AXES[rules.against].name}")
    return figure
