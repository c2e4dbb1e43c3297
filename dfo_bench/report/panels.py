"""The interactive figures of the page: what plotly draws, as JSON."""

from html import escape

import numpy as np
import pandas as pd
from plotly import graph_objects as go
from plotly import offline

from dfo_bench.report.looks import SERIES, Look, Looks
from dfo_bench.report.statistics import curve_bands, measure_bands, spans_decades

_SCORED = {"incumbent": "incumbent", "current": "current candidate"}
"""What dev scores, by the rule of selection."""

_FONT = {"family": "system-ui, sans-serif", "size": 13, "color": "#1d2430"}
_AXIS = {"gridcolor": "#e8ebf0", "linecolor": "#9aa3b2", "ticks": "outside", "tickcolor": "#9aa3b2", "zeroline": False}
_HOVER = (
    "<b>%{meta}</b><br>evaluation %{x:,}<br>median %{y:.4g}"
    "<br>quartiles %{customdata[0]:.4g} to %{customdata[1]:.4g}<br>%{customdata[2]} runs<extra></extra>"
)


def library() -> str:
    """Return plotly.js, minified, about 5 MB: the package ships no smaller bundle."""
    return str(offline.get_plotlyjs())


def panels(runs: pd.DataFrame, curves: pd.DataFrame, measures: pd.DataFrame, look: Looks) -> dict[str, str]:
    """Return the panels of one task, title to JSON: its loss, and each metric that dev has measured over time.

    A panel in which no group has a value to draw is left out.
    """
    losses = curve_bands(runs, curves)
    dev = measures[measures["key"].isin(runs["key"]) & (measures["split"] == "dev")]
    loss = "loss" if dev.empty else "train loss"
    drawn = {f"{loss.capitalize()} of the incumbent": _panel(losses, look, loss)}
    scored = " or ".join(what for rule, what in _SCORED.items() if rule in set(runs["selection"]))
    for metric in sorted(dev["metric"].unique(), key=lambda name: (name == "loss", name)):
        bands = measure_bands(runs, dev, "dev", metric)
        drawn[f"Dev {metric} of the {scored}"] = _panel(bands, look, f"dev {metric}")
    return {title: figure for title, figure in drawn.items() if figure}


def _panel(bands: pd.DataFrame, look: Looks, value: str) -> str:
    """Draw bands over evaluations; empty if no median is finite. The JSON is safe inside a script element."""
    bands = bands.astype(dict.fromkeys(["lower", "median", "upper"], float)).replace(np.inf, np.nan)
    bands = bands.dropna(subset=["median"])
    if bands.empty:
        return ""
    figure = go.Figure()
    for group, band in bands.groupby(SERIES, sort=True):
        figure.add_traces(_traces(band, look[group]))
    figure.update_layout(
        template="none",
        font=_FONT,
        height=340,
        margin={"l": 64, "r": 12, "t": 28, "b": 48},
        showlegend=False,  # the page's own legend switches all panels at once
        hovermode="closest",
        hoverlabel={"bgcolor": "#ffffff", "align": "left"},
        xaxis={"title": {"text": "evaluations"}, "rangemode": "tozero", **_AXIS},
        yaxis={"title": {"text": escape(value, quote=False)}, **_AXIS},
    )
    if spans_decades(bands["median"]):
        figure.update_yaxes(type="log", exponentformat="power")
    return str(figure.to_json())


def _traces(band: pd.DataFrame, look: Look) -> list[go.Scatter]:
    """Draw one group: the lower edge, the upper edge filled down to it, and the median on top, all staircases."""
    common = {"x": band["evaluation"].to_numpy(), "legendgroup": look.label}
    edge = {**common, "mode": "lines", "hoverinfo": "skip", "line": {"shape": "hv", "width": 0}}
    red, green, blue = bytes.fromhex(look.colour[1:])
    return [
        go.Scatter(y=band["lower"].to_numpy(), **edge),
        go.Scatter(y=band["upper"].to_numpy(), fill="tonexty", fillcolor=f"rgba({red},{green},{blue},0.13)", **edge),
        go.Scatter(
            y=band["median"].to_numpy(),
            mode="lines+markers",
            line={"shape": "hv", "color": look.colour, "dash": look.dash, "width": 2},
            marker={"symbol": look.marker, "size": 7, "maxdisplayed": 7, "color": look.colour},
            customdata=band[["lower", "upper", "n"]].to_numpy(dtype=float),
            meta=escape(look.label, quote=False),  # plotly reads markup, but knows no &quot;
            hovertemplate=_HOVER,
            **common,
        ),
    ]
