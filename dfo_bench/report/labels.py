"""How groups are named and told apart: a colour and marker an optimizer or a baseline, a dash a projection.

The marker and the dash alone tell groups apart in black and white; the colours are those of Okabe and Ito
(2008), which the colour-blind can tell apart, without the yellow that white paper swallows.
"""

from dataclasses import dataclass

import pandas as pd

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
        """Return the marker as a character."""
        return GLYPHS[self.marker]


SETTINGS = {"dim": "d", "budget": "budget", "dev_every": "dev every", "selection": "selection"}
"""The other columns of `runs` that name a group, and their words."""

SERIES = ["optimizer", "projection", *SETTINGS]
"""The columns that name a group within its task, and its look in every task."""

Looks = dict[tuple[object, ...], Look]


def looks(runs: pd.DataFrame) -> Looks:
    """Give every value of the columns SERIES a look.

    Settings are part of the name only where groups of one task differ in nothing else. Baselines, all of one dash, come
    last: the others look the same without them.
    """
    groups = runs[["task", *SERIES]].drop_duplicates()
    several = {
        column: groups.groupby(["task", *SERIES[: SERIES.index(column)]])[column].nunique().max() > 1
        for column in SETTINGS
    }
    optimizers: list[str] = []
    variants: list[str] = []
    named: Looks = {}
    ordered = groups[SERIES].drop_duplicates().sort_values(SERIES)
    ordered = ordered.sort_values("budget", key=lambda budget: budget == 1, kind="stable")
    for optimizer, projection, *settings in ordered.itertuples(index=False):
        values = dict(zip(SETTINGS, settings, strict=True))
        extra = [f"{word}={values[column]}" for column, word in SETTINGS.items() if several[column]]
        variant = " · ".join([projection, *extra])
        label = f"{optimizer} · {variant}"
        single = values["budget"] == 1
        colour = _index(optimizers, label if single else optimizer)
        look = Look(
            label=label,
            colour=COLOURS[colour % len(COLOURS)],
            marker=MARKERS[colour % len(MARKERS)],
            dash=BASELINE_DASH if single else DASHES[_index(variants, variant) % len(DASHES)],
        )
        named[optimizer, projection, *settings] = look
    return named


def _index(names: list[str], name: str) -> int:
    """Return the place of a name in the list, which grows by it if it is new."""
    if name not in names:
        names.append(name)
    return names.index(name)
