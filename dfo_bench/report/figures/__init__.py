"""The figures for papers, one module per kind: what `dfo-bench plot KIND` offers, drawn with matplotlib.

This table imports neither matplotlib nor pandas: the command line makes its help of it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ["png", "pdf", "svg"]

STYLES = {"one-column": (3.4, 1), "two-column": (7.0, 2)}
"""Of each style: the width in inches and the number of panels side by side."""


@dataclass(frozen=True)
class Kind:
    """A kind of figure.

    `module` has the function `draw` of runs, curves and the keywords `rules` and `style`; `reads` are the rules that
    it goes by, the others would change nothing; `by_task` kinds say something of each task, so of its baselines, too,
    see `baselines`, the others pool over tasks; `says` is what it shows.
    """

    module: str
    reads: tuple[str, ...]
    says: str
    by_task: bool = False

    @property
    def draw(self) -> "Callable[..., Figure]":
        """The function that draws it; its module is imported now."""
        draw: Callable[..., Figure] = import_module(f"{__name__}.{self.module}").draw
        return draw


KINDS: Mapping[str, Kind] = {
    kind.module: kind
    for kind in (
        Kind("curve", ("counting", "against"), "the incumbent's loss over evaluations", by_task=True),
        Kind("ecdf", ("budget", "counting"), "the share of targets hit over evaluations"),
        Kind("profile", ("budget", "counting"), "data and performance profiles"),
        Kind("rank", ("counting",), "mean ranks over the budget"),
        Kind("cd", ("metric", "budget", "counting"), "Friedman's test and the critical difference"),
        Kind("wins", ("metric", "budget", "counting", "margin"), "how often each method beats each other"),
        Kind("box", ("metric", "budget", "counting"), "single runs", by_task=True),
        Kind(
            "table",
            ("metric", "budget", "counting", "margin"),
            "means, and which methods cannot be told from the best",
            by_task=True,
        ),
        Kind("heatmap", ("budget", "counting"), "scores normalised by random search"),
        Kind(
            "speedup",
            ("budget", "counting", "against", "reference"),
            "how many times fewer calls reach the losses of a reference",
        ),
        Kind("overhead", ("counting",), "the optimizer's seconds beside the task's"),
    )
}
