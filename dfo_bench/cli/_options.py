"""Options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

Task = Annotated[str, typer.Option("-t", "--task", help="Task, e.g. helpdesk or sphere:dim=1000.")]
Optimizer = Annotated[str, typer.Option("-o", "--optimizer", help="Optimizer, e.g. cma or 'rembo:inner=(cma)'.")]
Projection = Annotated[str, typer.Option("-p", "--projection", help="Projection, e.g. normal:alpha=2.")]
Tasks = Annotated[list[str] | None, typer.Option("-t", "--task", help="Task; give it once for each.")]
Optimizers = Annotated[list[str] | None, typer.Option("-o", "--optimizer", help="Optimizer; give it once for each.")]
Projections = Annotated[
    list[str] | None, typer.Option("-p", "--projection", help="Projection; give it once for each. [default: normal]")
]
Dim = Annotated[
    int | None,
    typer.Option("-d", "--dim", help="Dimension to search in. [default: 500, or the task's where that is smaller]"),
]
Budget = Annotated[int | None, typer.Option("-b", "--budget", help="Evaluations a run may spend. [default: 8000]")]
Seeds = Annotated[
    list[str] | None, typer.Option("-s", "--seed", help="Seeds: 3, 0-9, or several of them. [default: 0]")
]
StoreTo = Annotated[Path | None, typer.Option("--store", help="Folder of runs. [default: results]")]
StoreFrom = Annotated[Path, typer.Option("--store", help="Folder of runs.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
