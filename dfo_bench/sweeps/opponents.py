"""Opponents of a sweep: finished runs of another store, taken over so that newcomers compare with them seed by seed."""

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from dfo_bench.errors import InputError, count
from dfo_bench.runs.header import PlannedRun
from dfo_bench.store.merge import merge
from dfo_bench.store.store import Store
from dfo_bench.store.verify import verify

SAMPLE = 3
"""How many of the opponents' runs are verified."""

_QUESTION = ["task", "dim", "budget", "seed"]
"""What runs must share to be compared."""


def find_opponents(path: str | Path, runs: Sequence[PlannedRun]) -> list[str]:
    """Return the keys of a store's finished runs that `runs` can be compared with, and of those that are among them.

    Raise InputError where a search of `runs` finds no opponent.
    """
    store = Store(path)
    held = store.runs()
    held = held[held["status"] == "finished"]
    specs = [(run.shown["task"], run.spec.dim, run.spec.budget, run.spec.seed) for run in runs if run.spec.budget > 1]
    asked = pd.DataFrame(specs, columns=_QUESTION).drop_duplicates()
    opponents = held.merge(asked, on=_QUESTION)
    for question in asked.merge(opponents[_QUESTION], on=_QUESTION, how="left", indicator=True).to_dict("records"):
        if question["_merge"] == "left_only":
            raise InputError(f"{store.path} has no finished run on {_say(question)}; it has {_offers(held)}")
    return sorted({*opponents["key"], *({run.key for run in runs} & set(held["key"]))})


def _say(question: Mapping[Hashable, object]) -> str:
    return f"{question['task']}, dim {question['dim']}, budget {question['budget']}, seed {question['seed']}"


def _offers(held: pd.DataFrame) -> str:
    """Return what a store's searches ran on."""
    found = held[held["budget"] > 1].groupby(["task", "dim", "budget"])["seed"]
    lines = [
        f"{task} (dim {dim}, budget {budget}, seeds {min(seeds)} to {max(seeds)})"
        for (task, dim, budget), seeds in found
    ]
    return "; ".join(lines) or "no finished search"


def take_opponents(path: str | Path, keys: Sequence[str], store: Store) -> str:
    """Copy runs of another store into this one, after a few of them were verified; return what was done, in words.

    Raise InputError, before anything is copied, where a run is not what this machine computes.
    """
    source = Store(path)
    new = sorted(set(keys) - set(store))
    if not new:
        return f"{count(len(keys), 'run')} of {source.path} are here"
    # Not replayed: on another processor an optimizer may take another path, and the task is the same.
    verdicts = list(verify(source, points=0, runs=SAMPLE, keys=new))
    for verdict in verdicts:
        if not verdict.agrees:
            why = "; ".join(verdict.problems) or f"a loss differs by {verdict.difference:.3g}"
            raise InputError(
                f"{verdict.run} of {source.path} is not what is computed here: {why}; see dfo-bench verify --store "
                f"{source.path}, or leave out --opponents and run the others anew"
            )
    merge([source.path], store.path, keys=new)
    return f"{count(len(new), 'run')} of {source.path} taken over, {len(verdicts)} of them verified"
