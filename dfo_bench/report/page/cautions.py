"""The cautions of the page: sentences on what a reader must not conclude from these runs."""

from collections import Counter

import numpy as np
import pandas as pd

from dfo_bench.report.counting import select_runs
from dfo_bench.report.labels import Looks
from dfo_bench.report.stats.steps import REACH
from dfo_bench.runs.columns import GROUP

FEW_SEEDS = 5
"""Below this number of seeds the quartiles are hardly more than the runs themselves."""


def cautions(runs: pd.DataFrame, look: Looks) -> list[str]:
    """Return one sentence for each limit that applies; there must be at least one run."""
    counted = select_runs(runs)
    if counted.empty:
        return ["No run has begun: there is nothing to compare yet."]
    said = []
    if not (runs["status"] == "finished").any():
        said.append("No run has finished: everything below is preliminary.")
    elif (runs["status"] == "unfinished").any():
        said.append("The sweep is unfinished: groups stand at different points and the numbers below will change.")
    seeds = counted.groupby(GROUP)["seed"].nunique()
    if seeds.max() == 1:
        said.append("Every group has one seed: there is no spread, and no difference here can be told from chance.")
    elif seeds.min() == 1:
        said.append("Some groups have one seed: they show no band and no deviation.")
    elif seeds.min() < FEW_SEEDS:
        which = "Groups" if seeds.min() == seeds.max() else "Some groups"
        said.append(f"{which} have only {seeds.min()} seeds: few differences can be told from chance.")
    if counted.groupby("task")["seed"].nunique().gt(seeds.groupby("task").min()).any():
        said.append("Not every group of a task has the same seeds: their differences are not paired throughout.")
    if counted[~counted["baseline"]].groupby("task")["budget"].nunique().max() > 1:
        said.append("Budgets differ within a task: compare final losses only between groups of one budget.")
    best = counted["best_loss"].astype(float)
    said += _count(counted[~np.isfinite(best)], look, "had no successful evaluation")
    beyond = counted[np.isfinite(best) & (best.abs() > REACH)]
    return said + _count(beyond, look, f"reached a loss beyond ±{REACH:.0e}, which counts as that")


def _count(runs: pd.DataFrame, look: Looks, what: str) -> list[str]:
    """Say of each group how many of its runs these are."""
    groups = Counter(runs[GROUP].itertuples(index=False, name=None))
    return [
        f"{look[tuple(group)].label} on {task}: {number} of its runs {what}."
        for (task, *group), number in groups.items()
    ]
