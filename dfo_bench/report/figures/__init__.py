"""Figures for papers, one file a kind: `dfo-bench plot KIND`."""

from collections.abc import Callable

from matplotlib.figure import Figure

from dfo_bench.report.figures.box import draw_box
from dfo_bench.report.figures.canvas import FORMATS, save
from dfo_bench.report.figures.cd import draw_cd
from dfo_bench.report.figures.curve import draw_curve
from dfo_bench.report.figures.ecdf import draw_ecdf
from dfo_bench.report.figures.heatmap import draw_heatmap
from dfo_bench.report.figures.overhead import draw_overhead
from dfo_bench.report.figures.profile import draw_profile
from dfo_bench.report.figures.rank import draw_rank
from dfo_bench.report.figures.table import draw_table
from dfo_bench.report.figures.wins import draw_wins

__all__ = ["BY_TASK", "FORMATS", "KINDS", "READS", "save"]

KINDS: dict[str, Callable[..., Figure]] = {
    "curve": draw_curve,
    "ecdf": draw_ecdf,
    "profile": draw_profile,
    "rank": draw_rank,
    "cd": draw_cd,
    "wins": draw_wins,
    "box": draw_box,
    "table": draw_table,
    "heatmap": draw_heatmap,
    "overhead": draw_overhead,
}
"""What `dfo-bench plot` offers; each takes runs, curves and the keywords `rules` and `style`."""

BY_TASK = {"curve", "box", "table"}
"""The kinds that say something of each task, so of its baselines, too, see `baselines`; the others pool over tasks."""

READS = {
    "curve": {"counting", "against"},
    "ecdf": {"budget", "counting"},
    "profile": {"budget", "counting"},
    "rank": {"counting"},
    "cd": {"metric", "budget", "counting"},
    "wins": {"metric", "budget", "counting", "margin"},
    "box": {"metric", "budget", "counting"},
    "table": {"metric", "budget", "counting", "margin"},
    "heatmap": {"budget", "counting"},
    "overhead": {"counting"},
}
"""Which of the rules each kind goes by; the others would change nothing."""
