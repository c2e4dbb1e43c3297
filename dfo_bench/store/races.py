"""Races: by what rules the methods of a task race over seeds; a file of a store with those of each task.

Who has won is not kept: `decide_pairs` says it from the runs.
"""

import json
from collections.abc import Mapping
from itertools import combinations
from math import comb
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dfo_bench.errors import StoreError
from dfo_bench.runs.columns import RACE
from dfo_bench.runs.sequential import ERROR, bounds, decide
from dfo_bench.store.atomic import write_text
from dfo_bench.store.filenames import RACES

if TYPE_CHECKING:
    import pandas as pd

PAIRS = ["first", "second", "outcome", "n", "advantage", "low", "high", "words"]


def write_races(store: Path, races: Mapping[str, tuple[float, int]]) -> None:
    """Set the margin and the most seeds of tasks; those of others stay."""
    write_text(store / RACES, json.dumps(read_races(store) | dict(races), indent=1, sort_keys=True) + "\n")


def read_races(store: Path) -> dict[str, tuple[float, int]]:
    """Return the margin and the most seeds of every task whose methods raced."""
    path = store / RACES
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        return {str(task): (float(margin), int(most)) for task, (margin, most) in plain.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise StoreError(f"{path} is damaged; delete it, and race again with --until-decided") from error


def add_races(runs: "pd.DataFrame", store: Path) -> "pd.DataFrame":
    """Return the frame `runs` with the columns RACE, where methods of a task of it raced."""
    races = read_races(store)
    if not runs["task"].isin(races).any():
        return runs
    ruled = {name: {task: rules[i] for task, rules in races.items()} for i, name in enumerate(RACE)}
    return runs.assign(**{name: runs["task"].map(values).astype(float) for name, values in ruled.items()})


def decide_pairs(losses: "pd.DataFrame", margin: float, most: int) -> "pd.DataFrame":
    """Return a row per pair of the methods of one task, with the columns PAIRS: which is better, and since when.

    `losses` has the columns seed, method and loss, the final one, nan or +inf where a run has none. Seeds count in
    ascending order. `outcome` is "first", "second", "tie", "undecided" or, where a run without a loss ends the race of
    a pair, "lossless"; `n` are the seeds that it took. `advantage` is by how much the first is better on average in
    them, between `low` and `high`. What is wrong among all pairs has probability ERROR, by Bonferroni: each has its
    part of it. (Holm's gain is not sure where a tie and either sign may be the answer.)
    """
    import pandas as pd

    # What has run without a loss is told from what has not run.
    table = losses.fillna({"loss": np.inf}).groupby(["seed", "method"])["loss"].mean().unstack("method")
    error = ERROR / max(1, comb(table.shape[1], 2))
    rows = []
    for first, second in combinations(table, 2):
        both = table[[first, second]].dropna().to_numpy(dtype=float)
        lossless = np.flatnonzero(~np.isfinite(both).all(axis=1))
        one, other = both[: lossless[0] if len(lossless) else None].T
        outcome, n, advantage, low, high = "undecided", len(one), np.nan, -np.inf, np.inf
        if n:
            sizes = np.maximum(abs(one), abs(other)).cumsum() / np.arange(1, n + 1)
            found, after = decide(other - one, margin * sizes, error)
            outcome, n = {1.0: "first", -1.0: "second", 0.0: "tie"}.get(float(found), outcome), int(after)
            advantage = float((other - one)[:n].mean())
            low, high = (float(bound[n - 1]) for bound in bounds(other - one, error))
        if outcome == "undecided" and len(lossless):
            outcome = "lossless"
        words = _words(outcome, str(first), str(second), n, most)
        rows.append((first, second, outcome, n, advantage, low, high, words))
    return pd.DataFrame(rows, columns=PAIRS)


def _words(outcome: str, first: str, second: str, n: int, most: int) -> str:
    seeds = f"{n} seed{'s' * (n != 1)}"
    if outcome in ("first", "second"):
        return f"{first if outcome == 'first' else second} better, after {seeds}"
    if outcome == "tie":
        return f"tie, after {seeds}"
    if outcome == "lossless":
        return f"stopped after {seeds}: the next has a run without a loss"
    return f"undecided after {seeds}{', the most' if n >= most else ''}"
