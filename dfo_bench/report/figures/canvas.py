"""The canvas of the figures: sizes, panels, lines and legends that are told apart in black and white."""

import re
import textwrap
import unicodedata
import warnings
from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dfo_bench.errors import InputError
from dfo_bench.report.figures import FORMATS, STYLES
from dfo_bench.report.figures.fonts import complete_fonts
from dfo_bench.report.labels import Look, looks, shorten
from dfo_bench.store.atomic import replacing

PANEL, LINE, LETTER, SMALL, HANDLE = 2.1, 0.15, 0.058, 0.053, 0.55
"""In inches: heights of a panel and of a line of the legend, widths of letters of 8 and 7 points and of its samples."""

FILLED = 4
"""Up to so many methods have filled bands, more a bar at the last marker: fills over fills say nothing in grey."""

SETTINGS: Any = {
    "font.family": "sans-serif",
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "hatch.linewidth": 0.5,
    "legend.frameon": False,
    "legend.fontsize": 7,
    "legend.title_fontsize": 7,
    "pdf.fonttype": 42,  # journals refuse type 3 fonts
    "svg.hashsalt": "dfo-bench",  # the same figure is the same file
}
_DASHES = {
    "solid": "-", "dash": "--", "dot": ":", "dashdot": "-.", "longdash": (0, (8, 2)), "longdashdot": (0, (8, 2, 1, 2)),
}  # fmt: skip
MARKERS = {
    "circle": "o", "square": "s", "triangle-up": "^", "diamond": "D", "x": "x",
    "triangle-down": "v", "cross": "+", "star": "*", "pentagon": "p", "hexagon": "h",
}  # fmt: skip
SHADES = matplotlib.colors.LinearSegmentedColormap.from_list("shades", ["#ffffff", "#7fa3cc"])
"""From white to a blue on which black letters stand out; its lightness falls evenly, so it prints in grey."""


def open_figure(
    count: int, style: str, drawn: Sequence[Look] = (), title: str = "", *, height: float = PANEL
) -> tuple[Figure, list[Axes]]:
    """Return a figure of so many panels over a legend of the looks; raise InputError for an unknown style."""
    width, across = size(style)
    columns = min(across, count)
    rows = ceil(count / columns)
    names, ncols = _legend([one.label for one in drawn], width) if drawn else ([], 1)
    said = wrap(title, int(width / LETTER)) if title else ""
    lines = ceil(len(names) / ncols) * max((1 + name.count("\n") for name in names), default=0)
    lines += said.count("\n") + 1 if said else 0
    figure = Figure(figsize=(width, rows * height + lines * LINE), layout="constrained")
    axes = [figure.add_subplot(rows, columns, place) for place in range(1, count + 1)]
    if drawn:
        handles = [axes[0].plot([], [], **line(one))[0] for one in drawn]
        figure.legend(handles, names, title=said, loc="outside lower center", ncols=ncols, handlelength=3.2)
    elif said:
        figure.supxlabel(said, fontsize=7)
    return figure, axes


def size(style: str) -> tuple[float, int]:
    """Return the width of a style in inches and how many panels stand side by side; raise InputError."""
    if style not in STYLES:
        raise InputError(f"no style {style!r}; there are: {', '.join(STYLES)}")
    return STYLES[style]


def line(look: Look) -> dict[str, Any]:
    """Translate a look into matplotlib's words; curves are staircases."""
    return {
        "color": look.colour,
        "linestyle": _DASHES[look.dash],
        "linewidth": 1.1,
        "marker": MARKERS[look.marker],
        "markersize": 3.5,
        "markerfacecolor": "white",
        "drawstyle": "steps-post",
    }


def draw_bands(axes: Axes, bands: pd.DataFrame, x: str, y: str, methods: dict[str, Look]) -> None:
    """Draw a staircase per method, markers evenly along it, and the columns `low` and `high` as its bounds.

    Set the scale of the x axis before.
    """
    logarithmic = axes.get_xscale() == "log"
    first, last = bands.loc[bands[x] > 0, x].min(), bands[x].max()
    marks = 6
    for order, (method, band) in enumerate(bands.groupby("method", sort=False)):
        look = line(methods[str(method)])
        # Shifted from line to line, so that markers do not hide each other.
        share = (np.arange(marks) + (order + 0.5) / len(methods)) / marks
        at = first * (last / first) ** share if logarithmic else first + (last - first) * share
        places = np.unique(np.clip(np.searchsorted(band[x], at), 0, len(band) - 1))
        axes.plot(band[x], band[y], **look, markevery=places.tolist())
        if len(methods) <= FILLED:
            axes.fill_between(band[x], band["low"], band["high"], step="post", color=look["color"], alpha=0.15, lw=0)
        else:
            bars = band.iloc[places[-1:]]
            axes.vlines(bars[x], bars["low"], bars["high"], color=look["color"], linewidth=0.7, alpha=0.8)
    axes.grid(alpha=0.25, linewidth=0.5)


def where(methods: dict[str, Look]) -> str:
    """Say where `draw_bands` draws the bounds."""
    return "" if len(methods) <= FILLED else ", drawn at each line's last marker"


def methods_of(runs: pd.DataFrame) -> dict[str, Look]:
    """Return the looks of the methods by name, in the order of the legend."""
    named = looks(runs)
    return {look.label: look for look in named.values()}


def wrap(text: str, letters: int) -> str:
    """Break a name into lines of so many Latin letters; matplotlib reads no formula in it.

    Where it has no spaces, it is broken behind punctuation and behind letters of full width.
    """
    breakable = re.sub(r"([:,·])(?=\S)", "\\1\u200b", str(text))
    breakable = "".join(f"{letter}\u200b" if span(letter) > 1 else letter for letter in breakable)
    pieces: list[str] = []
    for word in filter(None, re.split(r"(?<= )|\u200b", breakable)):
        if pieces and span(pieces[-1] + word.rstrip()) <= max(letters, 4):
            pieces[-1] += word
        else:
            pieces += textwrap.wrap(word, max(letters, 4), drop_whitespace=False) or [word]
    return "\n".join(piece.rstrip() for piece in pieces).replace("$", r"\$")


def fit(names: Sequence[str], letters: int, lines: int = 3) -> list[str]:
    """Wrap names into so many lines of so many letters; longer ones are shortened, all differently."""
    wrapped, most = [wrap(name, letters) for name in names], letters * lines
    # A line that a shortened name fills may have more wide letters than one that ends where it can be broken.
    narrow = max(4, int(0.8 * letters))
    while most > narrow and any(name.count("\n") >= lines for name in wrapped):
        wrapped, most = [wrap(short, narrow) for short in shorten(names, most).values()], most - 1
    return wrapped


def span(text: str) -> int:
    """Return how many Latin letters a text is wide: a letter of full width, such as a Chinese one, is two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def name_panels(panels: Sequence[Axes], names: Sequence[str], style: str, share: float = 0.85) -> None:
    """Put a title over each panel, as wide as the share that its axes have of its room."""
    width, across = size(style)
    letters = int(share * width / min(across, len(panels)) / LETTER)
    for panel, name in zip(panels, fit(names, letters), strict=True):
        panel.set_title(name)


def seeds(numbers: pd.Series) -> str:
    """Say over how many seeds: "3 seeds", "2 to 3 seeds"."""
    few, many = int(numbers.min()), int(numbers.max())
    return f"{many} seed{'s' * (many > 1)}" if few == many else f"{few} to {many} seeds"


def save(figure: Figure, path: Path) -> list[str]:
    """Write the figure as the suffix says; the same figure gives the same bytes.

    Return what its reader should know: that no installed font has some of its letters. Raise InputError for another
    suffix, and StoreError where the file cannot be written.
    """
    kind = path.suffix.removeprefix(".").lower()
    if kind not in FORMATS:
        raise InputError(f"cannot write {str(path)!r}; the name must end in {', '.join('.' + f for f in FORMATS)}")
    date = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind)
    with matplotlib.rc_context(SETTINGS), warnings.catch_warnings(), replacing(path, "name another file") as unfinished:
        missing = "".join(sorted(complete_fonts(figure)))
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # said in a sentence
        figure.savefig(unfinished, format=kind, dpi=300, metadata=date)
    shown = f"{missing[:9]}{'...' * (len(missing) > 9)}"
    return [f"no installed font has {shown}, drawn as boxes; install one, e.g. of the Noto fonts"] if missing else []


def _legend(labels: list[str], width: float) -> tuple[list[str], int]:
    """Wrap the labels and count the columns that fit into the width."""
    letters = max(map(span, labels))
    ncols = max(1, min(len(labels), int(width / (letters * LETTER + HANDLE))))
    return fit(labels, int((width / ncols - HANDLE) / LETTER)), ncols
