"""The output of commands: tables, notes and files."""

import json
import sys
from collections.abc import Collection, Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dfo_bench.errors import InputError
from dfo_bench.store.atomic import write_text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_NAME = 14
"""So many characters of a row's name at least stay in one line on a terminal."""


def table_of(*columns: str, title: str | None = None) -> "Table":
    """Return a table without rows; long cells are folded, not cut."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def print_table(table: "Table") -> None:
    """Print a table as wide as the terminal, and wide enough for all elsewhere."""
    _console().print(table)


def print_results(heads: Sequence[str], rows: Sequence[Sequence[str]], title: str) -> None:
    """Print a table of which names alone, the first column, are folded.

    What follows a comma in a head stands under it. Columns for which a terminal has no room are left out from the
    right, and named.
    """
    console = _console()
    above = [heads[0], *(head.replace(", ", "\n") for head in heads[1:])]
    columns = zip(above, *rows, strict=True)
    name, *widths = (max(len(line) for cell in column for line in cell.split("\n")) for column in columns)
    ends = accumulate((2 + width for width in widths), initial=min(name, _NAME))
    shown = sum(end <= console.width for end in ends) if console.is_terminal else len(heads)
    table = table_of(above[0], title=title)
    for head in above[1:shown]:
        table.add_column(head, no_wrap=True)
    for row in rows:
        table.add_row(*row[:shown])
    console.print(table)
    if left := heads[shown:]:
        print_words(f"no room here for: {', '.join(left)}; a wider terminal shows more")


def print_words(text: str) -> None:
    """Print a paragraph, which a terminal breaks between words."""
    console = _console()
    console.print(text, soft_wrap=not console.is_terminal)


def _console() -> "Console":
    from rich.console import Console

    width = None if sys.stdout.isatty() else 200
    # Names and errors come from plugins and data: brackets in them are no markup.
    return Console(width=width, markup=False, emoji=False, highlight=False)


def print_json(value: Any) -> None:
    """Print JSON with every digit of its numbers; nan and the infinities, which JSON does not have, become null."""
    print(json.dumps(json.loads(json.dumps(value), parse_constant=lambda constant: None), indent=1))


def write(path: Path, text: str) -> None:
    """Put a file in place at once: a browser may be reading the one before."""
    write_text(path, text, "name another with --output")


def suffix_of(path: Path, known: Collection[str]) -> str:
    """Return the suffix of a file to write, without its dot; raise InputError where it is none of the known."""
    suffix = path.suffix.removeprefix(".").lower()
    if suffix not in known:
        raise InputError(f"cannot write {str(path)!r}; the name must end in {', '.join('.' + one for one in known)}")
    return suffix


def print_notes(notes: list[str]) -> None:
    """Print remarks, apart from what a command answers."""
    for note in notes:
        print(f"dfo-bench: {note}", file=sys.stderr)
