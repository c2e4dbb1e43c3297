"""Commands on what a store holds: status, compact, verify, sql, export and import."""

import math
import sys
from pathlib import Path
from typing import Annotated

import typer

from dfo_bench.cli._options import AsJson, StoreFrom
from dfo_bench.cli._output import notes, print_json, print_table, table_of
from dfo_bench.errors import UnknownNameError

commands = typer.Typer()


@commands.command(epilog="Example: dfo-bench status --store results/demo")
def status(store: StoreFrom = Path("results"), as_json: AsJson = False) -> None:
    """Say which runs have finished, failed, or are under way.

    Of the sweep that was started last also how many wait for their turn.
    """
    from dfo_bench.runs.spec import describe
    from dfo_bench.store.filenames import MARKER
    from dfo_bench.store.store import Store

    opened = Store(store)
    runs, planned = opened.runs(), opened.planned()
    if as_json:
        rows = [*runs.to_dict("records"), *planned.assign(status="planned").to_dict("records")]
        print_json([{**dict.fromkeys(runs), **row} for row in rows])
        return
    counts = [f"{number} {name}" for name, number in runs["status"].value_counts().items()]
    counts += [f"{len(planned)} not begun"] if len(planned) else []
    print(f"{store}: {', '.join(counts) or 'no runs'}")
    if not counts and (below := sorted(str(marker.parent) for marker in store.glob(f"*/{MARKER}"))):
        print(f"stores in it: {', '.join(below)}")
    left = runs[runs["status"] != "finished"]
    if len(left):
        table = table_of("key", "run", "evaluations", "best", "status")
        for one in left.to_dict("records"):
            state = f"{one['status']} {one['error']}".strip()
            best = "-" if one["best_loss"] == math.inf else f"{one['best_loss']:.4g}"
            table.add_row(one["key"], describe(one), f"{one['evaluations']}/{one['budget']}", best, state)
        print_table(table)


@commands.command(epilog="Example: dfo-bench compact --store results/demo")
def compact(store: StoreFrom = Path("results")) -> None:
    """Pack the folders of finished runs into few files.

    Everything goes on as before: status, report, export, sweeps that skip what has finished. Packs are zip files in
    STORE/packed; unzip them in STORE and delete them to have the folders back.
    """
    from dfo_bench.store.store import Store

    made, left = Store(store).compact()
    for pack in made:
        print(pack)
    if left:
        print(f"dfo-bench: {len(left)} folders are left: packs hold other versions of {left[0]}...", file=sys.stderr)


@commands.command(epilog="Example: dfo-bench verify --store results/reference --runs 10")
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
    from dfo_bench.store import checksums
    from dfo_bench.store.filenames import CHECKSUMS
    from dfo_bench.store.store import Store
    from dfo_bench.store.verify import verify as verdicts

    opened = Store(store)
    changed = 0
    if not publish and (files := checksums.compare(opened)):
        wrong, more = files
        changed = len(wrong)
        print(f"{CHECKSUMS}: {'; '.join(wrong) or 'all files are as published'}")
        if more:
            print(f"{CHECKSUMS}: {len(more)} files are newer and not listed")
    table = table_of("run", "what it is", "points", "largest difference", "tolerance", "agrees", "note")
    differ = compared = 0
    for verdict in verdicts(opened, points=points, runs=runs, seed=seed):
        compared += verdict.compared
        differ += not verdict.agrees
        agrees = "yes" if verdict.agrees else "no"
        print(f"{verdict.key} {verdict.run}: {agrees}", file=sys.stderr)
        numbers = (str(verdict.compared), f"{verdict.difference:.2g}", f"{verdict.tolerance:g}")
        table.add_row(verdict.key, verdict.run, *numbers, agrees, "; ".join([*verdict.problems, *verdict.notes]))
    print_table(table)
    print(f"{store}: {compared} points of {table.row_count} runs evaluated again, {differ} runs do not agree")
    if publish and not differ:
        checksums.write(opened)
        print(opened.path / CHECKSUMS)
    return 1 if differ or changed else 0


@commands.command(
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
    from dfo_bench.exchange import EXPORTS
    from dfo_bench.store.store import Store

    if to not in EXPORTS:
        raise UnknownNameError("format", to, EXPORTS)
    notes(EXPORTS[to](Store(store), out))
    print(out)


@commands.command("import", epilog="Example: dfo-bench import iohprofiler ioh_data --store results/demo")
def import_runs(
    source: Annotated[str, typer.Argument(help="iohprofiler or coco.", metavar="FORMAT")],
    folder: Annotated[Path, typer.Argument(help="The folder to read, or an archive of COCO.", metavar="DIR")],
    store: StoreFrom = Path("results"),
) -> None:
    """Put the runs of another program into a store, to stand in its report.

    A task is called like the function, an optimizer like the algorithm, and the projection is called imported. What was
    imported before is left as it is. Runs that were cut off are left out and named.

    iohprofiler: folders of IOHexperimenter's loggers, those before 2022 included; what is maximised is negated. coco:
    folders of COCO's observers, and its archives (.tgz, .tar.gz), of suites of one objective.
    """
    from dfo_bench.exchange import IMPORTS

    if source not in IMPORTS:
        raise UnknownNameError("format", source, IMPORTS)
    notes(IMPORTS[source](folder, store))
    print(f"compare them with: dfo-bench report --store {store}")


@commands.command(
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

    from dfo_bench.store.sql import query as ask
    from dfo_bench.store.store import Store

    columns, *rows = ask(Store(store), query)
    if sys.stdout.isatty():
        table = table_of(*columns)
        for row in rows:
            table.add_row(*("" if cell is None else str(cell) for cell in row))
        print_table(table)
    else:
        csv.writer(sys.stdout, lineterminator="\n").writerows([columns, *rows])
