"""The command that measures intrinsic dimensions."""

from pathlib import Path
from typing import Annotated

import typer

from dfo_bench.cli._command import examples
from dfo_bench.cli._options import TASK, Budget, DryRun, Seeds, StoreTo, Workers
from dfo_bench.cli._output import print_table, suffix_of, table_of
from dfo_bench.cli.report import Style
from dfo_bench.cli.run import work_off
from dfo_bench.errors import InputError
from dfo_bench.report.figures import FORMATS

commands = typer.Typer()

LADDER = "5,10,20,50,100,200,500"


@commands.command(
    epilog=examples(
        "dfo-bench dimension -t helpdesk:shots=4 -b 100 -s 0-2 --store results/dimension --output dimension.pdf",
        "dfo-bench dimension -t sst2:shots=8 -o cma --dims 10,50,200 -b 300",
    )
)
def dimension(
    tasks: Annotated[list[str], TASK],
    optimizer: Annotated[
        str, typer.Option("-o", "--optimizer", help="Optimizer that searches the subspaces.", metavar="OPTIMIZER")
    ] = "adam",
    whole: Annotated[
        str, typer.Option("--whole", help="Optimizer that searches the whole space.", metavar="OPTIMIZER")
    ] = "adam",
    dims: Annotated[str, typer.Option("--dims", help="Dimensions of the subspaces.", metavar="D,D...")] = LADDER,
    budget: Budget = None,
    seeds: Seeds = None,
    metric: Annotated[
        str,
        typer.Option("--metric", help="Score to go by instead of the train loss, such as test_accuracy."),
    ] = "",
    store: StoreTo = None,
    workers: Workers = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", help=f"Figure to write: {', '.join('.' + one for one in FORMATS)}."),
    ] = None,
    style: Annotated[Style, typer.Option("--style", help="Width of the figure, in a paper.")] = "two-column",
    dry_run: DryRun = False,
) -> int:
    """Measure the intrinsic dimension of tasks.

    That is the smallest dimension of a random subspace in which an optimizer reaches 90 % of what the whole space
    gives: of how far the train loss falls, or of a score. What the store lacks of it is run: the start, the subspaces,
    the whole space. Another dimension or seed is added by the same command later.
    """
    from dfo_bench.report.figures.canvas import save
    from dfo_bench.report.figures.dimension import draw
    from dfo_bench.report.stats.dimension import ladders, reached, sentences
    from dfo_bench.report.titles import name_tasks
    from dfo_bench.sweeps.config import SweepSettings
    from dfo_bench.sweeps.sweep import estimate

    try:
        steps = sorted({int(one) for one in dims.split(",")})
    except ValueError:
        raise InputError(f"dims {dims!r}: write whole numbers such as {LADDER}") from None
    if output:
        suffix_of(output, FORMATS)
    common = SweepSettings(tasks=tasks, budget=budget, seeds=seeds, store=store, workers=workers, references=False)
    parts = [SweepSettings(optimizers=[optimizer], dim=step) for step in steps]
    parts += [
        SweepSettings(optimizers=[whole], projections=["identity"]),
        SweepSettings(optimizers=["start"], budget=1),
    ]
    asked = [common.replace(part) for part in parts]
    if dry_run:
        for one in asked:
            print("\n".join(estimate(one.request()).lines))
        return 0
    # Whatever is wrong with one is said before any is paid.
    for one in asked:
        estimate(one.request())
    ended = [work_off(one) for one in asked]
    found = reached(name_tasks(ended[0][0].runs()), metric)
    table = table_of(
        "task", "optimizer", "d", "share", "95%", "seeds", title="share of the whole space's, mean over seeds"
    )
    for row in ladders(found).to_dict("records"):
        bounds = f"{row['low']:.2f} to {row['high']:.2f}" if row["n"] > 1 else ""
        table.add_row(row["task"], row["optimizer"], str(row["dim"]), f"{row['share']:.2f}", bounds, str(row["n"]))
    print_table(table)
    print("\n".join(sentences(found)))
    if output:
        save(draw(found, style=style), output)
        print(output)
    return max(status for _, status in ended)
