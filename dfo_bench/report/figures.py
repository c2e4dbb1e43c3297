"""Figures for papers, one function a kind: `dfo-bench plot KIND`."""

import textwrap
from collections.abc import Callable
from math import ceil
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dfo_bench.errors import InputError
from dfo_bench.report.counting import begun
from dfo_bench.report.looks import SERIES, Look, Looks, looks
from dfo_bench.report.statistics import GROUP, curve_bands, spans_decades

STYLES = {"one-column": (3.4, 1), "two-column": (7.0, 2)}
"""Of each style: the width in inches and the number of panels side by side."""

FORMATS = ["png", "pdf", "svg"]

_PANEL, _LINE, _LETTER, _HANDLE = 2.1, 0.15, 0.058, 0.55
"""In inches: the height of a panel and of a line of the legend, the widths of its letters and of its samples."""

_SETTINGS: Any = {
    "font.family": "sans-serif",
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 7,
    "legend.title_fontsize": 7,
    "pdf.fonttype": 42,  # journals refuse type 3 fonts
    "svg.hashsalt": "dfo-bench",  # the same figure is the same file
}
_DASHES = {
    "solid": "-", "dash": "--", "dot": ":", "dashdot": "-.", "longdash": (0, (8, 2)), "longdashdot": (0, (8, 2, 1, 2)),
}  # fmt: skip
_MARKERS = {
    "circle": "o", "square": "s", "triangle-up": "^", "diamond": "D", "x": "x",
    "triangle-down": "v", "cross": "+", "star": "*", "pentagon": "p", "hexagon": "h",
}  # fmt: skip


def draw_curve(runs: pd.DataFrame, curves: pd.DataFrame, *, style: str = "one-column") -> Figure:
    """Draw the incumbent's loss over evaluations: a panel a task, median and quartiles over seeds a group.

    Raises InputError for an unknown style, and where no run has a loss: an empty figure says nothing.
    """
    if style not in STYLES:
        raise InputError(f"no style {style!r}; there are: {', '.join(STYLES)}")
    bands = curve_bands(runs, curves)
    bands = bands[np.isfinite(bands["median"].astype(float))]
    if bands.empty:
        raise InputError(f"nothing to draw: no group of the {len(runs)} runs has a loss in half of its seeds yet")
    look = looks(runs)
    tasks = sorted(bands["task"].unique())
    groups = sorted(set(bands[SERIES].itertuples(index=False, name=None)))
    drawn = list(dict.fromkeys(look[group] for group in groups))  # budgets that differ by task make no other line
    width, across = STYLES[style]
    rows, columns = ceil(len(tasks) / across), min(across, len(tasks))
    names, ncols = _legend([one.label for one in drawn], width)
    lines = ceil(len(names) / ncols) * max(1 + name.count("\n") for name in names) + 1
    with matplotlib.rc_context(_SETTINGS):
        figure = Figure(figsize=(width, rows * _PANEL + lines * _LINE), layout="constrained")
        for place, task in enumerate(tasks, start=1):
            axes = figure.add_subplot(rows, columns, place)
            _draw_panel(axes, bands[bands["task"] == task], look)
            axes.set_title(textwrap.fill(str(task), int(width / columns / _LETTER)), parse_math=False)
            axes.set_ylabel("loss of the incumbent")
            axes.set_xlabel("evaluations")
        handles = [axes.plot([], [], **_line(one))[0] for one in drawn]
        title = f"median and quartiles over {_seeds(runs)}"
        figure.legend(handles, names, title=title, loc="outside lower center", ncols=ncols, handlelength=3.2)
    return figure


KINDS: dict[str, Callable[..., Figure]] = {"curve": draw_curve}
"""What `dfo-bench plot` offers; each takes runs, curves and a keyword `style`."""


def save(figure: Figure, path: Path) -> None:
    """Write the figure as the suffix says; the same figure gives the same bytes. Raises InputError."""
    kind = path.suffix.removeprefix(".").lower()
    if kind not in FORMATS:
        raise InputError(f"cannot write {str(path)!r}; the name must end in {', '.join('.' + f for f in FORMATS)}")
    date = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind)
    with matplotlib.rc_context(_SETTINGS):
        figure.savefig(path, dpi=300, metadata=date)


def _draw_panel(axes: Axes, bands: pd.DataFrame, look: Looks) -> None:
    for order, (group, band) in enumerate(bands.groupby(SERIES, sort=True)):
        line = _line(look[group])
        every = max(1, len(band) // 6)  # markers, shifted from line to line so that they do not hide each other
        axes.plot(band["evaluation"], band["median"], **line, markevery=(order * every // 5 % every, every))
        upper = band["upper"].replace(np.inf, np.nan)
        axes.fill_between(band["evaluation"], band["lower"], upper, step="post", color=line["color"], alpha=0.15, lw=0)
    if spans_decades(bands["median"]):
        axes.set_yscale("log")
    axes.grid(alpha=0.25, linewidth=0.5)


def _line(look: Look) -> dict[str, Any]:
    """Translate a look into matplotlib's words; the curve of an incumbent is a staircase."""
    return {
        "color": look.colour,
        "linestyle": _DASHES[look.dash],
        "linewidth": 1.1,
        "marker": _MARKERS[look.marker],
        "markersize": 3.5,
        "markerfacecolor": "white",
        "drawstyle": "steps-post",
    }


def _seeds(runs: pd.DataFrame) -> str:
    """Say over how many seeds: "3 seeds", "2 to 3 seeds"."""
    numbers = begun(runs).groupby(GROUP)["seed"].nunique()
    few, many = int(numbers.min()), int(numbers.max())
    return f"{many} seed{'s' * (many > 1)}" if few == many else f"{few} to {many} seeds"


def _legend(labels: list[str], width: float) -> tuple[list[str], int]:
    """Wrap the labels and count the columns that fit into the width; matplotlib is not to read "$" as a formula."""
    letters = max(len(label) for label in labels)
    ncols = max(1, min(len(labels), int(width / (letters * _LETTER + _HANDLE))))
    fitting = int((width / ncols - _HANDLE) / _LETTER)
    return [textwrap.fill(label, fitting).replace("$", r"\$") for label in labels], ncols
