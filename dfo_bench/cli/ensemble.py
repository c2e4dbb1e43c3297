"""The command that scores several prompts as one."""

from typing import TYPE_CHECKING, Annotated

import typer

from dfo_bench.cli._command import examples
from dfo_bench.cli._options import AsJson, OfTask, StoreTo
from dfo_bench.cli._output import print_json, print_notes, print_table, table_of
from dfo_bench.sweeps.request import SweepRequest

if TYPE_CHECKING:
    import pandas as pd

commands = typer.Typer()


@commands.command(
    epilog=examples(
        "dfo-bench ensemble --store results/tickets",
        "dfo-bench ensemble --store results/tickets --size 10 --json",
        "dfo-bench predict new.csv --store results/tickets --ensemble 5",
    )
)
def ensemble(
    store: StoreTo = None,
    task: OfTask = None,
    size: Annotated[
        int | None, typer.Option("--size", help="Prompts to take at most, the best on dev. [default: 5]", metavar="N")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Score the selected prompts of several runs as one.

    Their log-probabilities are averaged. The runs are searches of one task: other seeds, methods or projections. The
    ensemble and each of its prompts are scored on the same rows: of dev those that no prompt was trained on, of test
    those that all have. A text costs as many calls as there are prompts. --json prints what each predicts, too.
    """
    from dfo_bench.store.ensemble import SIZE
    from dfo_bench.store.store import Store

    made = Store(store or SweepRequest.store).ensemble(SIZE if size is None else size, task)
    scores, predictions = made.scores(), made.predictions()
    if as_json:
        print_json({"scores": scores.to_dict("records"), "predictions": predictions.to_dict("records")})
        return
    print_notes([note for note in made.notes if not note.startswith("run ")])
    columns = [name for name in scores.columns if not name.endswith("_rows")]
    table = table_of(*(name.replace("_", " ") for name in columns))
    for row in scores[columns].itertuples(index=False):
        table.add_row(*(f"{value:.4f}" if isinstance(value, float) else str(value) for value in row))
    print_table(table)
    for split in ("dev", "test"):
        if f"{split}_accuracy" in scores:
            print(_compare(scores, predictions, split))


def _compare(scores: "pd.DataFrame", predictions: "pd.DataFrame", split: str) -> str:
    """Compare the ensemble with the best single prompt on dev."""
    from dfo_bench.report.stats.rows import RowHits

    name = f"{split}_accuracy"
    first = scores.iloc[1]
    gain = float(scores[name].iloc[0] - first[name])
    half = RowHits(predictions).half([(scores["key"].iloc[0], first["key"])], name)
    rows = int(scores[f"{split}_rows"].iloc[0])
    return (
        f"{split}, {rows:,} rows: the ensemble less run {first['key']}, the best alone on its own dev: {gain:+.4f} "
        f"(95 % {gain - half:+.4f} to {gain + half:+.4f})"
    )
