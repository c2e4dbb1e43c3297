"""The reproduction of a store: the commands that make its runs again, and the versions with which they were made."""

import math
import shlex
from collections.abc import Sequence

import pandas as pd

from dfo_bench.runs.columns import GROUP, REFERENCE
from dfo_bench.runs.spec import RunSpec
from dfo_bench.store.frames import IMPORTED, Made

_AXES = {"task": "-t", "optimizer": "-o", "projection": "-p"}

_SETTINGS = [column for column in GROUP if column not in _AXES]


def commands(runs: pd.DataFrame, store: str) -> list[str]:
    """Return the sweeps whose runs are exactly those of the frame: one where they are a full product.

    What was imported cannot be run again here: it is named, to be imported again.
    """
    imported = int((runs["projection"] == IMPORTED).sum())
    runs = runs[runs["projection"] != IMPORTED]
    again = f"dfo-bench import FORMAT DIR --store {shlex.quote(store)}  # for {imported} imported runs"
    written: list[str] = [again] if imported else []
    for (dim, budget, dev_every, rule), group in runs.groupby(_SETTINGS, sort=True):
        settings = f"-d {dim} -b {budget} --dev-every {dev_every}"
        if rule != RunSpec.selection:
            settings += f" --selection {rule}"
        parts = [part for _, part in group.groupby(list(_AXES), sort=True)]
        combinations = math.prod(group[axis].nunique() for axis in _AXES)
        if len(parts) == combinations and len({tuple(sorted(part["seed"])) for part in parts}) == 1:
            parts = [group]
        written += [_command(part, settings, store) for part in parts]
    return written


def _command(runs: pd.DataFrame, settings: str, store: str) -> str:
    named = [(flag, str(name)) for axis, flag in _AXES.items() for name in runs[axis].unique()]
    axes = [f"{flag} {shlex.quote(name)}" for flag, name in named if (flag, name) != ("-p", REFERENCE)]
    seeds = _seeds(sorted(runs["seed"].unique()))
    # Those that the frame has are named.
    return " ".join(["dfo-bench sweep", *axes, settings, seeds, "--no-references", f"--store {shlex.quote(store)}"])


def _seeds(seeds: Sequence[int]) -> str:
    """Write sorted seeds, each once: as a range where none between the first and the last is missing."""
    if len(seeds) > 1 and seeds[-1] - seeds[0] == len(seeds) - 1:
        return f"-s {seeds[0]}-{seeds[-1]}"
    return " ".join(f"-s {seed}" for seed in seeds)


def provenance(runs: Sequence[Made]) -> dict[str, str]:
    """Return names and versions of what the runs were made with; where they differ, every value there is."""
    values: dict[str, set[str]] = {}
    for run in runs:
        flat = {name: digest for name, digest in run.digests.items() if ":" in name}
        if on := run.provenance:
            flat |= {"git revision": on.git or "", "processor": on.cpu, "platform": on.platform, "backend": on.backend}
            flat |= on.versions
        for name, value in flat.items():
            if value:
                values.setdefault(name, set()).add(value)
    ended = sorted(run.provenance.ended for run in runs if run.provenance)
    dates = {"ended": f"{ended[0]} to {ended[-1]}"} if ended else {}
    return {name: ", ".join(sorted(several)) for name, several in values.items()} | dates
