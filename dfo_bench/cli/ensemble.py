"""The command that scores several prompts as one."""

from typing import TYPE_CHECKING, Annotated

import typer

from dfo_bench.cli._command import examples
from dfo_bench.cli._options import AsJson, BoostedVotes, OfTask, StoreTo
from dfo_bench.cli._output import print_json, print_notes, print_table, table_of
from dfo_bench.sweeps.request import SweepRequest

if TYPE_CHECKING:
    import pandas as pd

commands = typer.Typer()


@commands.command(
    epilog=examples(
        "dfo-bench ensemble --store results/tickets",
        "dfo-bench ensemble --store results/tickets --boosted",
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
    boosted: BoostedVotes = False,
    as_json: AsJson = False,
) -> None:
    """Score the selected prompts of several runs as one.

    Their log-probabilities are averaged; with --boosted they vote, too, by weights fitted on train, which costs a call
    for each text that one was trained on and each prompt. The runs are searches of one task: other seeds, methods or
    projections. The ensemble and each of its prompts are scored on the same rows: of dev those that no prompt was
    trained on, of test those that all have. A text costs as many calls as there are prompts. --json prints what each
    predicts, too.
    """
    from dfo_bench.store.ensemble import SIZE
    from dfo_bench.store.store import Store

    made = Store(store or SweepRequest.store).ensemble(SIZE if size is None else size, task, boosted=boosted)
    # Before anything is paid.
    print_notes([note for note in made.notes if not note.startswith("run ")])
    scores, predictions = made.scores(), made.predictions()
    if as_json:
        print_json({"scores": scores.to_dict("records"), "predictions": predictions.to_dict("records")})
        return
    columns = [name for name in scores.columns if not name.endswith("_rows")]
    table = table_of(*(name.replace("_", " ") for name in columns))
    for row in scores[columns].astype(object).fillna("").itertuples(index=False):
        table.add_row(*(f"{value:.4f}" if isinstance(value, float) else str(value) for value in row))
    print_table(table)
    single = made.runs[0].summary.key
    for split in ("dev", "test"):
        if f"{split}_accuracy" in scores:
            for key in made.keys[: -len(made.runs)]:
                print(_compare(scores, predictions, split, key, single))


def _compare(scores: "pd.DataFrame", predictions: "pd.DataFrame", split: str, key: str, single: str) -> str:
    """Compare an ensemble with the best single prompt on dev, by their keys."""
    from dfo_bench.report.stats.rows import RowHits

    name = f"{split}_accuracy"
    of = scores.set_index("key")
    gain = float(of[name][key] - of[name][single])
    half = RowHits(predictions).half([(key, single)], name)
    rows = int(of[f"{split}_rows"][key])
    said = "the boosted ensemble" if key == "boosted" else "the ensemble"
    return (
        f"{split}, {rows:,} rows: {said} less run {single}, the best alone on its own dev: {gain:+.4f} "
        f"(95 % {gain - half:+.4f} to {gain + half:+.4f})"
    )
