"""Ranks: the mean rank of each method over the budget."""

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from dfo_bench.report.figures.canvas import SETTINGS, draw_bands, methods_of, open_figure, size, where
from dfo_bench.report.rules import STANDARD, Rules
from dfo_bench.report.scores import common_budgets, name_methods
from dfo_bench.report.stats.ranks import ranks_over_budget


def draw(runs: pd.DataFrame, curves: pd.DataFrame, *, rules: Rules = STANDARD, style: str = "two-column") -> Figure:
    """Draw the mean rank of each method among all, the best on top; raise InputError where ranks lack something."""
    size(style)
    ranks = ranks_over_budget(runs, curves, counting=rules.counting)
    methods = {label: look for label, look in methods_of(runs).items() if label in set(ranks["method"])}
    budgets = common_budgets(name_methods(runs, rules.counting)).unique()
    blocks = int(ranks["n"].iloc[0])
    words = f"mean rank and its 95% interval over {blocks} block{'s' * (blocks > 1)} (task and seed){where(methods)}"
    with matplotlib.rc_context(SETTINGS):
        figure, (panel,) = open_figure(1, style, list(methods.values()), words, height=2.6)
        unit = budgets[0] if len(budgets) == 1 else 1
        draw_bands(panel, ranks.assign(at=ranks["share"] * unit), "at", "rank", methods)
        panel.set_ylim(len(methods) + 0.2, 0.8)
        panel.set_xlabel("evaluations" if len(budgets) == 1 else "share of the task's budget")
        panel.set_ylabel("mean rank")
    return figure
