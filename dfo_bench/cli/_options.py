"""Options that several commands have."""

from pathlib import Path
from typing import Annotated, Any

import typer

from dfo_bench.errors import DfoBenchError
from dfo_bench.runs.defaults import BUDGET, DIM
from dfo_bench.sweeps.request import SweepRequest


def _component(kind: str, example: str, default: str = "") -> Any:
    """Return the option that names a task, an optimizer or a projection."""
    letter = kind[0]

    def names() -> list[str]:
        return plugin_names(kind) + (plugin_names("reference") if kind == "optimizer" else [])

    return typer.Option(
        f"-{letter}",
        f"--{kind}",
        help=f"{kind.capitalize()}, e.g. {example}; repeat -{letter} in a sweep.{default}",
        metavar=kind.upper(),
        autocompletion=names,
    )


def plugin_names(kind: str) -> list[str]:
    """Return what completes the name of a plugin; nothing for what is no kind, and where two have one name."""
    from dfo_bench.plugins.sources import kind_named, sources_of

    try:
        return list(sources_of(kind_named(kind)))
    except DfoBenchError:
        return []


TASK = _component("task", "helpdesk or sphere:dim=1000")
OPTIMIZER = _component("optimizer", "cma or 'rembo:inner=(cma)', or reference, e.g. feature_linear")
PROJECTION = _component("projection", "normal:alpha=2", f" [default: {' '.join(map(str, SweepRequest.projections))}]")
Dim = Annotated[
    int | None,
    typer.Option("-d", "--dim", help=f"Dimension to search in. [default: {DIM}, or the task's where that is smaller]"),
]


def budget_option(default: object) -> Any:
    """Return the option of evaluations; `default` is what its help says of it."""
    return typer.Option("-b", "--budget", help=f"Evaluations per run. [default: {default}]")


def seeds_option(default: object) -> Any:
    """Return the option of seeds."""
    return typer.Option(
        "-s",
        "--seed",
        help=f"Seed; a sweep takes a range such as 0-9, and several. [default: {default}]",
        metavar="SEED",
    )


def workers_option(default: object) -> Any:
    """Return the option of processes."""
    return typer.Option("--workers", help=f"Processes that run side by side, each on one core. [default: {default}]")


Budget = Annotated[int | None, budget_option(BUDGET)]
Seeds = Annotated[list[str] | None, seeds_option(" ".join(map(str, SweepRequest.seeds)))]
Workers = Annotated[int | None, workers_option(1)]
Price = Annotated[
    float | None,
    typer.Option("--price", help="Price of a million tokens; the report then says what runs cost.", metavar="P"),
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Say what is left in runs, calls, tokens, bytes, time and money, and run nothing."),
]
StoreTo = Annotated[Path | None, typer.Option("--store", help=f"Folder of runs. [default: {SweepRequest.store}]")]
StoreFrom = Annotated[Path, typer.Option("--store", help="Folder of runs.")]
OfTask = Annotated[
    str | None,
    typer.Option(
        "-t",
        "--task",
        help="Task, where the store has searches of several.",
        metavar="TASK",
        autocompletion=lambda: plugin_names("task"),
    ),
]
OfRun = Annotated[
    str | None,
    typer.Option("--run", help="Key of a run, also of a reference, or best. [default: best]", metavar="KEY|best"),
]
BoostedVotes = Annotated[
    bool, typer.Option("--boosted", help="Let the prompts of an ensemble vote, by weights fitted on train.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
