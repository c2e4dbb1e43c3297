"""The look of each group: its name, a colour and marker per optimizer or baseline, a dash per projection.

The marker and the dash alone tell groups apart in black and white; the colours are those of Okabe and Ito
(2008), which the colour-blind can tell apart, without the yellow that white paper swallows.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import zip_longest

import pandas as pd

from dfo_bench.runs.columns import GROUP, REFERENCE

COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
MARKERS = ["circle", "square", "triangle-up", "diamond", "x", "triangle-down", "cross", "star", "pentagon", "hexagon"]
DASHES = ["solid", "dot", "dashdot", "longdash", "longdashdot"]
BASELINE_DASH = "dash"

GLYPHS = dict(zip(MARKERS, "●■▲◆✕▼✚★⬟⬢", strict=True))


@dataclass(frozen=True)
class Look:
    """The name of a group and how it is drawn, in plotly's words."""

    label: str
    colour: str
    marker: str
    dash: str

    @property
    def glyph(self) -> str:
        """The marker as a character."""
        return GLYPHS[self.marker]


SERIES = [column for column in GROUP if column != "task"]
"""The columns that name a group within its task, and its look in every task."""

SETTINGS = [column for column in SERIES if column not in ("optimizer", "projection")]

_WORDS = {"dim": "d", "dev_every": "dev every"}
"""The settings that a label calls otherwise than their column."""

_SEARCHED = ("dim", "budget")
"""The settings of a search that a reference has not: nothing is searched, and its one evaluation is its fit."""

Looks = dict[tuple[object, ...], Look]


def looks(runs: pd.DataFrame) -> Looks:
    """Give every value of the columns SERIES a look.

    What a method sees is part of its name where that is more than losses. Settings are only where groups of one task
    differ in nothing else; the dimension and budget of a reference never are. Baselines, all of one dash, come last:
    the others look the same without them.
    """
    groups = runs[["task", *SERIES, "baseline"]].drop_duplicates()
    several = {
        column: groups.groupby(["task", *SERIES[: SERIES.index(column)]])[column].nunique().max() > 1
        for column in SETTINGS
    }
    optimizers: list[str] = []
    variants: list[str] = []
    named: Looks = {}
    seen = runs.groupby(SERIES)["sees"].unique()
    ordered = groups.groupby(SERIES)["baseline"].all().sort_values(kind="stable")
    for group, baseline in zip(ordered.index.to_list(), ordered, strict=True):
        optimizer, projection, *settings = group
        said = [c for c in SETTINGS if several[c] and not (projection == REFERENCE and c in _SEARCHED)]
        values = dict(zip(SETTINGS, settings, strict=True))
        extra = [f"{_WORDS.get(column, column)}={values[column]}" for column in said]
        variant = " · ".join([*([projection] if projection != REFERENCE else []), *extra])
        more = [sees for sees in seen[group] if sees != "losses"]
        shown = f"{optimizer} (sees {', '.join(more)})" if more else optimizer
        label = " · ".join(filter(None, [shown, variant]))
        colour = _index(optimizers, label if baseline else optimizer)
        named[group] = Look(
            label=label,
            colour=COLOURS[colour % len(COLOURS)],
            marker=MARKERS[colour % len(MARKERS)],
            dash=BASELINE_DASH if baseline else DASHES[_index(variants, variant) % len(DASHES)],
        )
    return named


def shorten(names: Iterable[str], most: int) -> dict[str, str]:
    """Return each name in at most so many letters, all different: longer ones lose some in the middle.

    Those that would be alike keep the letters where they begin to differ instead, or have numbers.
    """
    shorter = {name: _cut(name, most) for name in names}
    for alike in _alike(shorter):
        differ = next(i for i, letters in enumerate(zip_longest(*alike)) if len(set(letters)) > 1)
        for name in alike:
            start = max(1, min(differ - most // 4, len(name) - most + 1))
            shorter[name] = f"…{_cut_end(name[start:], most - 1)}"
    left = [name for alike in _alike(shorter) for name in alike]
    return shorter | {name: f"{_cut(name, most - 5)} ({place})" for place, name in enumerate(left, 1)}


def _cut(name: str, most: int) -> str:
    if len(name) <= most:
        return name
    tail = max(most - 1, 0) // 2
    return f"{name[: most - 1 - tail]}…{name[len(name) - tail :]}"


def _cut_end(name: str, most: int) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _alike(shorter: dict[str, str]) -> list[list[str]]:
    """Return the names that are shortened alike, together."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, short in shorter.items():
        found[short].append(name)
    return [names for names in found.values() if len(names) > 1]


def _index(names: list[str], name: str) -> int:
    """Return the place of a name in the list, which grows by it if it is new."""
    if name not in names:
        names.append(name)
    return names.index(name)
