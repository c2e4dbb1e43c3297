"""The report's page as a browser would read it."""

import base64
import json
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd

from dfo_bench.core import Array
from dfo_bench.report.counting import Counting
from dfo_bench.report.page.page import build_page


class Page(HTMLParser):
    """A page as a browser reads it: its text without scripts, its figures, its tables, what it would load.

    `figures` are those of single tasks, `compared` those of all together.
    """

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text, self.tags = "", set[str]()
        self.figures, self.compared = list[dict[str, Any]](), list[dict[str, Any]]()
        self.loads, self.scripts, self.buttons = list[str](), 0, list[str]()
        self._inside = ""
        self._json = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.add(tag)
        self._inside = tag
        self._json = given.get("type") == "application/json"
        self.scripts += tag == "script" and not self._json
        self.loads += [value or "" for name, value in attrs if name in ("src", "href", "action")]
        if tag == "button" and "data-group" in given:
            self.buttons.append(given["data-group"] or "")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script" and self._json:
            figure = json.loads(data)
            (self.compared if "axis" in figure else self.figures).append(figure)
        elif self._inside not in ("script", "style"):
            self.text += data


def page_of(runs: pd.DataFrame, curves: pd.DataFrame, measures: pd.DataFrame) -> Page:
    return Page(html_of(runs, curves, measures))


def html_of(
    runs: pd.DataFrame,
    curves: pd.DataFrame,
    measures: pd.DataFrame,
    planned: pd.DataFrame | None = None,
    counting: Counting = Counting.LAST,
) -> str:
    return build_page(
        runs,
        curves,
        measures,
        title="A <b>demo</b>",
        commands=["dfo-bench sweep -t 'a<b>'"],
        provenance={"torch": "2<3"},
        planned=planned,
        counting=counting,
    )


def numbers(packed: str) -> Array:
    """Return the numbers that the page packs for its script."""
    return np.frombuffer(base64.b64decode(packed), "<f4").astype(float)
