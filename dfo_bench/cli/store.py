"""Commands on what a store holds: status, compact, delete, merge, relocate, verify, export, import and sql."""

import math
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from dfo_bench.cli._command import examples
from dfo_bench.cli._options import AsJson, OfRun, OfTask, StoreFrom
from dfo_bench.cli._output import print_json, print_notes, print_table, table_of
from dfo_bench.errors import InputError, count

commands = typer.Typer()

Export = Literal["iohprofiler", "coco", "csv", "parquet", "prompts", "peft", "bundle"]
Import = Literal["iohprofiler", "coco"]


@commands.command(epilog=examples("dfo-bench status --store results/demo", "dfo-bench status --json"))
def status(store: StoreFrom = Path("results"), as_json: AsJson = False) -> None:
    """Count the runs that finished, failed, or are under way.

    Runs of the last sweep that have not begun are counted, too. Every run that has not finished has a line; with
    --json every run has a record.
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


@commands.command(epilog=examples("dfo-bench compact --store results/demo"))
def compact(store: StoreFrom = Path("results")) -> None:
    """Pack the folders of finished runs into few files.

    All commands read packed runs as they read folders. Packs are zip files in STORE/packed; to have the folders back,
    unzip them in STORE and delete them.
    """
    from dfo_bench.store.store import Store

    made, left = Store(store).compact()
    for pack in made:
        print(pack)
    if left:
        print_notes([f"{count(len(left), 'folder')} left, of which a pack holds another version; the first: {left[0]}"])


@commands.command(
    epilog=examples("dfo-bench delete 05ea9b9a0dc33c4c --store results/demo", "dfo-bench delete 05ea 1f30")
)
def delete(
    runs: Annotated[list[str], typer.Argument(help="Key of a run, or the beginning of it.", metavar="RUN")],
    store: StoreFrom = Path("results"),
) -> None:
    """Delete runs, with all that was evaluated.

    Keys stand in `dfo-bench status --json` and in the report. A run under way in another process is refused, and then
    none is deleted. Packs and the digests of a published store go on without the runs; the same sweep makes them again.
    """
    from dfo_bench.store.store import Store

    for key in Store(store).delete(*runs):
        print(f"deleted {key}")


@commands.command(epilog=examples("dfo-bench merge results/node1 results/node2 --store results/all"))
def merge(
    stores: Annotated[list[Path], typer.Argument(help="Store to merge.", metavar="STORE")],
    store: StoreFrom = Path("results"),
) -> None:
    """Copy the runs of several stores into one, new or not.

    A run that several hold is kept once, as far as it has come. Where its evaluations differ nothing is copied. Digests
    of published stores are not copied: publish anew with `dfo-bench verify --publish`.
    """
    from dfo_bench.store.merge import merge as merge_stores

    copied, kept = merge_stores(stores, store)
    print(f"{store}: {count(len(copied), 'run')} copied, {len(kept)} there already")


@commands.command(
    epilog=examples(
        "dfo-bench relocate /old/models=/data/models --store results/demo", "dfo-bench relocate mine.csv=texts/mine.csv"
    )
)
def relocate(
    moved: Annotated[list[str], typer.Argument(help="Path that runs name, and where it is now.", metavar="OLD=NEW")],
    store: StoreFrom = Path("results"),
) -> None:
    """Tell a store where data, models and plugins have moved.

    OLD is a path as the runs write it, or a folder above it. Keys stay, for they rest on contents; where NEW holds
    others it is refused. Give all that has moved at once: a run of each task is built to see that nothing lacks.
    """
    from dfo_bench.store.store import Store

    pairs = [one.partition("=")[::2] for one in moved]
    if len({old for old, _ in pairs}) < len(pairs):
        raise InputError(f"{' '.join(moved)} gives one path twice; give it once")
    changed = Store(store).relocate(dict(pairs))
    print(f"{store}: {count(len(changed), 'run')} changed")


@commands.command(
    epilog=examples(
        "dfo-bench verify --store results/reference --runs 10", "dfo-bench verify --store results/demo --publish"
    )
)
def verify(
    store: StoreFrom = Path("results"),
    points: Annotated[
        int, typer.Option("--points", help="Evaluations drawn at random per run; with 0 no optimizer is replayed.")
    ] = 3,
    runs: Annotated[int | None, typer.Option("--runs", help="Number of runs, drawn at random. [default: all]")] = None,
    seed: Annotated[int, typer.Option("-s", "--seed", help="Seed of the draws.")] = 0,
    publish: Annotated[
        bool, typer.Option("--publish", help="Write the digests of all files, STORE/SHA256SUMS, if all runs agree.")
    ] = False,
) -> int:
    """Evaluate stored points again and compare the losses.

    The points of each run that ended are its best one, the one selected on dev, and some drawn at random. The digests
    of the files are compared, too, where the store has them.
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
            print(f"{CHECKSUMS}: {count(len(more), 'file')} not listed, of runs that ended later")
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
    again = f"{count(compared, 'point')} of {count(table.row_count, 'run')} evaluated again"
    print(f"{store}: {again}; runs that do not agree: {differ}")
    if publish and not differ:
        checksums.write(opened)
        print(opened.path / CHECKSUMS)
    return 1 if differ or changed else 0


@commands.command(
    epilog=examples(
        "dfo-bench export iohprofiler ioh --store results/demo",
        "dfo-bench export csv evaluations.csv --store results/demo",
        "dfo-bench export prompts prompts.safetensors --store results/demo",
        "dfo-bench export bundle tickets --store results/tickets",
        "dfo-bench export bundle tickets --store results/tickets --run 0123456789abcdef",
    )
)
def export(
    to: Annotated[Export, typer.Argument(help="Format, see above.", metavar="FORMAT")],
    out: Annotated[Path, typer.Argument(help="File or folder to write.", metavar="OUT")],
    store: StoreFrom = Path("results"),
    task: OfTask = None,
    run: OfRun = None,
) -> None:
    """Write runs in the format of another program.

    iohprofiler: a new folder for IOHanalyzer and iohinspector. coco: a new folder for cocopp, with differences from
    the optimum, or from the best of all runs where none is known. csv, parquet: one file with a row per evaluation.
    prompts: one safetensors file with a tensor per run of a language-model task. peft: a folder with an adapter per run
    of mode=inputs_embeds or prefix.

    bundle: a new folder that predicts by what one run has found, without the store and the training data; --task and
    --run choose the run as in predict. It is used by predict --bundle, by dfo_bench.load, or by the lines of
    transformers in its README.md.
    """
    from dfo_bench.exchange import EXPORTS
    from dfo_bench.store.store import Store

    if to == "bundle":
        from dfo_bench.exchange.bundles import export_bundle

        notes = export_bundle(Store(store), out, run or "best", task)
    elif other := [name for name, value in {"--task": task, "--run": run}.items() if value is not None]:
        raise InputError(f"{other[0]} changes nothing in {to}; it is for bundle")
    else:
        notes = EXPORTS[to](Store(store), out)
    print_notes(notes)
    print(out)


@commands.command("import", epilog=examples("dfo-bench import iohprofiler ioh_data --store results/demo"))
def import_runs(
    source: Annotated[Import, typer.Argument(help="Format of the logs.", metavar="FORMAT")],
    folder: Annotated[Path, typer.Argument(help="Folder to read, or an archive of COCO.", metavar="DIR")],
    store: StoreFrom = Path("results"),
) -> None:
    """Put the runs of another program into a store.

    They stand in its report beside the others: a task has the name of the function, an optimizer that of the algorithm,
    and the projection is called imported. A run that was imported before stays as it is. A run that was cut off is left
    out and named.

    iohprofiler: folders of IOHexperimenter's loggers, those before 2022 included; what is maximised is negated. coco:
    folders of COCO's observers, and its archives (.tgz, .tar.gz), of suites of one objective.
    """
    from dfo_bench.exchange import IMPORTS

    print_notes(IMPORTS[source](folder, store))
    print(f"compare them with: dfo-bench report --store {store}")


@commands.command(
    epilog=examples(
        "dfo-bench sql 'select optimizer, avg(best_loss) from runs group by optimizer'",
        "dfo-bench sql 'select seed, evaluation, best from curves join runs using (key)' > curves.csv",
    )
)
def sql(
    query: Annotated[str, typer.Argument(help="One SELECT, in the SQL of DuckDB.", metavar="SELECT")],
    store: StoreFrom = Path("results"),
) -> None:
    """Query a store in SQL.

    The answer is a table on a terminal, and CSV elsewhere. The views are runs (key, task, optimizer, projection, dim,
    budget, seed, status, best_loss, evaluations, dev_*, test_*...), curves (key, evaluation, loss, best, digest,
    task_seconds, optimizer_seconds) and measures (key, evaluation, split, metric, value). A query writes nothing, and
    reads no other file.
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
