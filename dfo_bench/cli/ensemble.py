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
        "dfo-bench ensemble --store results/tickets --run best",
        "dfo-bench ensemble --store results/tickets --size 10 --json",
        "dfo-bench predict new.csv --store results/tickets --ensemble 5",
    )
)
def ensemble(
    store: StoreTo = None,
    task: OfTask = None,
    run: Annotated[
        str | None,
        typer.Option(
            "--run", help="Take the best prompts of one run, by its key or best, that differ.", metavar="KEY|best"
        ),
    ] = None,
    size: Annotated[
        int | None, typer.Option("--size", help="Prompts to take at most, the best on dev. [default: 5]", metavar="N")
    ] = None,
    boosted: BoostedVotes = False,
    as_json: AsJson = False,
) -> None:
    """Score several prompts as one.

    They are those that several runs selected: searches of one task, or of tasks that differ in their prompt (template
    and mode, too) alone; other seeds, methods or projections. With --run they are those of one run: the selected one,
    then those of the lowest train losses. Their log-probabilities are averaged; with --boosted they vote, too, by
    weights fitted on train, which costs a call for each text that one was trained on and each prompt. The ensemble and
    each of its prompts are scored on the same rows: of dev those that no prompt was trained on, of test those that all
    have. A text costs as many calls as there are prompts. --json prints what each predicts, too.
    """
    from dfo_bench.store.ensemble import SIZE
    from dfo_bench.store.store import Store

    made = Store(store or SweepRequest.store).ensemble(SIZE if size is None else size, task, run=run, boosted=boosted)
    # Before anything is paid.
    table_says = {f"run {one.describe()}" for one in made.runs}
    print_notes([note for note in made.notes if note not in table_says])
    scores, predictions = made.scores(), made.predictions()
    if as_json:
        print_json({"scores": scores.to_dict("records"), "predictions": predictions.to_dict("records")})
        return
    columns = [name for name in scores.columns if not name.endswith("_rows")]
    table = table_of(*(name.replace("_", " ") for name in columns))
    for row in scores[columns].astype(object).fillna("").itertuples(index=False):
        table.add_row(*(f"{value:.4f}" if isinstance(value, float) else str(value) for value in row))
    print_table(table)
    single = made.members[0].key
    other = f"{single}, the prompt selected" if run else f"run {single}, the best alone on its own dev"
    for split in ("dev", "test"):
        if f"{split}_accuracy" in scores:
            for key in made.keys[: -len(made.runs)]:
                rows = int(scores[f"{split}_rows"].iloc[0])
                said = "the boosted ensemble" if key == "boosted" else "the ensemble"
                gain = _gain(scores, predictions, f"{split}_accuracy", (key, single))
                print(f"{split}, {rows:,} rows: {said} less {other}: {gain}")


def _gain(scores: "pd.DataFrame", predictions: "pd.DataFrame", metric: str, pair: tuple[str, str]) -> str:
    """Write by how much the first of a pair of keys is better, with the interval that the rows leave."""
    from dfo_bench.report.stats.rows import RowHits

    first, second = scores.set_index("key")[metric].loc[list(pair)]
    half = RowHits(predictions).half([pair], metric)
    gain = float(first - second)
    return f"{gain:+.4f} (95 % {gain - half:+.4f} to {gain + half:+.4f})"
