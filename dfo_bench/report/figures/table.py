"""The table of results, drawn; as text it is `standings.WRITERS`."""

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dfo_bench.report.figures.canvas import LETTER, LINE, SETTINGS, SMALL, fit, size, span, wrap
from dfo_bench.report.markup import OPEN
from dfo_bench.report.rules import STANDARD, Rules
from dfo_bench.report.stats.standings import cells, note, standings

_ROW, _MARK = 0.17, 0.11
"""In inches: the height of a row, and the room for a mark behind a number."""


def draw(runs: pd.DataFrame, curves: pd.DataFrame, *, rules: Rules = STANDARD, style: str = "two-column") -> Figure:
    """Draw a row per method and a column per task; tasks that the width has no room for stand below.

    Raises InputError where no run has a score.
    """
    width, _ = size(style)
    table = standings(runs, curves, rules)
    shown = cells(table)
    best = set(table.loc[table["best"], ["task", "method"]].itertuples(index=False, name=None))
    side = min(0.36 * width, SMALL * (max(map(span, shown.index)) + 2))
    names = dict(zip(shown.index, fit(list(shown.index), int(side / SMALL) - 1), strict=True))
    column = SMALL * (max(shown[task].map(len).max() for task in shown) + 3)
    across = max(1, min(len(shown.columns), int((width - side) / column)))
    column = min((width - side) / across, max(column, SMALL * (max(map(span, shown.columns)) + 3)))
    heads = dict(zip(shown, fit(list(shown.columns), int((column - _MARK) / SMALL) - 1), strict=True))
    parts = [list(shown.columns[at : at + across]) for at in range(0, len(shown.columns), across)]
    words = wrap(note(rules, table), int(width / LETTER))
    rows = sum(_ROW + 0.105 * name.count("\n") for name in names.values())
    tops = [0.12 * max(1 + heads[task].count("\n") for task in part) + 0.12 for part in parts]
    height = sum(tops) + len(parts) * (rows + 0.12) + LINE * (words.count("\n") + 1) * 0.85 + 0.06
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(width, height))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_xlim(0, width)
        axes.set_ylim(height, 0)  # in inches, downwards
        y = 0.04
        for part, top in zip(parts, tops, strict=True):
            right = side + column * len(part)
            _rule(axes, right, y, 1.0)
            for place, task in enumerate(part, 1):
                axes.text(side + column * place - _MARK, y + top - 0.06, heads[task], ha="right", va="bottom",
                          fontsize=7, linespacing=0.95)  # fmt: skip
            y += top
            _rule(axes, right, y, 0.5)
            for method, name in names.items():
                tall = _ROW + 0.105 * name.count("\n")
                axes.text(
                    0.04,
                    y + tall / 2,
                    name,
                    va=_anchor(name),
                    fontsize=7,
                    linespacing=0.95,
                )
                for place, task in enumerate(part, 1):
                    weight = "bold" if (task, method) in best else "normal"
                    at, middle, text = side + column * place - _MARK, y + tall / 2, shown.loc[method, task]
                    number = text.removesuffix(OPEN).rstrip()
                    axes.text(at, middle, number, ha="right", va="center_baseline", fontsize=7, fontweight=weight)
                    if text.endswith(OPEN):
                        axes.text(at + 0.02, middle, OPEN, va="center_baseline", fontsize=7)
                y += tall
            _rule(axes, right, y, 1.0)
            y += 0.12
        axes.text(0.04, y - 0.02, words, va="top", fontsize=7)
    return figure


def _anchor(text: str) -> str:
    """Say what of a text stands in the middle of its row."""
    return "center" if "\n" in text else "center_baseline"


def _rule(axes: Axes, right: float, y: float, thick: float) -> None:
    axes.plot([0.02, right], [y, y], color="black", lw=thick)
