"""The command that computes published figures again."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from dfo_bench.cli._output import print_table, table_of, write

commands = typer.Typer()


@commands.command(
    epilog="Examples: dfo-bench validate T1 T7; dfo-bench validate T5:full=true --output docs/validation.md"
)
def validate(
    ids: Annotated[
        list[str] | None,
        typer.Argument(help="T1 to T8, parity; all that need no parameter where none.", metavar="ID"),
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", help="A Markdown page to write.")] = None,
) -> int:
    """Compute published figures again and compare.

    T1 to T8 have a quick form, which takes minutes, and with full=true one that takes hours.
    """
    from dfo_bench.plugins.component import Component, parse
    from dfo_bench.validate import Row, names, needs, rows
    from dfo_bench.validate._page import COLUMNS, cells, page

    if not ids:
        ids = [name for name in names() if not needs(name)]
        if left := [f"{name}:{','.join(f'{key}=...' for key in needs(name))}" for name in names() if name not in ids]:
            print(f"dfo-bench: left out, for want of a parameter: {' '.join(left)}", file=sys.stderr)
    done: list[tuple[Component, list[Row]]] = []
    # All of them are read before the first is computed.
    for component, found in [(component, rows(component)) for component in map(parse, ids)]:
        table, done_here = table_of(*COLUMNS, title=str(component)), []
        with Console(stderr=True).status(f"{component} ...") as status:
            for row in found:
                done_here.append(row)
                table.add_row(*cells(row))
                status.update(f"{component}: {len(done_here)} figures, at last {row.what} ...")
        print_table(table)
        done.append((component, done_here))
        if output:
            # After each: what has taken hours is not lost with what comes after it.
            write(output, page(done))
    if output:
        print(output)
    missed = sum(not row.matched for _, of_one in done for row in of_one)
    if missed:
        print(f"dfo-bench: {missed} of the figures are not matched", file=sys.stderr)
    return 1 if missed else 0
