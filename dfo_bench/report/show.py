"""One run in words: what it is, its scores, what it cost, its curve as a small picture, and its prompt."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from dfo_bench.core import Array
from dfo_bench.report.format import count, seconds, size
from dfo_bench.report.stats.rows import score_half
from dfo_bench.report.stats.scale import spans_decades
from dfo_bench.runs.columns import RUN, SPLITS, scores
from dfo_bench.runs.spec import describe
from dfo_bench.store.view import RunView

_WIDTH, _HEIGHT = 60, 8
_BARS = " ▁▂▃▄▅▆▇█"


def show(view: RunView) -> str:
    """Return what there is to know of a run in lines of text.

    >>> print(dfo_bench.show(dfo_bench.Store("results/demo").view("05ea9b9a")))
    """
    one = view.row
    facts = [(name, str(one[name])) for name in RUN if str(one[name])]
    facts.append(("status", f"{one['status']}, {one['evaluations']} of {one['budget']} evaluations"))
    facts += [*([("error", str(one["error"]))] if one["error"] else []), *_scores(one), *_costs(one)]
    # A traceback says to its author what the error says to everybody.
    facts += [("event", event) for event in view.events if "\n" not in event]
    width = max(len(name) for name, _ in facts)
    lines = [f"run {one['key']}: {describe(one)}", *(f"  {name:<{width}}  {value}" for name, value in facts)]
    written = ["", f"  prompt: {one['prompt']}"] if one.get("prompt") else []
    return "\n".join([*lines, *_picture(view.curve), *written, *_prompt(view.words)])


def _scores(one: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the loss and the scores, accuracy and F1 with the interval that the rows leave them."""
    yield "train loss", f"{one['best_loss']:.6g}"
    for split in SPLITS:
        rows = float(one.get(f"{split}_rows", 0))
        own = {column.removeprefix(f"{split}_"): float(one[column]) for column in scores(one, split)}
        for name, value in own.items():
            behind = ""
            if (half := score_half(name, own, 0.0, 1, rows)) > 0:
                behind = f" (95 % {max(0.0, value - half):.3f} to {min(1.0, value + half):.3f}, {rows:,.0f} rows)"
            yield f"{split} {name.replace('_', ' ')}", f"{value:.4g}{behind}"


def _picture(curve: pd.DataFrame) -> list[str]:
    """Draw the best loss against evaluations in blocks, on a logarithmic axis where it spans decades."""
    best = curve[np.isfinite(curve["best"])]
    if len(best) < 2:
        return []
    logarithmic = spans_decades(best["best"])
    at = np.linspace(best["evaluation"].iloc[0], best["evaluation"].iloc[-1], _WIDTH).round()
    place = np.searchsorted(best["evaluation"].to_numpy(dtype=float), at, side="right") - 1
    values = best["best"].to_numpy(dtype=float)[place]
    heights = np.log(values) if logarithmic else values
    low, high = float(heights.min()), float(heights.max())
    share = (heights - low) / (high - low) if high > low else np.zeros(len(heights))
    return [
        "",
        f"  best loss over {count(len(curve))} evaluations{', logarithmic' if logarithmic else ''}",
        *(f"  {label} {line}".rstrip() for label, line in zip(_labels(values), _lines(share), strict=True)),
    ]


def _labels(values: Array) -> list[str]:
    ends = f"{values.max():.4g}", f"{values.min():.4g}"
    width = max(map(len, ends))
    return [ends[0].rjust(width), *[" " * width] * (_HEIGHT - 2), ends[1].rjust(width)]


def _lines(share: Array) -> Iterator[str]:
    """Yield the lines of a bar chart of shares, from its top; the least still has a mark."""
    eighths = np.maximum(1, (share * _HEIGHT * 8).round().astype(int))
    for line in range(_HEIGHT - 1, -1, -1):
        yield "".join(_BARS[min(8, max(0, one - 8 * line))] for one in eighths)


def _prompt(words: Sequence[Sequence[str]] | str) -> list[str]:
    if isinstance(words, str):
        return ["", f"  nearest words: {words}"] if words else []
    return ["", "  nearest words", *(f"    {i + 1:>3}  {'  '.join(near)}" for i, near in enumerate(words))]


def _costs(one: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    spent = {"task": "task_seconds", "optimizer": "optimizer_seconds", "dev and test": "measuring_seconds"}
    if times := [f"{seconds(float(one[column]))} {name}" for name, column in spent.items() if column in one]:
        yield "time", ", ".join(times)
    if one.get("repeats"):
        made = count(float(one["evaluations"]) - float(one["repeats"]))
        yield "calls", f"{made}, for {count(float(one['repeats']))} evaluations came to a prompt that was known"
    if one.get("tokens"):
        more = count(float(one.get("measuring_tokens", 0)))
        yield "tokens", f"{count(float(one['tokens']))}, and {more} of dev and test"
    if sent := one.get("sent_up", one.get("bytes_up_z")):
        yield "sent", size(float(sent))
    if one.get("peak_memory"):
        yield "memory", f"{size(float(one['peak_memory']))} at most"
