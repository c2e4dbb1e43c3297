"""The runs of the sweep that was started last, kept in its store until it has ended: what has not begun is known, too.

A sweep that is stopped leaves the file, and so does one that is killed. Another sweep into the same store replaces it:
whoever changes a sweep and starts it again does not wait for what the first would have run.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dfo_bench.errors import StoreError
from dfo_bench.plugins.registry import KINDS
from dfo_bench.runs.journal import FORMAT, refuse_newer
from dfo_bench.runs.spec import RunSpec
from dfo_bench.store import atomic
from dfo_bench.store.filenames import PLAN


def write_plan(store: Path, runs: Sequence[dict[str, Any]]) -> None:
    """Put the plan of a sweep in place; each run is the `key`, `spec` and `shown` of its journal's header."""
    try:
        atomic.put(store / PLAN, json.dumps({"format": FORMAT, "runs": list(runs)}) + "\n")
    except OSError as error:
        raise StoreError(f"{store / PLAN} cannot be written: {error.strerror}; free space and run again") from error


def read_plan(store: Path) -> list[dict[str, Any]]:
    """Return the plan, empty where there is none."""
    try:
        data = json.loads((store / PLAN).read_text())
        refuse_newer(store / PLAN, int(data["format"]))
        for run in data["runs"]:
            RunSpec.from_json(run["spec"])
            if not isinstance(run["key"], str) or run["shown"].keys() != KINDS.keys():
                raise ValueError(run)
    except FileNotFoundError:
        return []
    except StoreError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"{store / PLAN} is damaged; delete it, the runs are not in it") from error
    return list(data["runs"])


def forget_plan(store: Path, runs: Sequence[dict[str, Any]]) -> None:
    """Remove the plan of a sweep whose runs have all begun and stopped, where no other has replaced it."""
    if read_plan(store) == list(runs):
        (store / PLAN).unlink(missing_ok=True)
