"""A table whose rows stand in groups, as the seed paper prints them, and its writers."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dfo_bench.report.markup import escape_latex, escape_markdown, latex_row, latex_table, markdown_table
from dfo_bench.report.page.tables import Cell, Table

WORDS = 2
"""How many cells of a row are words, aligned left: the method and what it sees."""


@dataclass(frozen=True)
class Sheet:
    """A caption, the heads of the columns, the rows of each group, and a note that says how to read it.

    A row begins with the name of the method and what it sees, `WORDS` cells without a number.
    """

    caption: str
    columns: list[str]
    groups: dict[str, list[list[Cell]]]
    note: str

    def table(self, *, folded: bool = False) -> Table:
        """Return it as a table of the page, which sorts its rows: their group is a column."""
        rows = [[row[0], Cell(group), *row[1:]] for group, members in self.groups.items() for row in members]
        columns = [self.columns[0], "group", *self.columns[1:]]
        return Table(self.caption, columns, rows, note=self.note, folded=folded)

    def markdown(self) -> str:
        """Return it as GitHub reads it."""
        rows = []
        for group, members in self.groups.items():
            rows.append([f"*{escape_markdown(group)}*", *[""] * (len(self.columns) - 1)])
            for row in members:
                texts = [(escape_markdown(text_of(cell)), cell.best) for cell in row]
                rows.append([f"**{text}**" if best else text for text, best in texts])
        head = [escape_markdown(column) for column in self.columns]
        return f"### {escape_markdown(self.caption)}\n\n{markdown_table(head, rows, escape_markdown(self.note), WORDS)}"

    def latex(self) -> str:
        """Return a `tabular` of booktabs in a `table`."""
        lines: list[str] = []
        for group, members in self.groups.items():
            lines += [r"\midrule"] if lines else []
            lines.append(rf"\multicolumn{{{len(self.columns)}}}{{l}}{{\emph{{{escape_latex(group)}}}}} \\")
            for row in members:
                texts = [(escape_latex(text_of(cell)), cell.best) for cell in row]
                lines.append(latex_row([rf"\textbf{{{text}}}" if best else text for text, best in texts]))
        head = [escape_latex(column) for column in self.columns]
        return latex_table(head, lines, escape_latex(f"{self.caption}. {self.note}"), WORDS)

    def numbers(self) -> Iterator[dict[str, Any]]:
        """Yield every number of it with all digits, and what it is the number of."""
        for group, members in self.groups.items():
            for method, sees, *cells in members:
                for column, cell in zip(self.columns[2:], cells, strict=True):
                    if not math.isnan(cell.value):
                        named = {"table": self.caption, "group": group, "method": method.text, "sees": sees.text}
                        yield named | {"column": column, "value": cell.value, "sd": cell.sd, "note": cell.note}


def text_of(cell: Cell) -> str:
    """Return what a cell says, its remark behind it."""
    return f"{cell.text} ({cell.note})" if cell.note else cell.text
