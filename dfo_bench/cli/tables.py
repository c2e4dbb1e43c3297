"""The command that writes the seed paper's two tables: accuracy, and what each method costs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dfo_bench.cli._command import examples
from dfo_bench.cli._options import OPTIMIZER, TASK, StoreTo, budget_option, seeds_option, workers_option
from dfo_bench.cli._output import print_table, suffix_of, table_of, write
from dfo_bench.cli.run import work_off
from dfo_bench.errors import InputError
from dfo_bench.sweeps.presets import names as presets
from dfo_bench.sweeps.request import SweepRequest

if TYPE_CHECKING:
    from dfo_bench.report.seed_tables.sheet import Sheet

commands = typer.Typer()

_PRESET = "the preset's"


@commands.command(
    epilog=examples(
        "dfo-bench tables --store results/tables --paper",
        "dfo-bench tables tables -s 0-4 --workers 2 --output tables.md",
        "dfo-bench tables tables -t sst2:model=gemma-3-270m,head=causal,mode=after -p normal -b 1000",
    )
)
def tables(
    preset: Annotated[
        str | None,
        typer.Argument(
            help=f"YAML file of a sweep, or a preset, to run first: {', '.join(presets())}.",
            metavar="FILE.yaml|PRESET",
            autocompletion=presets,
        ),
    ] = None,
    tasks: Annotated[list[str] | None, TASK] = None,
    optimizers: Annotated[list[str] | None, OPTIMIZER] = None,
    budget: Annotated[int | None, budget_option(_PRESET)] = None,
    seeds: Annotated[list[str] | None, seeds_option(_PRESET)] = None,
    store: StoreTo = None,
    workers: Annotated[int | None, workers_option(_PRESET)] = None,
    paper: Annotated[
        bool, typer.Option("--paper", help="Add the paper's own figures, which are RoBERTa-large's.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", help="File to write: .md, .tex or .csv. [default: the terminal]")
    ] = None,
) -> int:
    """Write two tables: accuracy, and what each method costs.

    They are those of Black-Box Tuning's paper, with what each method sees beside its name. With a preset, what the
    store lacks of it is run first, and the options take the place of what it says; without one nothing is run.
    """
    from dfo_bench.report.seed_tables import WRITERS, tables
    from dfo_bench.store.store import Store
    from dfo_bench.sweeps.config import SweepSettings, read_sweep

    suffix = suffix_of(output, WRITERS) if output else ""
    given = SweepSettings(tasks=tasks, optimizers=optimizers, budget=budget, seeds=seeds, workers=workers, store=store)
    if preset:
        opened, status = work_off(read_sweep(preset).replace(given))
    else:
        for name, value in given.model_dump(exclude_none=True, exclude={"store"}).items():
            raise InputError(
                f"{name} {value!r} changes nothing without a preset to run; name one: {', '.join(presets())}"
            )
        opened, status = Store(store or SweepRequest.store), 0
    made = tables(opened.runs(), paper=paper)
    if output:
        write(output, WRITERS[suffix](made))
        print(output)
    else:
        _print(made.accuracy)
        print()
        _print(made.cost)
    return status


def _print(sheet: "Sheet") -> None:
    """Print a table on the terminal, a blank line between its groups."""
    from rich.text import Text

    from dfo_bench.report.seed_tables.sheet import text_of

    table = table_of(*sheet.columns, title=sheet.caption)
    for group, rows in sheet.groups.items():
        table.add_section()
        table.add_row(Text(group, style="italic"))
        for row in rows:
            table.add_row(*(Text(text_of(cell), style="bold" if cell.best else "") for cell in row))
    print_table(table)
    print(sheet.note)
