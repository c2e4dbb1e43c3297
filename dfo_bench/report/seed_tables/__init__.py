"""The seed paper's two tables: accuracy by method and task, and what each method costs, with what each of them sees."""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from dfo_bench.errors import InputError
from dfo_bench.report.page.tables import Table
from dfo_bench.report.seed_tables import accuracy, costs
from dfo_bench.report.seed_tables.methods import name_methods, ordered, task_of
from dfo_bench.report.seed_tables.published import TASKS
from dfo_bench.report.seed_tables.sheet import Sheet
from dfo_bench.report.titles import name_tasks


@dataclass(frozen=True)
class SeedTables:
    """Both tables."""

    accuracy: Sheet
    cost: Sheet

    def frame(self) -> pd.DataFrame:
        """Return a row per number: table, group, method, sees, column, value, sd, note.

        Scores are shares of 1, times seconds, sizes bytes.
        """
        return pd.DataFrame([*self.accuracy.numbers(), *self.cost.numbers()])

    def markdown(self) -> str:
        """Return both as GitHub reads them."""
        return f"{self.accuracy.markdown()}\n{self.cost.markdown()}"

    def latex(self) -> str:
        """Return a `table` of booktabs each."""
        return f"{self.accuracy.latex()}\n{self.cost.latex()}"

    def csv(self) -> str:
        """Return the rows of `frame`."""
        return str(self.frame().to_csv(index=False))


WRITERS: dict[str, Callable[[SeedTables], str]] = {
    "md": SeedTables.markdown,
    "tex": SeedTables.latex,
    "csv": SeedTables.csv,
}
"""What writes both tables as text, by the suffix of its file."""


def tables(runs: pd.DataFrame, *, paper: bool = False) -> SeedTables:
    """Return the seed paper's two tables of a store's runs, `store.runs()`: scores on test, and costs.

    Both say what each method sees: losses, outputs, features, gradients or weights. `paper` adds the paper's own
    figures. Raises InputError where no run of a text task has a score on test.
    """
    named = name_methods(name_tasks(runs))
    return SeedTables(accuracy.accuracy_sheet(named, paper=paper), costs.cost_sheet(named, paper=paper))


def page_tables(runs: pd.DataFrame) -> list[Table]:
    """Return both tables for the page, and, folded, the paper's own figures.

    None where no reference and no method that sees more than losses stands beside a search that sees losses only.
    """
    try:
        named = name_methods(runs)
    except InputError:
        return []
    scored = named[named["score"].notna()]
    searches = (scored["sees"] == "losses") & ~scored["baseline"].astype(bool)
    if searches.all() or not searches.any():
        return []
    own, columns = tables(runs), ordered(named["column"])
    shown = [own.accuracy.table(), own.cost.table()]
    if any(task_of(column) in TASKS for column in columns):
        paper = (own.accuracy, accuracy.paper_groups(columns)), (own.cost, costs.paper_groups(columns))
        for sheet, groups in paper:
            if groups:
                caption = f"{sheet.caption}: the paper's own figures"
                shown.append(Sheet(caption, sheet.columns, groups, "From arXiv 2201.03514.").table(folded=True))
    return shown
