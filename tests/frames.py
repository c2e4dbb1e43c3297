"""Small frames `runs` and `curves`, written as what each run saw."""

from typing import Any

import numpy as np
import pandas as pd

Case = tuple[str, str, int]
"""Task, optimizer (with its projection behind a "/" where that is not normal) and seed."""


def store_of(seen: dict[Case, list[float]], **fields: dict[Case, Any]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return runs and curves of runs that saw these losses, nan for a failed evaluation; finished unless told.

    `fields` gives columns of `runs` their values for some of the cases.
    """
    runs, curves = [], []
    for number, (case, losses) in enumerate(seen.items()):
        (task, name, seed), key = case, f"{number:016x}"
        optimizer, _, projection = name.partition("/")
        best = np.fmin.accumulate(np.where(np.isnan(losses), np.inf, losses)) if losses else np.empty(0)
        row = {
            "key": key, "task": task, "optimizer": optimizer, "projection": projection or "normal", "dim": 1,
            "budget": max(len(own) for (t, o, _), own in seen.items() if (t, o) == (task, name)), "seed": seed,
            "dev_every": 100, "selection": "incumbent", "status": "finished", "error": "",
            "best_loss": best[-1] if len(best) else np.inf, "evaluations": len(losses), "optimum": np.nan,
            "task_seconds": 2.0 * len(losses), "optimizer_seconds": 0.5 * len(losses),
        }  # fmt: skip
        runs.append(row | {name: values[case] for name, values in fields.items() if case in values})
        evaluations = np.arange(1, len(losses) + 1)
        curves.append(pd.DataFrame({"key": key, "evaluation": evaluations, "loss": losses, "best": best}))
    return pd.DataFrame(runs), pd.concat(curves, ignore_index=True)


def scores_of(table: dict[str, list[float]], task: str = "sphere") -> pd.DataFrame:
    """Return scores: of each method, "optimizer" or "optimizer/projection", one a seed."""
    rows = []
    for name, values in table.items():
        optimizer, _, projection = name.partition("/")
        for seed, score in enumerate(values):
            rows.append((task, seed, name, optimizer, projection or "normal", score))
    return pd.DataFrame(rows, columns=["task", "seed", "method", "optimizer", "projection", "score"])
