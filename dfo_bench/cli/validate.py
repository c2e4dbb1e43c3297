"""The command that computes published figures again."""

from pathlib import Path
from typing import Annotated

import typer

from dfo_bench.cli._command import examples
from dfo_bench.cli._output import print_notes, print_table, table_of, write
from dfo_bench.errors import count

commands = typer.Typer()


def _names() -> list[str]:
    """Return the names of all validations."""
    from dfo_bench.validate import names

    return names()


@commands.command(
    epilog=examples(
        "dfo-bench validate T1 T7",
        "dfo-bench validate T5:full=true --output docs/validation.md",
        "dfo-bench validate parity:fixture=DIR",
    )
)
def validate(
    ids: Annotated[
        list[str] | None,
        typer.Argument(
            help="Validations, T1 to T8 and parity. [default: all that need no parameter]",
            metavar="ID",
            autocompletion=_names,
        ),
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", help="Markdown page to write.")] = None,
) -> int:
    """Compute published figures again and compare.

    T1 to T8 take minutes each, and hours in their full form, e.g. T5:full=true.
    """
    from rich.console import Console

    from dfo_bench.plugins.component import Component, parse
    from dfo_bench.validate import Row, names, needs, rows
    from dfo_bench.validate._page import COLUMNS, cells, page

    if not ids:
        ids = [name for name in names() if not needs(name)]
        if left := [f"{name}:{','.join(f'{key}=...' for key in needs(name))}" for name in names() if name not in ids]:
            print_notes([f"left out, because they need a parameter: {' '.join(left)}"])
    done: list[tuple[Component, list[Row]]] = []
    # All of them are read before the first is computed.
    for component, found in [(component, rows(component)) for component in map(parse, ids)]:
        table, done_here = table_of(*COLUMNS, title=str(component)), []
        with Console(stderr=True).status(f"{component} ...") as status:
            for row in found:
                done_here.append(row)
                table.add_row(*cells(row))
                status.update(f"{component}: {count(len(done_here), 'figure')}, at last {row.what} ...")
        print_table(table)
        done.append((component, done_here))
        if output:
            # After each: what has taken hours is not lost with what comes after it.
            write(output, page(done))
    if output:
        print(output)
    missed = sum(not row.matched for _, of_one in done for row in of_one)
    if missed:
        print_notes([f"figures that are not matched: {missed}"])
    return 1 if missed else 0
