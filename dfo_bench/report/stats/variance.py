"""The split of a task's variance: the scatter of its scores by optimizer, projection, data split, embedding and chance.

A seed draws four things. Runs of one seed share split and start, whatever their optimizer and projection; those of
one seed and projection share the embedding, too; only the optimizer's own draws are a run's alone. So a table of
optimizers x projections x seeds tells them apart, as a mixed analysis of variance: optimizer and projection are
fixed, the seed and its interaction with the projection random. The components are the estimators by expected mean
squares, as in Searle, Casella and McCulloch (1992), chapter 4, below 0 set to 0.
"""

import numpy as np
import pandas as pd

from dfo_bench.core import Array
from dfo_bench.errors import InputError
from dfo_bench.report.stats.scale import spans_decades

COMPONENTS = ["task", "source", "variance", "share", "df", "optimizers", "projections", "seeds"]


def variance_split(scored: pd.DataFrame) -> pd.DataFrame:
    """Return a row per task and source, with the columns COMPONENTS; `share` is of the sum of the task's components.

    `scored` is what `scores.scores` returns, best without baselines. Losses that span decades count by their
    logarithms. Only optimizers with every projection and only seeds with every score of them enter; what several
    settings of one optimizer and projection came to is averaged. Raises InputError where no task has two optimizers
    and two seeds.
    """
    frames = []
    for task, members in scored.groupby("task", sort=True):
        table = _complete(members)
        optimizers, projections, seeds = table.shape
        if optimizers < 2 or seeds < 2:
            continue
        rows = _components(np.log10(table) if spans_decades(pd.Series(table.ravel())) else table)
        frame = pd.DataFrame(rows, columns=["source", "variance", "df"])
        total = frame["variance"].sum()
        frame["share"] = frame["variance"] / total if total > 0 else np.nan
        counts = {"optimizers": optimizers, "projections": projections, "seeds": seeds}
        frames.append(frame.assign(task=task, **counts)[COMPONENTS])
    if not frames:
        raise InputError("to split the variance, a task needs two optimizers with the same projections, and two seeds")
    return pd.concat(frames, ignore_index=True)


def _complete(scored: pd.DataFrame) -> Array:
    """Return the scores of a task as (optimizers, projections, seeds), without any that is not whole."""
    names = [sorted(scored[name].unique()) for name in ("optimizer", "projection", "seed")]
    cells = scored.groupby(["optimizer", "projection", "seed"])["score"].mean()
    table: Array = cells.reindex(pd.MultiIndex.from_product(names)).to_numpy(dtype=float)
    table = table.reshape([len(values) for values in names])
    whole = np.all(np.isfinite(table).any(axis=2), axis=1)
    table = table[whole]
    return table[:, :, np.isfinite(table).all(axis=(0, 1))]


def _components(table: Array) -> list[tuple[str, float, int]]:
    """Return source, component and degrees of freedom; table: (optimizers, projections, seeds), 2 x 1 x 2 or more."""
    a, b, s = table.shape
    grand = table.mean()
    o = table.mean(axis=(1, 2), keepdims=True) - grand
    p = table.mean(axis=(0, 2), keepdims=True) - grand
    r = table.mean(axis=(0, 1), keepdims=True) - grand
    op = table.mean(axis=2, keepdims=True) - grand - o - p
    pr = table.mean(axis=0, keepdims=True) - grand - p - r
    rest = table - grand - o - p - r - op - pr
    free = {"o": a - 1, "p": b - 1, "op": (a - 1) * (b - 1), "r": s - 1, "pr": (b - 1) * (s - 1),
            "rest": (a - 1) * b * (s - 1)}  # fmt: skip
    effects = {"o": o, "p": p, "op": op, "r": r, "pr": pr, "rest": rest}
    mean = {name: float(np.broadcast_to(x, table.shape).ravel() @ np.broadcast_to(x, table.shape).ravel()) / free[name]
            for name, x in effects.items() if free[name]}  # fmt: skip
    sources = [("optimizer", (mean["o"] - mean["rest"]) / (b * s), free["o"])]
    if b > 1:
        sources.append(("projection", (mean["p"] - mean["pr"]) / (a * s), free["p"]))
        sources.append(("optimizer x projection", (mean["op"] - mean["rest"]) / s, free["op"]))
    sources.append(("data split and start", (mean["r"] - mean.get("pr", mean["rest"])) / (a * b), free["r"]))
    if b > 1:
        sources.append(("embedding", (mean["pr"] - mean["rest"]) / a, free["pr"]))
    sources.append(("the optimizer's own draws", mean["rest"], free["rest"]))
    return [(source, max(0.0, component), df) for source, component, df in sources]
