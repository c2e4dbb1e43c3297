"""Frames `runs`, `curves` and `measures` made by hand, with the columns that a store gives them."""

import hashlib
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from dfo_bench.runs.columns import CALLS, CURVE, MEASURE, MEMORY, RUN, RUNS

Frames = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]

Case = tuple[str, str, int]
"""Task, optimizer (with its projection behind a "/" where that is not normal) and seed."""

NO_MEASURES = pd.DataFrame(columns=MEASURE)

TEXT, SPHERE = "agnews:prompt_tokens=10", "sphere:dim=1000"
RUDE = 'my<script>alert("x")</script>'
OPTIMIZERS = ["cma:sigma=0.5", "random", RUDE]
PROJECTIONS = ["normal", "uniform"]
FAILED = (TEXT, "random", "normal", 2)
UNFINISHED = (TEXT, RUDE, "uniform", 1)
LOSSLESS = (SPHERE, "random", "uniform", 0)


def run(**fields: Any) -> dict[str, Any]:
    """Return one row of `runs`: finished, of one evaluation, unless the fields say otherwise; `start` is a baseline."""
    row: dict[str, Any] = {
        **dict.fromkeys(RUNS, 0), **dict.fromkeys(MEMORY, np.nan),
        "task": "sphere", "optimizer": "random", "projection": "normal", "dim": 2, "budget": 1, "dev_every": 100,
        "selection": "incumbent", "status": "finished", "error": "", "best_loss": 1.0, "evaluations": 1,
        "optimum": np.nan, "metric": "", "checks": "", "task_seconds": 2.5, "optimizer_seconds": 0.25, "examples": 64,
        "tokens": 1500, "bytes_up_z": 800, "bytes_up_prompt": 40_000, "bytes_down": 250, "attempts": 1,
    }  # fmt: skip
    row |= {"baseline": fields.get("optimizer") == "start", "sees": "losses"} | fields
    name = "/".join(str(row[column]) for column in RUN)
    return row | {"key": fields.get("key") or hashlib.sha256(name.encode()).hexdigest()[:16]}


def runs_of(*rows: dict[str, Any]) -> pd.DataFrame:
    """Return `runs` of four evaluations by cma, of seeds 0, 1... and keys k0, k1..., unless a row says otherwise."""
    common = {"optimizer": "cma", "budget": 4, "evaluations": 4, "task_seconds": 2.0}
    return pd.DataFrame([run(**{"key": f"k{i}", "seed": i, **common, **row}) for i, row in enumerate(rows)])


def curve(key: str, losses: list[float]) -> pd.DataFrame:
    """Return the rows of `curves` of one run that saw these losses; nan is a failed evaluation."""
    best = np.fmin.accumulate(np.where(np.isnan(losses), np.inf, losses)) if losses else np.empty(0)
    evaluations = np.arange(1, len(losses) + 1)
    digests = [f"{key}-{evaluation}" for evaluation in evaluations]
    seen = {"key": key, "evaluation": evaluations, "loss": losses, "best": best, "digest": digests}
    return pd.DataFrame(seen).reindex(columns=CURVE)


def curves_of(**losses: list[float]) -> pd.DataFrame:
    """Return `curves` of the losses that each key saw."""
    return pd.concat([curve(key, seen) for key, seen in losses.items()], ignore_index=True)


def measures_of(*rows: tuple[str, int, float]) -> pd.DataFrame:
    """Return dev accuracies: key, evaluation, value."""
    return pd.DataFrame([(key, at, "dev", "accuracy", value) for key, at, value in rows], columns=MEASURE)


def one_task(*rows: dict[str, Any]) -> Frames:
    """Return the frames of runs whose loss is their best_loss from the first evaluation on."""
    curves = [curve(row["key"], [row["best_loss"]] * row["evaluations"]) for row in rows]
    return pd.DataFrame(rows), pd.concat(curves), NO_MEASURES


def store_of(seen: dict[Case, list[float]], **fields: dict[Case, Any]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return runs and curves of runs that saw these losses, nan for a failed evaluation; finished unless told.

    `fields` gives columns of `runs` their values for some of the cases.
    """
    runs, curves = [], []
    for number, (case, losses) in enumerate(seen.items()):
        task, name, seed = case
        optimizer, _, projection = name.partition("/")
        own = curve(f"{number:016x}", losses)
        row = {
            "task": task, "optimizer": optimizer, "projection": projection or "normal", "dim": 1, "seed": seed,
            "budget": max(len(other) for (t, o, _), other in seen.items() if (t, o) == (task, name)),
            "best_loss": own["best"].min() if losses else np.inf, "evaluations": len(losses),
            "task_seconds": 2.0 * len(losses), "optimizer_seconds": 0.5 * len(losses), **dict.fromkeys(CALLS, np.nan),
        }  # fmt: skip
        row |= {name: values[case] for name, values in fields.items() if case in values}
        runs.append(run(key=f"{number:016x}", **row))
        curves.append(own)
    return pd.DataFrame(runs), pd.concat(curves, ignore_index=True)


def scores_of(table: dict[str, list[float]], task: str = "sphere") -> pd.DataFrame:
    """Return scores: of each method, "optimizer" or "optimizer/projection", one per seed."""
    rows = []
    for name, values in table.items():
        optimizer, _, projection = name.partition("/")
        for seed, score in enumerate(values):
            rows.append((task, seed, name, optimizer, projection or "normal", score))
    return pd.DataFrame(rows, columns=["task", "seed", "method", "optimizer", "projection", "score"])


def sweep(budget: int = 300) -> Frames:
    """Return the frames of a sweep of 2 tasks x 3 optimizers x 2 projections x 3 seeds, and its mishaps."""
    rng = np.random.default_rng(7)
    runs, curves, measures = [], [], []
    for task, optimizer, projection, seed in product([TEXT, SPHERE], OPTIMIZERS, PROJECTIONS, range(3)):
        case = (task, optimizer, projection, seed)
        status = {FAILED: "failed", UNFINISHED: "unfinished"}.get(case, "finished")
        evaluations = {FAILED: 120, UNFINISHED: 90}.get(case, budget)
        row = run(
            task=task, optimizer=optimizer, projection=projection, seed=seed, dim=200, budget=budget,
            evaluations=evaluations, status=status, error="ValueError: <no> step" if status == "failed" else "",
            optimum=0.0 if task == SPHERE else np.nan,
        )  # fmt: skip
        speed = {"cma:sigma=0.5": 90, "random": 400, RUDE: 180}[optimizer] * (1.3 if projection == "uniform" else 1)
        time = np.arange(1, evaluations + 1)
        if task == SPHERE:
            losses = 1000 * np.exp(-8 * time / speed) * rng.lognormal(0.3 * seed, 0.5, evaluations)
        else:
            losses = 0.6 + 0.8 * np.exp(-time / speed) + 0.03 * seed + rng.exponential(0.08, evaluations)
        losses[rng.random(evaluations) < 0.03] = np.nan
        if case == LOSSLESS:
            losses[:] = np.nan
        own = curve(row["key"], list(losses))
        best = own["best"].to_numpy()
        row["best_loss"] = best[-1] if np.isfinite(best[-1]) else np.nan
        cost = {"task_seconds": 0.04, "optimizer_seconds": 0.001, "examples": 64, "tokens": 2100, "bytes_up_z": 800,
                "bytes_up_prompt": 15_360, "bytes_down": 1024}  # fmt: skip
        row |= {name: each * evaluations for name, each in cost.items()}
        if task == TEXT:
            for at in range(20, evaluations + 1, 20):
                for metric, value in {"accuracy": 1.15 - 0.6 * best[at - 1], "loss": best[at - 1] + 0.1}.items():
                    measures.append((row["key"], at, "dev", metric, value))
                    row[f"dev_{metric}"] = value
            if status == "finished":
                row |= {"test_accuracy": row["dev_accuracy"] - 0.03, "test_loss": row["dev_loss"] + 0.05}
                measures += [(row["key"], budget, "test", m, row[f"test_{m}"]) for m in ("accuracy", "loss")]
        runs.append(row)
        curves.append(own)
    return pd.DataFrame(runs), pd.concat(curves, ignore_index=True), pd.DataFrame(measures, columns=MEASURE)
