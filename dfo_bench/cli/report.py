"""Commands that show what came out: report and plot."""

import time
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from dfo_bench.cli._command import examples
from dfo_bench.cli._options import Price, StoreFrom
from dfo_bench.cli._output import print_notes, print_table, suffix_of, table_of, write
from dfo_bench.errors import InputError
from dfo_bench.report.figures import FORMATS, KINDS
from dfo_bench.report.rules import STANDARD

commands = typer.Typer()

_LOOK_EVERY = 10
"""Seconds between two looks at a store that is watched."""

Kind = Literal["curve", "ecdf", "profile", "rank", "cd", "wins", "box", "table", "heatmap", "speedup", "overhead"]
Style = Literal["one-column", "two-column"]
Against = Literal[
    "evaluation",
    "examples",
    "tokens",
    "bytes_up_z",
    "bytes_up_prompt",
    "bytes_down",
    "task_seconds",
    "total_seconds",
]
Counted = Annotated[
    Literal["last", "worst", "drop"] | None,
    typer.Option(
        "--counting",
        help="How failed and unfinished runs count: with their best so far (last), as the worst (worst), or not at all "
        "(drop). [default: last]",
    ),
]


@commands.command(
    epilog=examples(
        "dfo-bench report --store results/demo --output demo.html", "dfo-bench report --store results/demo --watch"
    )
)
def report(
    store: StoreFrom = Path("results"),
    output: Annotated[Path | None, typer.Option("--output", help="Page to write. [default: STORE/report.html]")] = None,
    watch: Annotated[
        bool,
        typer.Option("--watch", help=f"Write the page again every {_LOOK_EVERY} s while a sweep is under way."),
    ] = False,
    counting: Counted = None,
    price: Price = None,
) -> None:
    """Write one HTML page: curves, tables, costs.

    The page needs no other file and no network. With --watch it loads itself again in the browser, and keeps what was
    chosen on it. --price is kept in the store, for all of its tasks.
    """
    from dfo_bench.report.rules import parse_rules
    from dfo_bench.store.prices import write_price
    from dfo_bench.store.store import Store

    rule = parse_rules(counting=counting).counting
    opened = Store(store)
    path = output or opened.path / "report.html"
    if price is not None:
        write_price(opened.path, opened.runs()["task"], price)
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


def _page(store: Any, counting: Any, refresh: int) -> str:
    from dfo_bench.report.page import reproduce
    from dfo_bench.report.page.page import build_page
    from dfo_bench.report.versions import version_notes

    runs = store.runs()
    return build_page(
        runs,
        store.curves(improvements=True),
        store.measures(),
        title=store.path.resolve().name,
        commands=reproduce.commands(runs, str(store.path)),
        provenance=reproduce.provenance(store.made_with()),
        planned=store.planned(),
        predictions=store.predictions(),
        notes=version_notes(runs, str(store.path)),
        counting=counting,
        refresh=refresh,
    )


@commands.command(
    help="Draw a figure for a paper, legible in black and white.\n\n"
    + "\b\n"
    + "\n".join(f"{name:9} {kind.says}" for name, kind in KINDS.items()),
    epilog=examples(
        "dfo-bench plot curve --store results/demo --output curve.pdf --style one-column",
        "dfo-bench plot curve --against tokens",
        "dfo-bench plot wins --metric test_accuracy --margin 0.02",
        "dfo-bench plot speedup --reference cma --budget 600",
        "dfo-bench plot table --store results/demo --output table.tex",
    ),
)
def plot(
    kind: Annotated[Kind, typer.Argument(help="Kind of figure, see above.")],
    store: StoreFrom = Path("results"),
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", help="FILE.png, .pdf or .svg; a table also .tex, .md or .csv. [default: STORE/KIND.png]"
        ),
    ] = None,
    style: Annotated[Style, typer.Option("--style", help="Width of the figure, in a paper.")] = "two-column",
    metric: Annotated[
        str | None,
        typer.Option("--metric", help="Metric to compare runs by, e.g. test_accuracy. [default: loss]"),
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
        typer.Option(
            "--margin", help=f"Share of the larger score within which two scores tie. [default: {STANDARD.margin:g}]"
        ),
    ] = None,
    against: Annotated[
        Against | None,
        typer.Option("--against", help=f"Cost that a curve or a speedup is counted in. [default: {STANDARD.against}]"),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(
            "--reference",
            help="Optimizer, or method by its name in the report, whose losses a speedup is to reach; of several runs "
            f"the best. [default: {STANDARD.reference}]",
        ),
    ] = None,
) -> None:
    """Draw a figure for a paper; the help is made of `KINDS`."""
    from dfo_bench.report.baselines import drop_baselines, place_baselines
    from dfo_bench.report.figures.canvas import save
    from dfo_bench.report.rules import parse_rules
    from dfo_bench.report.stats.rows import RowHits
    from dfo_bench.report.stats.standings import WRITERS, standings
    from dfo_bench.report.stats.steps import beyond_reach
    from dfo_bench.report.titles import name_tasks
    from dfo_bench.store.store import Store

    given: dict[str, Any] = {
        "metric": metric, "budget": budget, "counting": counting, "margin": margin, "against": against,
        "reference": reference,
    }  # fmt: skip
    for name, value in given.items():
        if value is not None and name not in KINDS[kind].reads:
            takers = ", ".join(one for one in KINDS if name in KINDS[one].reads)
            raise InputError(f"--{name} changes nothing in {kind}; it is for {takers}")
    rules = parse_rules(**given)
    opened = Store(store)
    path = output or opened.path / f"{kind}.png"
    suffix = suffix_of(path, [*FORMATS, *(WRITERS if kind == "table" else ())])
    select = place_baselines if KINDS[kind].by_task else drop_baselines
    runs, curves = select(name_tasks(opened.runs())), opened.curves(improvements=True)
    if suffix in WRITERS:
        write(path, WRITERS[suffix](standings(runs, curves, rules, RowHits(opened.predictions())), rules))
        print_notes(beyond_reach(curves))
    else:
        figure = KINDS[kind].draw(runs, curves, rules=rules, style=style)
        if kind == "speedup":
            _print_speedups(runs, curves, rules)
        print_notes([*beyond_reach(curves), *save(figure, path)])
    print(path)


def _print_speedups(runs: Any, curves: Any, rules: Any) -> None:
    from dfo_bench.report.stats.speedup import mean_speedups, speedups, tabulate

    found = speedups(runs, curves, rules.reference, budget=rules.budget, against=rules.against, counting=rules.counting)
    heads, rows = tabulate(mean_speedups(found))
    shown = table_of(*heads)
    for row in rows:
        shown.add_row(*row)
    print_table(shown)


@commands.command(epilog=examples("dfo-bench show best --store results/demo", "dfo-bench show 05ea9b9a"))
def show(
    run: Annotated[str, typer.Argument(help="Key of a run, the beginning of one, or best.", metavar="RUN")],
    store: StoreFrom = Path("results"),
) -> None:
    """Show one run: curve, scores, cost, and its prompt in words.

    best is the best search by dev, then by train loss. The words need the model, and a mode that puts word embeddings
    into it: inputs_embeds or after.
    """
    from dfo_bench.report.show import show as lines_of
    from dfo_bench.store.store import Store

    print(lines_of(Store(store).view(run)))


@commands.command(epilog=examples("dfo-bench checklist --store results/demo --output checklist.md"))
def checklist(
    store: StoreFrom = Path("results"),
    output: Annotated[Path | None, typer.Option("--output", help="File to write, .md. [default: the terminal]")] = None,
) -> None:
    """Write the checklist of good benchmarking, filled from a store.

    It says of goals, problems, algorithms, measures, analysis, design, presentation and reproducibility what was done
    and what was not, as Markdown for an appendix. After Bartz-Beielstein et al. (2020), arXiv:2007.03488.
    """
    from dfo_bench.report.checklist import checklist as fill
    from dfo_bench.report.checklist import markdown
    from dfo_bench.report.page import reproduce
    from dfo_bench.store.store import Store

    if output:
        suffix_of(output, ["md"])
    opened = Store(store)
    text = markdown(fill(opened.runs(), reproduce.provenance(opened.made_with()), opened.planned()))
    if output:
        write(output, text)
    print(output or text)
