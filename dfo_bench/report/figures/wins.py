"""The win matrix: how often one method beats another."""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from dfo_bench.errors import InputError
from dfo_bench.report.figures.canvas import LETTER, SETTINGS, SHADES, SMALL, fit, size, wrap
from dfo_bench.report.format import MISSING, TO
from dfo_bench.report.rules import STANDARD, Rules
from dfo_bench.report.scores import scores
from dfo_bench.report.stats.comparisons import win_matrix

_SIDE = 0.3
"""The share of the width that names take."""


def draw(runs: pd.DataFrame, curves: pd.DataFrame, *, rules: Rules = STANDARD, style: str = "two-column") -> Figure:
    """Draw a cell per pair of methods: the share of blocks that the row wins, its exact bounds, the number of blocks.

    Raises InputError for fewer than two methods, and for more than the width has room for.
    """
    width, _ = size(style)
    scored = scores(runs, curves, metric=rules.metric, budget=rules.budget, counting=rules.counting)
    cells = win_matrix(scored, rules.metric, margin=rules.margin)
    table = cells.pivot_table(index="first", columns="second", values="estimate", dropna=False)
    order = list(table.mean(axis="columns").sort_values(ascending=False, kind="stable").index)
    count = len(order)
    cell = (1 - _SIDE) * width / (count + 0.3)
    if cell < 0.26:
        most = int((1 - _SIDE) * width / 0.26 - 0.3)
        raise InputError(f"{count} methods do not fit into {style}, which has room for {most}; compare fewer")
    names = fit([f"{place}  {name}" for place, name in enumerate(order, 1)], int(_SIDE * width / SMALL) - 1)
    letters = min(7.0, 72 * cell / (6.5 * 0.6))
    shown = table.loc[order, order].to_numpy()
    words = f"% of blocks (task and seed) in which the row has the better {rules.name} than the column, a tie "
    words += f"(within {rules.margin:.3g} of the larger) as half; its exact 95% interval; number of blocks"
    note = wrap(words, int(width / LETTER))
    with matplotlib.rc_context(SETTINGS):
        height = cell * count + 0.3 + 0.13 * (note.count("\n") + 2)
        figure = Figure(figsize=(width, height))
        share = cell * count / height
        axes = figure.add_axes((_SIDE, 1 - share - 0.25 / height, cell * count / width, share))
        axes.imshow(shown, cmap=SHADES, vmin=0, vmax=1, aspect="auto")
        for first, second, n, *shares in cells[["first", "second", "n", "estimate", "low", "high"]].to_numpy():
            middle, low, high = (f"{100 * share:.0f}" for share in shares)
            text = f"{middle}\n{low}{TO}{high}\nn {n}" if n else MISSING
            axes.text(order.index(second), order.index(first), text, ha="center", va="center", fontsize=letters,
                      linespacing=1.05)  # fmt: skip
        for place in range(count):
            axes.plot([place - 0.5, place + 0.5], [place - 0.5, place + 0.5], color="grey", linewidth=0.6)
        axes.set_xticks(range(count), [str(place) for place in range(1, count + 1)])
        axes.set_yticks(range(count), names, fontsize=7, linespacing=0.95)
        axes.tick_params(length=0, top=False, bottom=False, labeltop=True, labelbottom=False)
        axes.set_xticks(np.arange(1, count) - 0.5, minor=True)
        axes.set_yticks(np.arange(1, count) - 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=1)
        axes.tick_params(which="minor", length=0)
        for edge in axes.spines.values():
            edge.set_visible(True)
        figure.text(0.5, 0.05 / height, note, ha="center", va="bottom", fontsize=7)
    return figure
