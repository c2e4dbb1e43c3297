"""IOHprofiler: a folder an algorithm, in it a JSON file a function and a file of evaluations a dimension.

Written by the loggers of IOHexperimenter (de Nobel et al., 2021, arXiv:2111.04077) for IOHanalyzer and iohinspector.
The readers are stricter than they say: a run that does not begin with evaluation 1 is passed over in silence, so is all
of a file with fewer runs in its index than blocks, and what stands in `experiment_attributes` is run as Python, so
there are none.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import csv

from dfo_bench import __version__
from dfo_bench.errors import writing
from dfo_bench.exchange.suite import ELSEWHERE, numbered, safe
from dfo_bench.runs.journal import plain_json
from dfo_bench.store.store import Store

VERSION = "0.3.22"
"""The version of IOHexperimenter whose files these follow."""

ATTRIBUTES = ["evaluations", "raw_y", "seed", "task_seconds", "optimizer_seconds"]
"""The columns; the seed is one of them, too, because readers do not show it otherwise."""

_NUMBERS_ALONE = csv.WriteOptions(include_header=False, delimiter=" ", quoting_style="none")


def export_iohprofiler(store: Store, out: Path) -> list[str]:
    """Write every evaluation of every run; an evaluation that failed is nan."""
    runs, notes = numbered(store, out)
    with writing(out, ELSEWHERE):
        for _, members in runs.groupby(["folder", "function"]):
            _write_function(store, out, members)
    return notes


def _write_function(store: Store, out: Path, runs: pd.DataFrame) -> None:
    """Write the runs of one algorithm on one function."""
    first = runs.iloc[0]
    folder, name = out / first["folder"], f"f{first['function']}_{safe(first['task'])}"
    (folder / f"data_{name}").mkdir(parents=True)
    scenarios = []
    for dim, members in runs.groupby("dim"):
        path = f"data_{name}/IOHprofiler_f{first['function']}_DIM{dim}.dat"
        with (folder / path).open("wb") as file:
            scenarios.append({"dimension": dim, "path": path, "runs": list(_write_runs(file, store, members))})
    described: dict[str, Any] = {
        "version": VERSION,
        "suite": "dfo-bench",
        "function_id": first["function"],
        "function_name": first["task"],
        "maximization": False,
        "algorithm": {"name": first["algorithm"], "info": f"dfo-bench {__version__}"},
        "run_attributes": ["seed"],
        "attributes": ATTRIBUTES,
        "scenarios": scenarios,
    }
    (folder / f"IOHprofiler_{name}.json").write_text(plain_json.encode(described) + "\n", encoding="utf-8")


def _write_runs(file: IO[bytes], store: Store, runs: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Write a block a run, and yield its entry."""
    for run in runs.to_dict("records"):
        curve = _from_the_first(store.curves([run["key"]]))
        loss = curve["loss"].to_numpy(dtype=float)
        columns = {
            "evaluations": curve["evaluation"],
            # Minus infinity counts as failed here; readers would take it for the best there is.
            "raw_y": np.where(loss == -np.inf, np.nan, loss),
            "seed": np.full(len(curve), run["seed"]),
            **{name: curve[name] for name in ("task_seconds", "optimizer_seconds")},
        }
        file.write(f"{' '.join(ATTRIBUTES)}\n".encode())
        # Not from pandas: there nan is a number that is missing, and an empty cell.
        arrays = {name: pa.array(np.asarray(values), from_pandas=False) for name, values in columns.items()}
        csv.write_csv(pa.table(arrays).select(ATTRIBUTES), file, _NUMBERS_ALONE)
        yield {
            "instance": run["instance"],
            "evals": max(int(run["evaluations"]), int(curve["evaluation"].iloc[-1])),
            "best": _best(curve),
            "seed": run["seed"],
        }


def _from_the_first(curve: pd.DataFrame) -> pd.DataFrame:
    """Return a curve that begins with evaluation 1, without a loss where an imported run has none of it."""
    if curve["evaluation"].iloc[0] == 1:
        return curve
    return pd.concat([curve.iloc[:1].assign(evaluation=1, loss=np.nan, best=np.inf), curve], ignore_index=True)


def _best(curve: pd.DataFrame) -> dict[str, Any]:
    """Return the best evaluation; y is null where none succeeded, and the store keeps no points."""
    best = curve["best"].to_numpy(dtype=float)
    at = int(np.argmin(best))
    y = float(best[at]) if np.isfinite(best[at]) else None
    return {"evals": int(curve["evaluation"].iloc[at]), "y": y, "x": []}
