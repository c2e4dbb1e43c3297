"""Commands that show what came out: report and plot."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from dfo_bench.cli._options import StoreFrom
from dfo_bench.cli._output import write
from dfo_bench.errors import InputError, UnknownNameError

commands = typer.Typer()

Counted = Annotated[
    str | None,
    typer.Option(
        "--counting",
        help="Failed and unfinished runs count with their best so far (last), as the worst (worst), or not (drop). "
        "[default: last]",
    ),
]


@commands.command(epilog="Example: dfo-bench report --store results/demo --output demo.html")
def report(
    store: StoreFrom = Path("results"),
    output: Annotated[Path | None, typer.Option("--output", help="The page. [default: STORE/report.html]")] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Write it anew every 10 s while a sweep is under way.")
    ] = False,
    counting: Counted = None,
) -> None:
    """Write one HTML page: curves, tables, costs.

    It holds all it needs and opens without a network. Watched, it loads itself again in the browser, and what was
    chosen on it stays.
    """
    from dfo_bench.report.rules import parse_rules
    from dfo_bench.store.store import Store

    rule = parse_rules(counting=counting).counting
    opened = Store(store)
    path = output or opened.path / "report.html"
    try:
        while True:
            watched = watch and opened.under_way()
            write(path, _page(opened, rule, refresh=_LOOK_EVERY if watched else 0))
            if not watched:
                break
            time.sleep(_LOOK_EVERY)
    except KeyboardInterrupt:
        write(path, _page(opened, rule, refresh=0))
        raise
    print(path)


_LOOK_EVERY = 10
"""Seconds between two looks at a store that is watched."""


def _page(store: Any, counting: Any, refresh: int) -> str:
    from dfo_bench.report.page import reproduce
    from dfo_bench.report.page.page import build_page

    runs = store.runs()
    return build_page(
        runs,
        store.curves(improvements=True),
        store.measures(),
        title=store.path.resolve().name,
        commands=reproduce.commands(runs, str(store.path)),
        provenance=reproduce.provenance(store.made_with()),
        planned=store.planned(),
        counting=counting,
        refresh=refresh,
    )


@commands.command(
    epilog="Examples: dfo-bench plot curve --store results/demo --output curve.pdf --style one-column; "
    "dfo-bench plot curve --against tokens; dfo-bench plot wins --metric test_accuracy --margin 0.02; "
    "dfo-bench plot table --store results/demo --output table.tex"
)
def plot(
    kind: Annotated[str, typer.Argument(help="curve, ecdf, profile, rank, cd, wins, box, table, heatmap or overhead.")],
    store: StoreFrom = Path("results"),
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", help="FILE.png, .pdf or .svg; a table also .tex, .md or .csv. [default: STORE/KIND.png]"
        ),
    ] = None,
    style: Annotated[str, typer.Option("--style", help="one-column or two-column.")] = "two-column",
    metric: Annotated[
        str | None, typer.Option("--metric", help="What runs are compared by, e.g. test_accuracy. [default: loss]")
    ] = None,
    budget: Annotated[
        int | None,
        typer.Option(
            "--budget", help="Evaluations after which losses are compared. [default: each task's smallest budget]"
        ),
    ] = None,
    counting: Counted = None,
    margin: Annotated[
        float | None,
        typer.Option("--margin", help="Scores tie within this share of the larger. [default: 0.01]"),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            help="What a curve is drawn against: evaluation, examples, tokens, bytes_up_z, bytes_up_prompt, "
            "bytes_down, task_seconds or total_seconds. [default: evaluation]",
        ),
    ] = None,
) -> None:
    """Draw a figure for a paper, legible in black and white.

    curve: the incumbent's loss over evaluations. ecdf: the share of targets hit over evaluations. profile: data and
    performance profiles. rank: mean ranks over the budget. cd: Friedman's test and the critical difference. wins: how
    often each method beats each other. box: single runs. table: means and what is not told from the best. heatmap:
    scores normalised by random search. overhead: the optimizer's seconds beside the task's.
    """
    from dfo_bench.report.baselines import placed, pooled
    from dfo_bench.report.figures import BY_TASK, FORMATS, KINDS, READS, save
    from dfo_bench.report.rules import parse_rules
    from dfo_bench.report.stats.standings import WRITERS, standings
    from dfo_bench.store.store import Store

    if kind not in KINDS:
        raise UnknownNameError("kind of plot", kind, KINDS)
    given = {"metric": metric, "budget": budget, "counting": counting, "margin": margin, "against": against}
    for name, value in given.items():
        if value is not None and name not in READS[kind]:
            takers = ", ".join(one for one in KINDS if name in READS[one])
            raise InputError(f"--{name} changes nothing in {kind}; it is for {takers}")
    rules = parse_rules(metric=metric, budget=budget, counting=counting, margin=margin, against=against)
    opened = Store(store)
    path = output or opened.path / f"{kind}.png"
    suffix = path.suffix.removeprefix(".").lower()
    formats = [*FORMATS, *(WRITERS if kind == "table" else ())]
    if suffix not in formats:
        raise InputError(f"cannot write {str(path)!r}; the name must end in {', '.join('.' + f for f in formats)}")
    runs, curves = (placed if kind in BY_TASK else pooled)(opened.runs()), opened.curves(improvements=True)
    if suffix in WRITERS:
        write(path, WRITERS[suffix](standings(runs, curves, rules), rules))
    else:
        figure = KINDS[kind](runs, curves, rules=rules, style=style)
        try:
            save(figure, path)
        except OSError as error:
            raise InputError(f"{path} cannot be written: {error.strerror}") from error
    print(path)
