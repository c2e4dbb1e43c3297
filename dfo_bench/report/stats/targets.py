"""Run times: after how many evaluations a run hits a target, which is a height on its block's scale, see `scale`.

A target of 0.1 is hit once nine tenths of the way from the beginning to the best of all runs are gone.
"""

import numpy as np
import pandas as pd

from dfo_bench.core import Array
from dfo_bench.errors import InputError
from dfo_bench.report.counting import Counting
from dfo_bench.report.scores import BLOCK
from dfo_bench.report.stats.intervals import mean_interval, share_interval
from dfo_bench.report.stats.scale import heights
from dfo_bench.report.stats.steps import NEVER, grid

LADDER = np.linspace(1, 0, 51)[1:]
"""The targets of a run-time distribution."""

HITS = [*BLOCK, "method", "dim", "target", "evaluations", "spent"]


def hits(
    runs: pd.DataFrame,
    curves: pd.DataFrame,
    targets: Array = LADDER,
    *,
    budget: int | None = None,
    counting: Counting = Counting.LAST,
) -> pd.DataFrame:
    """Return one row per run and target, with the columns HITS: the evaluation that hits it, +inf where none does.

    `spent` is what the run spent on the target: until the hit, or until it ended; under "worst" a run that did not
    finish is charged its whole budget.
    """
    members, scaled = heights(runs, curves, budget=budget, counting=counting)
    made = members[["evaluations", "common"]].min(axis="columns")
    if counting is Counting.WORST:
        made = made.where(members["status"] == "finished", members["common"])
    frames = []
    for name, ended, (key, *fields) in zip(
        members.index, made, members[["key", *BLOCK, "method", "dim"]].itertuples(index=False, name=None), strict=True
    ):
        evaluations, values = scaled.get(str(key), NEVER)
        # Heights fall along a run: the first that is low enough.
        first = np.searchsorted(-values, -np.asarray(targets) - 1e-12)
        hit = np.append(evaluations, np.inf)[first]
        spent = np.where(np.isfinite(hit), hit, float(ended))
        frame = pd.DataFrame({"target": targets, "evaluations": hit, "spent": spent}, index=[name] * len(targets))
        frames.append(frame.assign(**dict(zip([*BLOCK, "method", "dim"], fields, strict=True))))
    return pd.concat(frames, ignore_index=True)[HITS]


def run_time_ecdf(hit: pd.DataFrame) -> pd.DataFrame:
    """Return the share of runs and targets that are hit within so many evaluations: method, evaluations, share, low...

    The targets of one run go together, so the bounds are Student's over runs, cut at 0 and 1; `n` counts runs.
    """
    at = grid(int(hit["spent"].max()))
    return _distribution(hit, hit["evaluations"].to_numpy(), at.astype(float), "evaluations")


def data_profile(hit: pd.DataFrame, target: float) -> pd.DataFrame:
    """Return the share of blocks whose target is hit within so many simplex gradients, as Moré and Wild (2009).

    A simplex gradient is dim + 1 evaluations. Columns: method, gradients, share, low, high, n; bounds are exact.
    """
    own = _select_target(hit, target)
    gradients = (own["evaluations"] / (own["dim"] + 1)).to_numpy()
    ends = (own["spent"] / (own["dim"] + 1)).max()
    return _distribution(own, gradients, np.linspace(0, ends, 400), "gradients")


def performance_profile(hit: pd.DataFrame, target: float) -> pd.DataFrame:
    """Return the share of blocks whose target is hit within a ratio of the fastest method's, as Dolan and Moré (2002).

    Columns: method, ratio, share, low, high, n. Blocks that no method hits count for none of them.
    """
    own = _select_target(hit, target)
    fastest = own.groupby(BLOCK)["evaluations"].transform("min")
    with np.errstate(invalid="ignore"):
        ratio = (own["evaluations"] / fastest).fillna(np.inf).to_numpy()
    ends = max(2.0, float(ratio[np.isfinite(ratio)].max(initial=1.0)))
    return _distribution(own, ratio, np.geomspace(1, ends, 400), "ratio")


def _select_target(hit: pd.DataFrame, target: float) -> pd.DataFrame:
    own = hit[np.isclose(hit["target"], target)]
    if own.empty:
        raise InputError(f"no target {target} among those asked for")
    return own


def _distribution(hit: pd.DataFrame, reached: Array, at: Array, name: str) -> pd.DataFrame:
    """Return a row per method and place of `at`: the share of its rows that are reached by then, bounds over runs.

    They are Student's, cut at 0 and 1, or exact ones where each run has one target.
    """
    frames = []
    for method, rows in hit.assign(reached=reached).groupby("method", sort=True):
        runs = [np.sort(own.to_numpy()) for _, own in rows.groupby(BLOCK)["reached"]]
        shares = np.array([np.searchsorted(own, at * (1 + 1e-12), side="right") / len(own) for own in runs])
        share, low, high = mean_interval(shares)
        if len(rows) == len(runs):
            low, high = share_interval(np.rint(share * len(runs)), len(runs))
        bounds = {"low": np.clip(low, 0, 1), "high": np.clip(high, 0, 1), "n": len(runs)}
        frames.append(pd.DataFrame({"method": method, name: at, "share": share, **bounds}))
    return pd.concat(frames, ignore_index=True)
