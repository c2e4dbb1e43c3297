"""The command line. Exit status: 0 done, 1 some runs failed, 2 wrong input, 130 after Ctrl-C."""

import ast
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from dfo_bench import registry
from dfo_bench.errors import DfoBenchError, InputError, UnknownNameError

app = typer.Typer(
    name="dfo-bench",
    help="Compare derivative-free optimizers on black-box language models.",
    epilog="Begin with: dfo-bench sweep quickstart",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_UsageError = typer.BadParameter.__base__

Task = Annotated[str, typer.Option("-t", "--task", help="Task, e.g. helpdesk or sphere:dim=1000.")]
Optimizer = Annotated[str, typer.Option("-o", "--optimizer", help="Optimizer, e.g. cma or 'rembo:inner=(cma)'.")]
Projection = Annotated[str, typer.Option("-p", "--projection", help="Projection, e.g. normal:alpha=2.")]
Tasks = Annotated[list[str] | None, typer.Option("-t", "--task", help="Task; give it once for each.")]
Optimizers = Annotated[list[str] | None, typer.Option("-o", "--optimizer", help="Optimizer; give it once for each.")]
Projections = Annotated[
    list[str] | None, typer.Option("-p", "--projection", help="Projection; give it once for each. [default: normal]")
]
Dim = Annotated[
    int | None,
    typer.Option("-d", "--dim", help="Dimension to search in. [default: 500, or the task's where that is smaller]"),
]
Budget = Annotated[int | None, typer.Option("-b", "--budget", help="Evaluations a run may spend. [default: 8000]")]
Seeds = Annotated[
    list[str] | None, typer.Option("-s", "--seed", help="Seeds: 3, 0-9, or several of them. [default: 0]")
]
StoreTo = Annotated[Path | None, typer.Option("--store", help="Folder of runs. [default: results]")]
StoreFrom = Annotated[Path, typer.Option("--store", help="Folder of runs.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def main() -> None:
    """Run the command line and exit."""
    try:
        # Typer turns Ctrl-C into a status of its own.
        status = app(prog_name="dfo-bench", standalone_mode=False)
        if status == 130:
            raise KeyboardInterrupt
    except (InputError, _UsageError) as error:  # type: ignore[misc]
        message = error.format_message() if hasattr(error, "format_message") else str(error)
        print(f"dfo-bench: {' '.join(message.split())}", file=sys.stderr)
        status = 2
    except (DfoBenchError, OSError) as error:
        print(f"dfo-bench: {error}", file=sys.stderr)
        status = 1
    except KeyboardInterrupt:
        print("dfo-bench: stopped; the same command goes on from here", file=sys.stderr)
        status = 130
    sys.exit(status)


@app.command("list", epilog="Example: dfo-bench list optimizers")
def list_plugins(
    kind: Annotated[str | None, typer.Argument(help="optimizers, tasks or projections; all where none.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the plugins there are, without importing any."""
    kinds = [f"{name}s" for name in registry.KINDS]
    if kind is not None and kind not in kinds:
        raise UnknownNameError("kind of plugin", kind, kinds)
    shown = [kind] if kind else kinds
    found = {name: registry.sources(name.removesuffix("s")) for name in shown}
    if as_json:
        print(json.dumps({name: {n: vars(s) for n, s in sources.items()} for name, sources in found.items()}, indent=1))
        return
    for name, sources in found.items():
        table = _table(name, "what it is" if sources else "none")
        for plugin, source in sources.items():
            table.add_row(plugin, _first_line(source))
        _print(table)


def _first_line(source: registry.Source) -> str:
    """Return the first line of a plugin file's docstring, read without running the file."""
    try:
        return (ast.get_docstring(ast.parse(Path(source.where).read_text())) or "").partition("\n")[0]
    except (OSError, SyntaxError, ValueError):
        return source.where


@app.command(epilog="Example: dfo-bench run -t helpdesk -o cma -d 200 -b 300")
def run(
    task: Task,
    optimizer: Optimizer,
    projection: Projection = "normal",
    dim: Dim = None,
    budget: Budget = None,
    seed: Annotated[int, typer.Option("-s", "--seed", help="Seed.")] = 0,
    store: StoreTo = None,
) -> int:
    """Run one optimizer on one task.

    What has run before is not run again, and what was interrupted goes on.
    """
    given = {"tasks": [task], "optimizers": [optimizer], "projections": [projection], "seeds": [seed]}
    return _sweep({**given, "dim": dim, "budget": budget, "store": store})


@app.command(
    epilog="Examples: dfo-bench sweep quickstart; "
    "dfo-bench sweep -t sphere -t ackley -o cma -o random -d 20 -b 2000 -s 0-9 --store results/demo --workers 2"
)
def sweep(
    file: Annotated[
        str | None,
        typer.Argument(help="A YAML file, or a preset: quickstart, bbt, bbtv2, hesbo.", metavar="[FILE.yaml|PRESET]"),
    ] = None,
    tasks: Tasks = None,
    optimizers: Optimizers = None,
    projections: Projections = None,
    dim: Dim = None,
    budget: Budget = None,
    seeds: Seeds = None,
    store: StoreTo = None,
    dev_every: Annotated[
        int | None, typer.Option("--dev-every", help="Evaluations between two scores on dev. [default: 100]")
    ] = None,
    selection: Annotated[
        str | None,
        typer.Option(
            "--selection",
            help="What dev scores: incumbent, the best candidate so far, or current, the last one evaluated, which is "
            "the rule of the Black-Box Tuning paper. [default: incumbent]",
        ),
    ] = None,
    workers: Annotated[int | None, typer.Option("--workers", help="Runs side by side, each on one core.")] = None,
) -> int:
    """Run every task x projection x optimizer x seed.

    Options override the file. Interrupt it at any time: the same command goes on where it stopped and skips what has
    finished.
    """
    from dfo_bench.config import parse_seeds, read_sweep

    options: dict[str, Any] = {
        "tasks": tasks,
        "optimizers": optimizers,
        "projections": projections,
        "dim": dim,
        "budget": budget,
    }
    options |= {"seeds": parse_seeds(seeds) if seeds else None, "store": store, "workers": workers}
    options |= {"dev_every": dev_every, "selection": selection}
    return _sweep({**(read_sweep(file) if file else {}), **{name: v for name, v in options.items() if v is not None}})


def _sweep(given: dict[str, Any]) -> int:
    """Run a sweep, print what came out, and return the exit status."""
    from dfo_bench.progress import shown
    from dfo_bench.spec import RunSpec
    from dfo_bench.sweeps import sweep
    from dfo_bench.workers import Ended, Event

    for name in ("tasks", "optimizers"):
        if not given.get(name):
            raise InputError(f"no {name}; name at least one with -{name[0]}, or a sweep file or preset that does")
    ended: list[Ended] = []

    @contextmanager
    def listener(specs: Sequence[RunSpec]) -> Iterator[Any]:
        with shown(specs) as show:

            def listen(event: Event) -> None:
                if isinstance(event, Ended):
                    ended.append(event)
                show(event)

            yield listen

    store = sweep(**{name: value for name, value in given.items() if value is not None}, listener=listener)
    _print_results(store)
    failed = [event for event in ended if event.summary is None or event.summary["status"] == "failed"]
    if failed:
        print(
            f"dfo-bench: {len(failed)} of {len(ended)} runs failed; the same command tries them again", file=sys.stderr
        )
    print(f"compare them with: dfo-bench report --store {store.path}")
    return 1 if failed else 0


def _print_results(store: Any) -> None:
    """Print the report's table of each task."""
    from dfo_bench.report.looks import looks
    from dfo_bench.report.statistics import summary
    from dfo_bench.report.tables import results

    runs = store.runs()
    groups = summary(runs)
    for task in groups.index.unique("task"):
        content = results(groups.loc[groups.index.get_level_values("task") == task], looks(runs))
        table = _table(*content.columns, title=f"{task}: {content.caption.lower()}")
        for row in content.rows:
            table.add_row(*(f"{cell.note} {cell.text}".strip() for cell in row))
        _print(table)


@app.command(epilog="Example: dfo-bench status --store results/demo")
def status(store: StoreFrom = Path("results"), as_json: AsJson = False) -> None:
    """Say which runs have finished, failed or are under way."""
    from dfo_bench.store import Store

    runs = Store(store).runs()
    if as_json:
        print(runs.to_json(orient="records", indent=1))
        return
    counts = ", ".join(f"{number} {name}" for name, number in runs["status"].value_counts().items()) or "no runs"
    print(f"{store}: {counts}")
    left = runs[runs["status"] != "finished"]
    if len(left):
        table = _table("key", "run", "evaluations", "best", "status")
        for one in left.itertuples():
            words = f"{one.optimizer} on {one.task}, {one.projection}, seed {one.seed}"
            state = f"{one.status} {one.error}".strip()
            table.add_row(str(one.key), words, f"{one.evaluations}/{one.budget}", f"{one.best_loss:.4g}", state)
        _print(table)


@app.command(epilog="Example: dfo-bench compact --store results/demo")
def compact(store: StoreFrom = Path("results")) -> None:
    """Pack the folders of finished runs into few files.

    Everything goes on as before: status, report, export, sweeps that skip what has finished. Packs are zip files in
    STORE/packed; unzip them in STORE and delete them to have the folders back.
    """
    from dfo_bench.store import Store

    made, left = Store(store).compact()
    for pack in made:
        print(pack)
    if left:
        print(f"dfo-bench: {len(left)} folders are left: packs hold other versions of {left[0]}...", file=sys.stderr)


@app.command(epilog="Example: dfo-bench report --store results/demo --output demo.html")
def report(
    store: StoreFrom = Path("results"),
    output: Annotated[Path | None, typer.Option("--output", help="The page. [default: STORE/report.html]")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Write it anew every 10 s while runs are under way.")] = False,
) -> None:
    """Write one HTML page: curves, tables, costs.

    It holds all it needs and opens without a network. Watched, it loads itself again in the browser, and what was
    chosen on it stays.
    """
    from dfo_bench.store import Store

    opened = Store(store)
    path = output or opened.path / "report.html"
    quiet = _PATIENCE - 1
    try:
        while True:
            quiet = 0 if (opened.runs()["status"] == "unfinished").any() else quiet + 1
            watched = watch and quiet < _PATIENCE
            _write(path, _page(opened, refresh=_LOOK_EVERY if watched else 0))
            if not watched:
                break
            time.sleep(_LOOK_EVERY)
    except KeyboardInterrupt:
        _write(path, _page(opened, refresh=0))
        raise
    print(path)


_LOOK_EVERY = 10
"""Seconds between two looks at a store that is watched."""

_PATIENCE = 3
"""After so many looks without a run under way a sweep has ended: between two runs it only seems so."""


def _page(store: Any, refresh: int) -> str:
    from dfo_bench.report.page import build_page
    from dfo_bench.report.reproduce import commands, provenance

    runs = store.runs()
    return build_page(
        runs,
        store.curves(improvements=True),
        store.measures(),
        title=store.path.resolve().name,
        commands=commands(runs, str(store.path)),
        provenance=provenance(store.made_with()),
        refresh=refresh,
    )


@app.command(
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
    counting: Annotated[
        str | None,
        typer.Option(
            "--counting",
            help="Failed and unfinished runs count with their best so far (last), as the worst (worst), or not (drop). "
            "[default: last]",
        ),
    ] = None,
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
    from dfo_bench.report.figures import FORMATS, KINDS, READS, save
    from dfo_bench.report.rules import parse_rules
    from dfo_bench.report.standings import WRITERS, standings
    from dfo_bench.store import Store

    if kind not in KINDS:
        raise UnknownNameError("kind of plot", kind, KINDS)
    given = {"metric": metric, "budget": budget, "counting": counting, "margin": margin, "against": against}
    for name, value in given.items():
        if value is not None and name not in READS[kind]:
            takers = ", ".join(one for one in KINDS if name in READS[one])
            raise InputError(f"--{name} changes nothing in {kind}; it is for {takers}")
    rules = parse_rules(metric, budget, counting, margin, against)
    opened = Store(store)
    path = output or opened.path / f"{kind}.png"
    suffix = path.suffix.removeprefix(".").lower()
    formats = [*FORMATS, *(WRITERS if kind == "table" else ())]
    if suffix not in formats:
        raise InputError(f"cannot write {str(path)!r}; the name must end in {', '.join('.' + f for f in formats)}")
    runs, curves = opened.runs(), opened.curves(improvements=True)
    if suffix in WRITERS:
        _write(path, WRITERS[suffix](standings(runs, curves, rules), rules))
    else:
        figure = KINDS[kind](runs, curves, rules=rules, style=style)
        try:
            save(figure, path)
        except OSError as error:
            raise InputError(f"{path} cannot be written: {error.strerror}") from error
    print(path)


@app.command(
    epilog="Examples: dfo-bench export iohprofiler ioh --store results/demo; "
    "dfo-bench export prompts prompts.safetensors --store results/demo"
)
def export(
    to: Annotated[str, typer.Argument(help="iohprofiler, coco, csv, parquet, prompts or peft.", metavar="FORMAT")],
    out: Annotated[Path, typer.Argument(help="The file or folder to write.", metavar="OUT")],
    store: StoreFrom = Path("results"),
) -> None:
    """Write what runs have found for other programs.

    iohprofiler: a new folder for IOHanalyzer and iohinspector. coco: a new folder for cocopp, of differences from the
    optimum, or from the best of all runs where none is known. csv, parquet: one file, a row for every evaluation.
    prompts: one safetensors file, a tensor for every run of a language-model task. peft: a folder of adapters, one for
    every run of mode=inputs_embeds.
    """
    from dfo_bench import prompts
    from dfo_bench.report import exporters
    from dfo_bench.store import Store

    formats = {**exporters.FORMATS, **prompts.FORMATS}
    if to not in formats:
        raise UnknownNameError("format", to, formats)
    _notes(formats[to](Store(store), out))
    print(out)


@app.command("import", epilog="Example: dfo-bench import iohprofiler ioh_data --store results/demo")
def import_runs(
    source: Annotated[str, typer.Argument(help="iohprofiler.", metavar="FORMAT")],
    folder: Annotated[Path, typer.Argument(help="The folder to read.", metavar="DIR")],
    store: StoreFrom = Path("results"),
) -> None:
    """Put the runs of another program into a store, to stand in its report.

    A task is called like the function, an optimizer like the algorithm, and the projection is called imported. What was
    imported before is left as it is.
    """
    from dfo_bench.importers import FORMATS

    if source not in FORMATS:
        raise UnknownNameError("format", source, FORMATS)
    _notes(FORMATS[source](folder, store))
    print(f"compare them with: dfo-bench report --store {store}")


@app.command(
    epilog="Examples: dfo-bench sql 'select optimizer, avg(best_loss) from runs group by optimizer'; "
    "dfo-bench sql 'select seed, evaluation, best from curves join runs using (key)' > curves.csv"
)
def sql(
    query: Annotated[str, typer.Argument(help="One SELECT in the SQL of DuckDB.", metavar="SELECT")],
    store: StoreFrom = Path("results"),
) -> None:
    """Ask a store in SQL; what comes out is a table on a terminal, and CSV elsewhere.

    Views: runs (key, task, optimizer, projection, dim, budget, seed, status, best_loss, evaluations, dev_*, test_*...),
    curves (key, evaluation, loss, best, digest, task_seconds, optimizer_seconds) and measures (key, evaluation, split,
    metric, value). Nothing is written, and no other file can be read.
    """
    import csv

    from dfo_bench.sql import query as ask
    from dfo_bench.store import Store

    columns, *rows = ask(Store(store), query)
    if sys.stdout.isatty():
        table = _table(*columns)
        for row in rows:
            table.add_row(*("" if cell is None else str(cell) for cell in row))
        _print(table)
    else:
        csv.writer(sys.stdout, lineterminator="\n").writerows([columns, *rows])


def _notes(notes: list[str]) -> None:
    for note in notes:
        print(f"dfo-bench: {note}", file=sys.stderr)


@app.command(
    epilog="Examples: dfo-bench check optimizer cma:popsize=10; "
    "dfo-bench check optimizer --all --output docs/optimizers.md"
)
def check(
    kind: Annotated[str, typer.Argument(help="optimizer, task or projection.")],
    names: Annotated[
        list[str] | None, typer.Argument(help="The plugins, with parameters where you like.", metavar="[NAME...]")
    ] = None,
    every: Annotated[
        bool,
        typer.Option("--all", help="Every optimizer, or those named, with every method of a library: a line for each."),
    ] = False,
    output: Annotated[Path | None, typer.Option("--output", help="With --all: a Markdown page to write.")] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="With --all: how many side by side.")] = 1,
) -> int:
    """Check that a plugin keeps its contract.

    What is reported below the checks is not judged.
    """
    from dfo_bench.component import parse
    from dfo_bench.testing import CHECKS, findings, reports

    if kind not in CHECKS:
        raise UnknownNameError("kind of plugin", kind, CHECKS)
    if every:
        if kind != "optimizer":
            raise InputError(f"--all is for optimizers, got {kind}; name the {kind}s to check")
        return _check_all(names or [], output, workers)
    if not names:
        raise InputError(f"no {kind} named; name at least one, or all optimizers with --all")
    kept = True
    for name in names:
        table = _table("check", "kept", "what was found", title=name)
        for title, problem in findings(kind, parse(name)):
            kept &= not problem
            table.add_row(title, "no" if problem else "yes", problem)
        for title, found in reports(parse(name)) if kind == "optimizer" else ():
            table.add_row(title, "", found)
        _print(table)
    return 0 if kept else 1


def _check_all(names: list[str], output: Path | None, workers: int) -> int:
    """Print a line for every optimizer, and write the page if one was asked for."""
    from dfo_bench import matrix

    optimizers = matrix.variants(names or registry.names("optimizer"))
    found: list[matrix.Row] = []
    for number, row in enumerate(matrix.rows(optimizers, workers), 1):
        found.append(row)
        print(f"[{number}/{len(optimizers)}] {row.optimizer}: {row.verdict}", flush=True)
    if output:
        _write(output, matrix.page(found, names))
        print(output)
    return 0 if not any(row.broken for row in found) else 1


@app.command(epilog="Example: dfo-bench verify --store results/reference --runs 10")
def verify(
    store: StoreFrom = Path("results"),
    points: Annotated[
        int, typer.Option("--points", help="Evaluations of each run, drawn at random; 0 replays no optimizer.")
    ] = 3,
    runs: Annotated[int | None, typer.Option("--runs", help="Runs, drawn at random. [default: all]")] = None,
    seed: Annotated[int, typer.Option("-s", "--seed", help="Seed of what is drawn.")] = 0,
    publish: Annotated[
        bool, typer.Option("--publish", help="If all agree, write STORE/SHA256SUMS, the digests of the files.")
    ] = False,
) -> int:
    """Evaluate stored points again and compare the losses.

    Of every run that ended, the best point, the selected one, and some drawn at random. Where a store carries the
    digests of its files, these are checked, too.
    """
    from dfo_bench import digests
    from dfo_bench.store import Store
    from dfo_bench.verify import verify as verdicts

    opened = Store(store)
    changed = 0
    if not publish and (files := digests.compare(opened)):
        wrong, more = files
        changed = len(wrong)
        print(f"{digests.FILE}: {'; '.join(wrong) or 'all files are as published'}")
        if more:
            print(f"{digests.FILE}: {len(more)} files are newer and not listed")
    table = _table("run", "what it is", "points", "largest difference", "tolerance", "agrees", "note")
    differ = compared = 0
    for verdict in verdicts(opened, points=points, runs=runs, seed=seed):
        compared += verdict.compared
        differ += not verdict.agrees
        agrees = "yes" if verdict.agrees else "no"
        print(f"{verdict.key} {verdict.run}: {agrees}", file=sys.stderr)
        numbers = (str(verdict.compared), f"{verdict.difference:.2g}", f"{verdict.tolerance:g}")
        table.add_row(verdict.key, verdict.run, *numbers, agrees, "; ".join([*verdict.problems, *verdict.notes]))
    _print(table)
    print(f"{store}: {compared} points of {table.row_count} runs evaluated again, {differ} runs do not agree")
    if publish and not differ:
        digests.write(opened)
        print(opened.path / digests.FILE)
    return 1 if differ or changed else 0


@app.command(epilog="Examples: dfo-bench validate T1 T7; dfo-bench validate T5:full=true --output docs/validation.md")
def validate(
    ids: Annotated[
        list[str] | None,
        typer.Argument(help="T1 to T8, parity; all that need no parameter where none.", metavar="ID"),
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", help="A Markdown page to write.")] = None,
) -> int:
    """Compute published figures again and compare.

    T1 to T8 have a quick form, which takes minutes, and with full=true one that takes hours.
    """
    from dfo_bench.component import Component, parse
    from dfo_bench.validate import Row, names, needs, rows
    from dfo_bench.validate._page import COLUMNS, cells, page

    if not ids:
        ids = [name for name in names() if not needs(name)]
        if left := [f"{name}:{','.join(f'{key}=...' for key in needs(name))}" for name in names() if name not in ids]:
            print(f"dfo-bench: left out, for want of a parameter: {' '.join(left)}", file=sys.stderr)
    done: list[tuple[Component, list[Row]]] = []
    # All of them are read before the first is computed.
    for component, found in [(component, rows(component)) for component in map(parse, ids)]:
        table, done_here = _table(*COLUMNS, title=str(component)), []
        with Console(stderr=True).status(f"{component} ...") as status:
            for row in found:
                done_here.append(row)
                table.add_row(*cells(row))
                status.update(f"{component}: {len(done_here)} figures, at last {row.what} ...")
        _print(table)
        done.append((component, done_here))
        if output:
            # After each: what has taken hours is not lost with what comes after it.
            _write(output, page(done))
    if output:
        print(output)
    missed = sum(not row.matched for _, of_one in done for row in of_one)
    if missed:
        print(f"dfo-bench: {missed} of the figures are not matched", file=sys.stderr)
    return 1 if missed else 0


@app.command(epilog="Example: dfo-bench new optimizer my_search")
def new(
    kind: Annotated[str, typer.Argument(help="optimizer, task or projection.")],
    name: Annotated[str, typer.Argument(help="The plugin's name, which is its file's name.")],
) -> None:
    """Write a plugin file to start from."""
    from dfo_bench.scaffold import write_plugin

    path, next_step = write_plugin(kind, name)
    print(f"{path}\n{next_step}")


def _table(*columns: str, title: str | None = None) -> Table:
    table = Table(box=None, pad_edge=False, title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _print(table: Table) -> None:
    """Print a table as wide as the terminal, and wide enough for all elsewhere."""
    width = None if sys.stdout.isatty() else 200
    # Names and errors come from plugins and data: brackets in them are no markup.
    Console(width=width, markup=False, emoji=False, highlight=False).print(table)


def _write(path: Path, text: str) -> None:
    """Put a file in place at once: a browser may be reading the one before."""
    unfinished = path.with_name(f"{path.name}.tmp")
    try:
        unfinished.write_text(text, encoding="utf-8")
        os.replace(unfinished, path)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}; name another with --output") from error


if __name__ == "__main__":
    main()
