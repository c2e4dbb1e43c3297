"""What commands print and write."""

import os
import sys
from contextlib import suppress
from pathlib import Path

from rich.console import Console
from rich.table import Table

from dfo_bench.errors import InputError


def table_of(*columns: str, title: str | None = None) -> Table:
    table = Table(box=None, pad_edge=False, title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def print_table(table: Table) -> None:
    """Print a table as wide as the terminal, and wide enough for all elsewhere."""
    width = None if sys.stdout.isatty() else 200
    # Names and errors come from plugins and data: brackets in them are no markup.
    Console(width=width, markup=False, emoji=False, highlight=False).print(table)


def write(path: Path, text: str) -> None:
    """Put a file in place at once: a browser may be reading the one before."""
    unfinished = path.with_name(f"{path.name}.tmp")
    try:
        unfinished.write_text(text, encoding="utf-8")
        os.replace(unfinished, path)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}; name another with --output") from error
    finally:
        with suppress(OSError):
            unfinished.unlink()


def notes(notes: list[str]) -> None:
    for note in notes:
        print(f"dfo-bench: {note}", file=sys.stderr)
