"""The critical-difference diagram of Demšar (2006)."""

from collections.abc import Sequence

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dfo_bench.report.figures.canvas import LETTER, LINE, SETTINGS, SMALL, fit, size, span, wrap
from dfo_bench.report.rules import STANDARD, Rules
from dfo_bench.report.scores import scores
from dfo_bench.report.stats.ranks import Friedman, friedman

_SIDE = 0.34
"""The largest share of the width that names take on either side."""


def draw(runs: pd.DataFrame, curves: pd.DataFrame, *, rules: Rules = STANDARD, style: str = "two-column") -> Figure:
    """Draw mean ranks on a line, bars joining what cannot be told apart; raise InputError for too few methods.

    Names stand left for the better half, right for the other, the outermost on top.
    """
    width, _ = size(style)
    scored = scores(runs, curves, metric=rules.metric, budget=rules.budget, counting=rules.counting)
    test = friedman(scored, rules.metric)
    labels = {name: f"{name} ({rank:.2f})" for name, rank in test.ranks.items()}
    side = min(_SIDE * width, SMALL * (max(map(span, labels.values())) + 2))
    names = dict(zip(labels, fit(list(labels.values()), int(side / SMALL) - 1), strict=True))
    half = (len(names) + 1) // 2
    ordered = list(names)
    halves = [ordered[:half], ordered[half:][::-1]]
    rows = {name: LINE * 0.85 * (1 + label.count("\n")) + 0.06 for name, label in names.items()}
    top = 0.45 + 0.11 * (len(test.groups) + 1)
    height = top + max(sum(rows[name] for name in part) for part in halves) + 0.1 + LINE * 2
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(width, height))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_xlim(0, width)
        axes.set_ylim(height, 0)  # in inches, downwards
        left, right = side + 0.08, width - side - 0.08
        unit = (right - left) / (len(names) - 1)
        place = {name: left + (rank - 1) * unit for name, rank in test.ranks.items()}
        _scale(axes, test, left, unit)
        for order, group in enumerate(test.groups):
            y = 0.55 + 0.11 * order
            axes.plot([place[group[0]] - 0.03, place[group[-1]] + 0.03], [y, y], color="black", lw=2.5)
        _names(axes, halves, names, place, (left - 0.08, right + 0.08), top, rows)
        words = f"Friedman over {test.n} blocks (task and seed): "
        words += f"χ² = {test.statistic:.2f}, p = {test.p:.2g}".replace(" = ", "\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}")
        axes.text(width / 2, height - 0.06, wrap(words, int(width / LETTER)), ha="center", va="bottom", fontsize=7)
    return figure


def _scale(axes: Axes, test: Friedman, left: float, unit: float) -> None:
    """Draw the line of ranks, and above it the critical difference, or its beginning where it is longer."""
    count, y = len(test.ranks), 0.42
    axes.plot([left, left + (count - 1) * unit], [y, y], color="black", lw=0.8)
    for rank in range(1, count + 1):
        x = left + (rank - 1) * unit
        axes.plot([x, x], [y, y - 0.05], color="black", lw=0.8)
        if count <= 10 or rank % 5 == 0 or rank in (1, count):
            axes.text(x, y - 0.06, str(rank), ha="center", va="bottom", fontsize=7)
    end = left + min(test.critical, count - 1) * unit
    axes.plot([left, end], [0.2, 0.2], color="black", lw=1.2)
    for x in (left, end):
        axes.plot([x, x], [0.17, 0.23], color="black", lw=1.2)
    more = "" if test.critical <= count - 1 else ", beyond the scale"
    axes.text((left + end) / 2, 0.15, f"CD = {test.critical:.2f}{more}", ha="center", va="bottom", fontsize=7)


def _names(
    axes: Axes,
    sides: Sequence[Sequence[str]],
    names: dict[str, str],
    place: dict[str, float],
    ends: tuple[float, float],
    top: float,
    rows: dict[str, float],
) -> None:
    for side, end, align, shift in zip(sides, ends, ("right", "left"), (-0.04, 0.04), strict=True):
        below = top
        for name in side:
            y, below = below + rows[name] / 2, below + rows[name]
            axes.plot([place[name], place[name], end], [0.42, y, y], color="black", lw=0.6)
            axes.text(end + shift, y, names[name], ha=align, va="center", fontsize=7, linespacing=0.95)
