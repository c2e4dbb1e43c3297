"""Commands that run optimizers: run and sweep."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from dfo_bench.cli._options import (
    Budget,
    Dim,
    Optimizer,
    Optimizers,
    Projection,
    Projections,
    Seeds,
    StoreTo,
    Task,
    Tasks,
)
from dfo_bench.cli._output import print_table, table_of
from dfo_bench.errors import InputError

commands = typer.Typer()


@commands.command(epilog="Example: dfo-bench run -t helpdesk -o cma -d 200 -b 300")
def run(
    task: Task,
    optimizer: Optimizer,
    projection: Projection = "normal",
    dim: Dim = None,
    budget: Budget = None,
    seed: Annotated[str, typer.Option("-s", "--seed", help="Seed.")] = "0",
    store: StoreTo = None,
) -> int:
    """Run one optimizer on one task.

    What has run before is not run again, and what was interrupted goes on.
    """
    from dfo_bench.sweeps.config import parse_seeds

    seeds = parse_seeds([seed])
    if len(seeds) > 1:
        raise InputError(f"a run has one seed, got {seed}; run several with: dfo-bench sweep -s {seed} ...")
    given = {"tasks": [task], "optimizers": [optimizer], "projections": [projection], "seeds": seeds}
    return _sweep({**given, "dim": dim, "budget": budget, "store": store})


@commands.command(
    epilog="Examples: dfo-bench sweep quickstart; "
    "dfo-bench sweep -t sphere -t ackley -o cma -o random -d 20 -b 2000 -s 0-9 --store results/demo --workers 2"
)
def sweep(
    file: Annotated[
        str | None,
        typer.Argument(help="A YAML file, or a preset: quickstart, bbt, bbtv2, hesbo.", metavar="[FILE.yaml|PRESET]"),
    ] = None,
    tasks: Tasks = None,
    optimizers: Optimizers = None,
    projections: Projections = None,
    dim: Dim = None,
    budget: Budget = None,
    seeds: Seeds = None,
    store: StoreTo = None,
    dev_every: Annotated[
        int | None, typer.Option("--dev-every", help="Evaluations between two scores on dev. [default: 100]")
    ] = None,
    selection: Annotated[
        str | None,
        typer.Option(
            "--selection",
            help="What dev scores: incumbent, the best candidate so far, or current, the last one evaluated, which is "
            "the rule of the Black-Box Tuning paper. [default: incumbent]",
        ),
    ] = None,
    workers: Annotated[int | None, typer.Option("--workers", help="Runs side by side, each on one core.")] = None,
) -> int:
    """Run every task x projection x optimizer x seed.

    Options override the file. Interrupt it at any time: the same command goes on where it stopped and skips what has
    finished.
    """
    from dfo_bench.sweeps.config import parse_seeds, read_sweep

    options: dict[str, Any] = {
        "tasks": tasks,
        "optimizers": optimizers,
        "projections": projections,
        "dim": dim,
        "budget": budget,
    }
    options |= {"seeds": parse_seeds(seeds) if seeds else None, "store": store, "workers": workers}
    options |= {"dev_every": dev_every, "selection": selection}
    return _sweep({**(read_sweep(file) if file else {}), **{name: v for name, v in options.items() if v is not None}})


def _sweep(given: dict[str, Any]) -> int:
    """Run a sweep, print what came out, and return the exit status."""
    from dfo_bench.runs.spec import RunSpec
    from dfo_bench.sweeps.progress import shown
    from dfo_bench.sweeps.sweep import sweep
    from dfo_bench.sweeps.workers import Ended, Event

    for name in ("tasks", "optimizers"):
        if not given.get(name):
            raise InputError(f"no {name}; name at least one with -{name[0]}, or a sweep file or preset that does")
    ended: list[Ended] = []

    @contextmanager
    def listener(specs: Sequence[RunSpec]) -> Iterator[Any]:
        with shown(specs) as show:

            def listen(event: Event) -> None:
                if isinstance(event, Ended):
                    ended.append(event)
                show(event)

            yield listen

    try:
        store = sweep(**{name: value for name, value in given.items() if value is not None}, listener=listener)
    except KeyboardInterrupt:
        print("dfo-bench: what has run is kept; the same command goes on from here", file=sys.stderr)
        raise
    _print_results(store)
    failed = [event for event in ended if event.summary is None or event.summary.status == "failed"]
    if failed:
        print(
            f"dfo-bench: {len(failed)} of {len(ended)} runs failed; the same command tries them again", file=sys.stderr
        )
    print(f"compare them with: dfo-bench report --store {store.path}")
    return 1 if failed else 0


def _print_results(store: Any) -> None:
    """Print the report's table of each task."""
    from dfo_bench.report.baselines import place_baselines
    from dfo_bench.report.labels import looks
    from dfo_bench.report.page.tables import tabulate_results
    from dfo_bench.report.stats.groups import summarise

    runs = place_baselines(store.runs())
    groups = summarise(runs)
    for task in groups.index.unique("task"):
        content = tabulate_results(groups.loc[groups.index.get_level_values("task") == task], looks(runs))
        table = table_of(*content.columns, title=f"{task}: {content.caption.lower()}")
        for row in content.rows:
            table.add_row(*(f"{cell.note} {cell.text}".strip() for cell in row))
        print_table(table)
