"""The plan of a store: the runs of the sweep that was started last, kept until all of them have begun.

A sweep that is stopped leaves the file, and so does one that is killed. Another sweep into the same store replaces it:
whoever changes a sweep and starts it again does not wait for what the first would have run.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from dfo_bench.errors import StoreError
from dfo_bench.runs.header import PlannedRun
from dfo_bench.runs.journal import FORMAT, refuse_newer
from dfo_bench.store.atomic import write_text
from dfo_bench.store.filenames import PLAN


def write_plan(store: Path, runs: Sequence[PlannedRun]) -> None:
    """Put the plan of a sweep in place."""
    plain = {"format": FORMAT, "runs": [run.to_json() for run in runs]}
    write_text(store / PLAN, json.dumps(plain) + "\n")


def read_plan(store: Path) -> list[PlannedRun]:
    """Return the plan, empty where there is none."""
    try:
        plain = json.loads((store / PLAN).read_text(encoding="utf-8"))
        refuse_newer(store / PLAN, int(plain["format"]))
        return [PlannedRun.from_json(run) for run in plain["runs"]]
    except FileNotFoundError:
        return []
    except StoreError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"{store / PLAN} is damaged; delete it, the runs are not in it") from error


def forget_plan(store: Path, runs: Sequence[PlannedRun]) -> None:
    """Remove the plan of a sweep whose runs have all begun, where no other has replaced it."""
    if read_plan(store) == list(runs):
        (store / PLAN).unlink(missing_ok=True)
