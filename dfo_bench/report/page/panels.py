"""The interactive figures of the page: what its script draws, against every cost."""

from base64 import b64encode
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from plotly import offline

from dfo_bench.report.labels import SERIES, Looks
from dfo_bench.report.stats.costs import AXES, PER_CALL, loss_bands, per_call, score_bands, spent, totals
from dfo_bench.report.stats.statistics import grid, spans_decades

_SCORED = {"incumbent": "incumbent", "current": "current candidate"}
"""What dev scores, by the rule of selection."""

_STEPS = 80
"""How many steps are kept of a single run."""


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
    losses = spent(runs, curves, curves)
    dev = measures[measures["key"].isin(runs["key"]) & (measures["split"] == "dev")]
    loss = "loss" if dev.empty else "train loss"
    bands = {axis: loss_bands(runs, losses, axis) for axis in AXES}
    steps = losses.rename(columns={"best": "value"})
    drawn = [_panel(f"{loss.capitalize()} of the incumbent", loss, runs, bands, steps, look)]
    scored = " or ".join(what for rule, what in _SCORED.items() if rule in set(runs["selection"]))
    scores = spent(runs, curves, dev)
    for metric in sorted(dev["metric"].unique(), key=lambda name: (name == "loss", name)):
        steps = scores[scores["metric"] == metric]
        bands = {axis: score_bands(runs, steps, axis) for axis in AXES}
        drawn.append(_panel(f"Dev {metric} of the {scored}", f"dev {metric}", runs, bands, steps, look))
    return [panel for panel in drawn if panel.data["groups"]]


def _panel(
    title: str, value: str, runs: pd.DataFrame, bands: dict[str, pd.DataFrame], steps: pd.DataFrame, look: Looks
) -> Panel:
    """Gather a panel's bands by group and axis, and its single runs."""
    groups: dict[str, Any] = {}
    medians = []
    for axis, found in bands.items():
        edges = found.astype(dict.fromkeys(["lower", "median", "upper"], float)).replace(np.inf, np.nan)
        for group, band in edges.dropna(subset=["median"]).groupby(SERIES, sort=True):
            columns = {"x": band[axis], **{name: band[name] for name in ("lower", "median", "upper")}}
            drawn = groups.setdefault(look[group].label, {"n": int(band["n"].iloc[0]), "bands": {}})
            drawn["bands"][axis] = {name: packed(column) for name, column in columns.items()}
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
    own = dict(iter(steps[np.isfinite(steps["value"])].groupby("key")))
    found = []
    for run in runs[runs["key"].isin(list(own))].sort_values("seed").to_dict("records"):
        rows, end = own[run["key"]], ends.loc[run["key"]]
        # The steps that are in force at these places: every point that is kept is one of the run's.
        kept = np.searchsorted(rows["evaluation"], grid(int(rows["evaluation"].iloc[-1]), _STEPS), side="right") - 1
        rows = rows.iloc[np.unique(kept[kept >= 0])]
        columns = {axis: [*rows[axis], end[axis]] for axis in ("evaluation", "task_seconds", "total_seconds")}
        found.append(
            {
                "group": look[tuple(run[column] for column in SERIES)].label,
                "seed": run["seed"],
                "status": run["status"],
                "value": packed([*rows["value"], rows["value"].iloc[-1]]),
                "at": {axis: packed(column) for axis, column in columns.items()},
                "each": each.loc[run["key"], PER_CALL].dropna().to_dict(),
            }
        )
    return found


def packed(numbers: ArrayLike) -> str:
    """Return numbers as base64 of 32-bit floats, little-endian: seven digits in under six characters."""
    return b64encode(np.asarray(numbers, dtype="<f4").tobytes()).decode()
