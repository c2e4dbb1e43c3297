"""The ladder of dimensions: how much of the whole space's gain each subspace holds. `dfo-bench dimension` draws it."""

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from dfo_bench.report.figures.canvas import SETTINGS, line, open_figure, seeds
from dfo_bench.report.labels import COLOURS, DASHES, MARKERS, Look
from dfo_bench.report.stats.dimension import SHARE, ladders


def draw(found: pd.DataFrame, *, style: str = "two-column") -> Figure:
    """Draw a line per task and optimizer of `reached`: the mean share over d, with the bounds of a bootstrap."""
    steps = ladders(found)
    groups = list(steps.groupby(["task", "optimizer"], sort=True))
    several = found["optimizer"].nunique() > 1
    drawn = [
        Look(
            f"{task} · {optimizer}" if several else str(task),
            COLOURS[i % len(COLOURS)],
            MARKERS[i % len(MARKERS)],
            DASHES[i // len(MARKERS) % len(DASHES)],
        )
        for i, ((task, optimizer), _) in enumerate(groups)
    ]
    words = f"mean and 95% bootstrap interval over {seeds(steps['n'])}; the dotted line is at {SHARE:.0%}"
    with matplotlib.rc_context(SETTINGS):
        figure, (panel,) = open_figure(1, style, drawn, words, height=2.6)
        for look, (_, own) in zip(drawn, groups, strict=True):
            panel.plot(own["dim"], own["share"], **{**line(look), "drawstyle": "default"})
            panel.vlines(own["dim"], own["low"], own["high"], color=look.colour, linewidth=0.7, alpha=0.8)
        panel.axhline(SHARE, color="black", linewidth=0.6, linestyle=":")
        panel.set_xscale("log")
        panel.set_xticks(sorted(set(steps["dim"])), [str(dim) for dim in sorted(set(steps["dim"]))])
        panel.minorticks_off()
        panel.grid(alpha=0.25, linewidth=0.5)
        panel.set_xlabel("dimension of the subspace")
        panel.set_ylabel("share of the whole space's")
    return figure
