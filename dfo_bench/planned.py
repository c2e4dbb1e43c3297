"""The runs of the sweep that was started last, kept in its store until it has ended: what has not begun is known, too.

A sweep that is stopped leaves the file, and so does one that is killed. Another sweep into the same store replaces it:
whoever changes a sweep and starts it again does not wait for what the first would have run.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dfo_bench import files
from dfo_bench.errors import StoreError
from dfo_bench.journal import FORMAT, refuse_newer
from dfo_bench.registry import KINDS
from dfo_bench.spec import RunSpec

FILE = "planned.json"


def write(store: Path, runs: Sequence[dict[str, Any]]) -> None:
    """Put the plan of a sweep in place; each run is the `key`, `spec` and `shown` of its journal's header."""
    try:
        files.put(store / FILE, json.dumps({"format": FORMAT, "runs": list(runs)}) + "\n")
    except OSError as error:
        raise StoreError(f"{store / FILE} cannot be written: {error.strerror}; free space and run again") from error


def read(store: Path) -> list[dict[str, Any]]:
    """Return the plan, empty where there is none."""
    try:
        data = json.loads((store / FILE).read_text())
        refuse_newer(store / FILE, int(data["format"]))
        for run in data["runs"]:
            RunSpec.from_json(run["spec"])
            if not isinstance(run["key"], str) or run["shown"].keys() != KINDS.keys():
                raise ValueError(run)
    except FileNotFoundError:
        return []
    except StoreError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"{store / FILE} is damaged; delete it, the runs are not in it") from error
    return list(data["runs"])


def forget(store: Path, runs: Sequence[dict[str, Any]]) -> None:
    """Remove the plan of a sweep whose runs have all begun and stopped, where no other has replaced it."""
    if read(store) == list(runs):
        (store / FILE).unlink(missing_ok=True)
