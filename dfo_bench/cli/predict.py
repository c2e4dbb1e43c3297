"""The command that classifies texts by what a run has found."""

import csv
import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dfo_bench.cli._command import examples
from dfo_bench.cli._options import BoostedVotes, OfRun, OfTask, StoreTo
from dfo_bench.cli._output import print_notes, suffix_of, write
from dfo_bench.errors import InputError, count
from dfo_bench.sweeps.request import SweepRequest

if TYPE_CHECKING:
    from dfo_bench.core import Array, FitProgress
    from dfo_bench.lm.unlabelled import Asked
    from dfo_bench.store.classifier import TextClassifier

commands = typer.Typer()

_PREDICTED = "predicted"


@commands.command(
    epilog=examples(
        "dfo-bench predict new.csv --store results/tickets --output labelled.csv",
        "dfo-bench predict new.csv --store results/tickets --run 0123456789abcdef > labelled.csv",
        "dfo-bench predict new.csv --bundle tickets --output labelled.csv",
        "dfo-bench predict mails.xlsx --bundle tickets --text body --label queue > labelled.csv",
        "dfo-bench predict new.csv --store results/tickets --ensemble 5 --boosted > labelled.csv",
        "dfo-bench predict new.csv --store results/tickets --ensemble 3 --run best > labelled.csv",
        "echo 'the parcel never came' | dfo-bench predict - --store results/tickets",
    )
)
def predict(
    file: Annotated[
        str,
        typer.Argument(
            help="Texts: .txt with one per line, or a table as a task reads it, .csv, .tsv, .xlsx, .jsonl or .parquet; "
            "- reads lines from standard input.",
            metavar="FILE",
        ),
    ],
    store: StoreTo = None,
    bundle: Annotated[
        Path | None, typer.Option("--bundle", help="Folder that export bundle wrote, in the place of a store.")
    ] = None,
    task: OfTask = None,
    run: OfRun = None,
    ensemble: Annotated[
        int | None,
        typer.Option(
            "--ensemble",
            help="Average so many prompts: of the best searches on dev, or with --run of one.",
            metavar="N",
        ),
    ] = None,
    boosted: BoostedVotes = False,
    text: Annotated[
        list[str] | None,
        typer.Option(
            "--text", help="Column of the texts; twice for pairs. [default: found by its name]", metavar="COLUMN"
        ),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option("--label", help="Column of the labels, to score. [default: found by its name]", metavar="COLUMN"),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", help="File to write, .csv. [default: standard output]")
    ] = None,
) -> None:
    """Classify texts by what a run has found.

    Writes CSV: the columns of the file, the label (predicted), and the probability of each label (probability_LABEL).
    best is the search with the best score on dev, then the lowest train loss; which it was, and whether a reference is
    better on dev, is said on standard error. Where the file has labels, the accuracy is said there, too. The
    model and the data of the run must still be there; with --bundle only the model. With --ensemble the
    log-probabilities of several prompts are averaged (with --boosted they vote), and a text costs a call for each.
    """
    from dfo_bench.exchange.bundles import load
    from dfo_bench.lm.unlabelled import read_asked
    from dfo_bench.store.store import Store

    if output:
        suffix_of(output, ["csv"])
    take: Callable[[], TextClassifier]
    if bundle:
        given = {"--store": store, "--task": task, "--run": run, "--ensemble": ensemble, "--boosted": boosted or None}
        if other := [name for name, value in given.items() if value is not None]:
            raise InputError(f"{other[0]} changes nothing beside --bundle; leave out one of them")
        take = partial(load, bundle)
    elif ensemble is not None:
        take = partial(Store(store or SweepRequest.store).ensemble, ensemble, task, run=run, boosted=boosted)
    elif boosted:
        raise InputError("--boosted weighs several prompts; pass --ensemble N, too")
    else:
        take = partial(Store(store or SweepRequest.store).classifier, run or "best", task)
    asked = read_asked(file, sys.stdin.buffer, text or None, label)
    classifier = take()
    columns = _new_columns(asked, classifier)
    print_notes([*asked.notes, *classifier.notes])
    with _bar() as progress:
        logits = classifier.logits(asked.rows, progress)
    print_notes(_remarks(asked, classifier, logits))
    table = _csv(asked, columns, classifier, logits)
    if output:
        write(output, table)
        print(output)
    else:
        sys.stdout.write(table)


def _new_columns(asked: "Asked", classifier: "TextClassifier") -> list[str]:
    """Return the columns that are added; raise InputError where the file does not fit the run."""
    from dfo_bench.lm.columns import FIELDS

    there, wanted = (" and ".join(FIELDS[fields]) for fields in (asked.fields, classifier.fields))
    if there != wanted:
        raise InputError(
            f"{asked.name} has its texts in {there}, and run {classifier.key} takes {wanted}; rename the columns, or "
            "take another run"
        )
    columns = [_PREDICTED, *(f"probability_{label}" for label in classifier.labels)]
    if taken := [column for column in columns if column in asked.columns]:
        raise InputError(f"{asked.name} has a column {taken[0]!r} already; rename it or leave it out")
    return columns


def _remarks(asked: "Asked", classifier: "TextClassifier", logits: "Array") -> list[str]:
    """Return what was passed over or cut, and where there are labels the accuracy."""
    notes = [f"{count(asked.blank, 'blank line')} passed over"] if asked.blank else []
    if cut := classifier.truncated(asked.rows):
        notes.append(f"{cut} of {count(len(asked.rows), 'text')} cut to {classifier.limit} tokens")
    if asked.labelled:
        pairs = list(zip(asked.rows, classifier.name(logits), strict=True))
        known = [(row.label, label) for row, label in pairs if row.label in classifier.labels]
        if known:
            hits = sum(label == found for label, found in known)
            notes.append(f"accuracy {hits / len(known):.4f} on {count(len(known), 'row')}")
        if others := len(pairs) - len(known):
            notes.append(f"{count(others, 'row')} not scored: the label is none of {', '.join(classifier.labels)}")
    return notes


def _csv(asked: "Asked", columns: list[str], classifier: "TextClassifier", logits: "Array") -> str:
    from scipy.special import softmax

    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*asked.columns, *columns])
    rows = zip(asked.records, classifier.name(logits), softmax(logits, axis=1).tolist(), strict=True)
    for record, label, shares in rows:
        kept = (record.get(column) for column in asked.columns)
        writer.writerow([*kept, label, *(f"{share:.6g}" for share in shares)])
    return out.getvalue()


@contextmanager
def _bar() -> "Iterator[FitProgress]":
    """Show a bar on standard error, where that is a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bars:
        bar = bars.add_task("texts", total=1.0)
        yield lambda share: bars.update(bar, completed=share)
