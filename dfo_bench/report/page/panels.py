"""The panels: the interactive figures of the page, as numbers that its script draws against every cost."""

from base64 import b64encode
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from plotly import offline

from dfo_bench.report.labels import SERIES, Looks
from dfo_bench.report.rules import AXES
from dfo_bench.report.stats.bands import loss_bands, score_bands
from dfo_bench.report.stats.costs import add_costs, per_call, totals
from dfo_bench.report.stats.scale import spans_decades
from dfo_bench.report.stats.steps import grid, within_reach
from dfo_bench.runs.columns import CALLS

_SCORED = {"incumbent": "incumbent", "current": "current candidate"}
"""What dev scores, by the rule of selection."""

_POINTS = 120
"""At how many places a band is read: about as many as a panel shows apart."""

_STEPS = 80
"""How many steps are kept of a single run."""

_SINGLE = np.finfo(np.float32)


@dataclass(frozen=True)
class Panel:
    """One figure: its title, the value it shows over costs, the numbers, plain JSON, and what it cannot show."""

    title: str
    value: str
    data: dict[str, Any]
    note: str = ""


def library() -> str:
    """Return plotly.js, minified, about 5 MB: the package ships no smaller bundle."""
    return str(offline.get_plotlyjs())


def panels(runs: pd.DataFrame, curves: pd.DataFrame, measures: pd.DataFrame, look: Looks) -> list[Panel]:
    """Return the panels of one task: its loss, and each metric that dev has measured over time.

    A panel in which no group has a value to draw is left out.
    """
    losses = add_costs(runs, curves, curves)
    dev = measures[measures["key"].isin(runs["key"]) & (measures["split"] == "dev")]
    loss = "loss" if dev.empty else "train loss"
    bands = {axis: loss_bands(runs, losses, axis, points=_POINTS) for axis in AXES}
    steps = losses.rename(columns={"best": "value"})
    drawn = [_panel(f"{loss.capitalize()} of the incumbent", loss, runs, bands, steps, look)]
    candidate = " or ".join(what for rule, what in _SCORED.items() if rule in set(runs["selection"]))
    scores = add_costs(runs, curves, dev)
    for metric in sorted(dev["metric"].unique(), key=lambda name: (name == "loss", name)):
        steps = scores[scores["metric"] == metric]
        bands = {axis: score_bands(runs, steps, axis, points=_POINTS) for axis in AXES}
        drawn.append(_panel(f"Dev {metric} of the {candidate}", f"dev {metric}", runs, bands, steps, look))
    return [panel for panel in drawn if panel.data["groups"]]


def _panel(
    title: str, value: str, runs: pd.DataFrame, bands: dict[str, pd.DataFrame], steps: pd.DataFrame, look: Looks
) -> Panel:
    """Gather a panel's bands by group and axis, and its single runs."""
    groups: dict[str, Any] = {}
    medians = []
    for axis, frame in bands.items():
        edges = frame.replace(np.inf, np.nan).dropna(subset=["median"])
        for group, band in edges.groupby(SERIES, sort=True):
            columns = {"x": band[axis], **{name: band[name] for name in ("lower", "median", "upper")}}
            drawn = groups.setdefault(look[group].label, {"n": int(band["n"].iloc[0]), "bands": {}})
            drawn["bands"][axis] = {name: pack(column) for name, column in columns.items()}
            if axis == "evaluation":
                medians.append(band["median"])
    log = bool(medians) and spans_decades(pd.concat(medians))
    known = dict.fromkeys(look[tuple(group)].label for group in runs[SERIES].to_numpy().tolist())
    left = [label for label in sorted(known) if label not in groups]
    note = f"{value.capitalize()}: too few runs of {', '.join(left)} have it." if left else ""
    return Panel(title, value, {"value": value, "log": log, "groups": groups, "runs": _runs(runs, steps, look)}, note)


def _runs(runs: pd.DataFrame, steps: pd.DataFrame, look: Looks) -> list[dict[str, Any]]:
    """Return the single runs of a panel: their steps over evaluations and seconds, and what one evaluation costs."""
    each, ends = per_call(runs), totals(runs)
    steps = steps[np.isfinite(steps["value"])]
    own = dict(iter(steps.assign(value=within_reach(steps["value"].to_numpy())).groupby("key")))
    drawn = []
    for run in runs[runs["key"].isin(list(own))].sort_values("seed").to_dict("records"):
        rows, end = own[run["key"]], ends.loc[run["key"]]
        # The steps that are in force at these places: every point that is kept is one of the run's.
        kept = np.searchsorted(rows["evaluation"], grid(int(rows["evaluation"].iloc[-1]), _STEPS), side="right") - 1
        rows = rows.iloc[np.unique(kept[kept >= 0])]
        columns = {axis: [*rows[axis], end[axis]] for axis in ("evaluation", "task_seconds", "total_seconds")}
        drawn.append(
            {
                "group": look[tuple(run[column] for column in SERIES)].label,
                "seed": run["seed"],
                "status": run["status"],
                "value": pack([*rows["value"], rows["value"].iloc[-1]]),
                "at": {axis: pack(column) for axis, column in columns.items()},
                "each": each.loc[run["key"], CALLS].dropna().to_dict(),
            }
        )
    return drawn


def pack(numbers: ArrayLike) -> str | list[float | None]:
    """Return numbers as base64 of 32-bit floats, little-endian: seven digits in under six characters.

    Where one is beyond the range of such floats, below 1.2e-38 or above 3.4e38 in size, return a list instead, None
    for what is no number.
    """
    wide = np.asarray(numbers, dtype=float)
    sizes = np.abs(wide[np.isfinite(wide) & (wide != 0)])
    if len(sizes) and not (_SINGLE.tiny <= sizes.min() and sizes.max() <= _SINGLE.max):
        return [float(number) if np.isfinite(number) else None for number in wide]
    return b64encode(wide.astype("<f4").tobytes()).decode()
