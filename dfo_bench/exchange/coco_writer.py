"""COCO: the format bbob-new2, a folder an algorithm, in it an index file a function, and its evaluations.

Read by cocopp. It is made for the suites of COCO: function ids, dimensions and instances (15, 1 to 15, are expected)
are all that it knows of a problem, so a task takes the suite's name that suits its dimension, and the comment of the
index says what it is. `cocopp.main` takes functions 1 to 24 of dimension 2, 3, 5, 10, 20, 40 (bbob) and 80, 160, 320,
640 (bbob-largescale); `cocopp.load` takes any.

The third column is the best loss so far minus a reference: the task's optimum, or, where none is known, the best loss
of all the runs of the task that are exported; the index says which.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from dfo_bench.core import Array
from dfo_bench.errors import writing
from dfo_bench.exchange.suite import ELSEWHERE, numbered
from dfo_bench.store.store import Store

CEILING = 1e308
"""The largest difference written: cocopp takes powers of ten, and this is the last. No success is written as it."""

_FLOOR = 1.0001e-8
"""The largest difference that cocopp, which looks for 1e-8, takes for reached; it adds 1e-12."""

Marks = npt.NDArray[np.bool_]

_LARGE_SCALE = (80, 160, 320, 640)

# COCO itself writes ten digits; its readers take all that a float has.
_HEADER = (
    "%% f evaluations | g evaluations | best noise-free fitness - Fopt (%.16e) + sum g_i+ | measured fitness | "
    "best measured fitness or single-digit g-values | x1 | x2...\n"
)
# The points themselves may be left out, and are: a store keeps their digests. COCO's own %+10.9e pads nan with spaces,
# which iohinspector takes for empty cells.
_ROW = "%d 0 %+.16e %+.16e %+.16e\n"


def export_coco(store: Store, out: Path) -> list[str]:
    """Write every evaluation of every run (.tdat) and the improvements among them (.dat)."""
    runs, notes = numbered(store, out)
    runs = runs.assign(**_references(runs))
    if not runs["known"].all():
        tasks = ", ".join(sorted(runs.loc[~runs["known"], "task"].unique()))
        notes.append(f"differences are from the best loss of all exported runs, for want of an optimum, for: {tasks}")
    with writing(out, ELSEWHERE):
        for _, members in runs.groupby(["folder", "function"]):
            notes += _write_function(store, out, members)
    return notes


def _references(runs: pd.DataFrame) -> dict[str, pd.Series]:
    """Return the reference of each run, and whether it is an optimum."""
    best = runs["best_loss"].astype(float).where(lambda loss: np.isfinite(loss))
    tasks = runs["task"]
    optimum = runs["optimum"].astype(float).fillna(runs["optimum"].astype(float).groupby(tasks).transform("min"))
    # Where nothing is known and nothing has succeeded, there is nothing to take a difference of.
    return {"reference": optimum.fillna(best.groupby(tasks).transform("min")).fillna(0.0), "known": optimum.notna()}


def _write_function(store: Store, out: Path, runs: pd.DataFrame) -> Iterator[str]:
    """Write the runs of one algorithm on one function, and yield what is doubtful about them."""
    first = runs.iloc[0]
    folder, function = out / first["folder"], first["function"]
    (folder / f"data_f{function}").mkdir(parents=True)
    index = []
    for dim, members in runs.groupby("dim"):
        path = f"data_f{function}/bbobexp_f{function}_DIM{dim}"
        with (
            (folder / f"{path}.dat").open("w", encoding="utf-8") as dat,
            (folder / f"{path}.tdat").open("w", encoding="utf-8") as tdat,
        ):
            ended, began = [], []
            for run in members.to_dict("records"):
                rows, improved = _rows(store.curves([run["key"]]), run["evaluations"], run["reference"])
                for file, written in ((dat, rows[improved]), (tdat, rows)):
                    file.write(_HEADER % run["reference"])
                    file.writelines(_ROW % tuple(row) for row in written)
                began.append(rows[0, 1])
                ended.append(rows[-1])
        index += [*_described(first, int(str(dim))), ", ".join([f"{path}.dat", *_listed(members, ended)])]
        what = f"{first['algorithm']} on {first['task']}, d={dim}"
        if max(began) <= _FLOOR and (max(began) < 0 or min(end[1] for end in ended) < max(began)):
            yield f"cocopp may end with an AssertionError at {what}: no run begins more than 1e-8 above the reference"
        if max(began) == CEILING and np.isfinite(members["best_loss"]).all():
            yield f"differences of {CEILING:g} and more are written as {CEILING:g}, the largest cocopp takes, in {what}"
    (folder / f"bbobexp_f{function}.info").write_text("\n".join(index) + "\n", encoding="utf-8")


def _listed(runs: pd.DataFrame, ended: list[Array]) -> Iterator[str]:
    """Yield instance, evaluations and last difference of every run."""
    for instance, end in zip(runs["instance"], ended, strict=True):
        yield f"{instance}:{end[0]:.0f}|{end[1]:.16e}"


def _rows(curve: pd.DataFrame, spent: int, reference: float) -> tuple[Array, Marks]:
    """Return the rows (n, 4) of .tdat, g evaluations left out, and which of them (n,) are those of .dat."""
    evaluation, loss, best = (curve[name].to_numpy(dtype=float) for name in ("evaluation", "loss", "best"))
    # Of an imported run only improvements may be known; readers ask for the first evaluation, and take the last row for
    # the end.
    if evaluation[0] > 1:
        evaluation, loss, best = np.append(1, evaluation), np.append(np.nan, loss), np.append(np.inf, best)
    if spent > evaluation[-1]:
        evaluation, loss, best = np.append(evaluation, spent), np.append(loss, np.nan), np.append(best, best[-1])
    loss = np.where(loss > -np.inf, loss, np.nan)
    with np.errstate(over="ignore"):
        difference = np.minimum(best - reference, CEILING)
    improved = np.diff(difference, prepend=np.inf) < 0
    improved[-1] = True
    return np.column_stack([evaluation, difference, loss, np.where(best < np.inf, best, CEILING)]), improved


def _described(run: pd.Series, dim: int) -> Iterator[str]:
    """Yield the first two lines of an entry of the index."""
    suite = "bbob-largescale" if dim in _LARGE_SCALE else "bbob"
    # A further field, `settings`, would make iohinspector pass the file over.
    yield (
        f"suite = '{suite}', funcId = {run['function']}, DIM = {dim}, Precision = 1.000e-08, "
        f"algId = '{run['folder']}', coco_version = '2.8.2', logger = 'bbob', data_format = 'bbob-new2'"
    )
    task, algorithm = (ascii(" ".join(str(run[name]).split())) for name in ("task", "algorithm"))
    what = "the optimum" if run["known"] else "the best loss of all exported runs, not a known optimum"
    yield f"% {algorithm} on {task}, not a function of COCO; Fopt is {what}; instance is seed + 1"
