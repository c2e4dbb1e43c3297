"""Commands that run optimizers: run and sweep."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dfo_bench.cli._command import examples
from dfo_bench.cli._options import OPTIMIZER, PROJECTION, TASK, Budget, Dim, DryRun, Price, Seeds, StoreTo, Workers
from dfo_bench.cli._output import print_notes, print_results, print_words
from dfo_bench.errors import InputError, count
from dfo_bench.runs.defaults import DEV_EVERY, MARGIN, MOST_SEEDS, SELECTION, Selection
from dfo_bench.sweeps.presets import names as presets

if TYPE_CHECKING:
    from dfo_bench.report.page.tables import Table
    from dfo_bench.store.store import Store
    from dfo_bench.sweeps.config import SweepSettings

commands = typer.Typer()


@commands.command(
    epilog=examples(
        "dfo-bench run -t helpdesk -o cma -d 200 -b 300",
        "dfo-bench run -t sphere:dim=1000 -o 'rembo:inner=(cma)' -d 20 -b 2000 -s 3",
    )
)
def run(
    tasks: Annotated[list[str], TASK],
    optimizers: Annotated[list[str], OPTIMIZER],
    projections: Annotated[list[str] | None, PROJECTION] = None,
    dim: Dim = None,
    budget: Budget = None,
    seeds: Seeds = None,
    store: StoreTo = None,
    price: Price = None,
    dry_run: DryRun = False,
) -> int:
    """Run one optimizer on one task.

    A run that has finished is not made again, and one that was interrupted goes on.
    """
    from dfo_bench.sweeps.config import SweepSettings, parse_seeds

    several = {"task": tasks, "optimizer": optimizers, "projection": projections or [], "seed": seeds or []}
    for name, values in several.items():
        if len(values) > 1 or (name == "seed" and len(parse_seeds(values)) > 1):
            options = " ".join(f"-{name[0]} {value}" for value in values)
            remedy = f"run several with: dfo-bench sweep {options} ..."
            raise InputError(f"a run has one {name}, got {', '.join(values)}; {remedy}")
    settings = SweepSettings(
        tasks=tasks,
        optimizers=optimizers,
        projections=projections,
        dim=dim,
        budget=budget,
        seeds=seeds,
        references=False,
        store=store,
        price=price,
    )
    return _sweep(settings, dry_run)


@commands.command(
    epilog=examples(
        "dfo-bench sweep quickstart",
        "dfo-bench sweep bbt -t sst2:model=roberta-large,head=masked -s 0",
        "dfo-bench sweep -t sphere -t ackley -o cma -o random -d 20 -b 2000 -s 0-9 --workers 2",
        "dfo-bench sweep quickstart --cluster ray://head-node:10001",
        "dfo-bench sweep -t sphere -o cma -o sobol -o random -d 20 -b 500 -s 0-2 --until-decided",
        "dfo-bench sweep leaderboard -o ./my_search.py --opponents results/leaderboard --store results/mine",
    )
)
def sweep(
    file: Annotated[
        str | None,
        typer.Argument(
            help=f"YAML file of a sweep, or a preset: {', '.join(presets())}.",
            metavar="FILE.yaml|PRESET",
            autocompletion=presets,
        ),
    ] = None,
    tasks: Annotated[list[str] | None, TASK] = None,
    optimizers: Annotated[list[str] | None, OPTIMIZER] = None,
    projections: Annotated[list[str] | None, PROJECTION] = None,
    dim: Dim = None,
    budget: Budget = None,
    seeds: Seeds = None,
    store: StoreTo = None,
    dev_every: Annotated[
        int | None, typer.Option("--dev-every", help=f"Evaluations between two scores on dev. [default: {DEV_EVERY}]")
    ] = None,
    selection: Annotated[
        Selection | None,
        typer.Option(
            "--selection",
            help="Candidate that dev scores: the best so far (incumbent), or the last one evaluated (current), which "
            f"is the rule of the Black-Box Tuning paper. [default: {SELECTION}]",
        ),
    ] = None,
    no_references: Annotated[
        bool,
        typer.Option(
            "--no-references",
            help="Leave out the references that take seconds, which run beside every task of texts otherwise.",
        ),
    ] = False,
    workers: Workers = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            "--cluster",
            help="Run on a cluster of Ray, whose nodes share no disk, as many runs at a time as it has room for: ray, "
            "one on this machine (or that of RAY_ADDRESS), or ray://HOST:PORT.",
            metavar="ray[://HOST:PORT]",
        ),
    ] = None,
    share_model: Annotated[
        bool,
        typer.Option(
            "--share-model",
            help="Let all workers ask one copy of each text task's model, in a service that is started for the sweep.",
        ),
    ] = False,
    price: Price = None,
    until_decided: Annotated[
        bool,
        typer.Option(
            "--until-decided",
            help="After the seeds of -s give more, one by one, to the pairs of optimizers that are undecided.",
        ),
    ] = False,
    margin: Annotated[
        float | None,
        typer.Option(
            "--margin",
            help="With --until-decided: share of the larger loss within which two optimizers tie; 0 for never. "
            f"[default: {MARGIN:g}]",
        ),
    ] = None,
    most_seeds: Annotated[
        int | None,
        typer.Option(
            "--most-seeds", help=f"With --until-decided: seeds per optimizer at most. [default: {MOST_SEEDS}]"
        ),
    ] = None,
    opponents: Annotated[
        Path | None,
        typer.Option(
            "--opponents",
            help="Store whose finished runs with the same task, dimension, budget and seed are compared with: a few "
            "are verified, all copied.",
            metavar="STORE",
        ),
    ] = None,
    dry_run: DryRun = False,
) -> int:
    """Run every task x projection x optimizer x seed.

    References run once for every task and seed. Options take the place of what the file says. A sweep may be
    interrupted at any time: the same command goes on where it stopped, and skips what has finished.
    """
    from dfo_bench.sweeps.config import SweepSettings, read_sweep

    options = SweepSettings(
        tasks=tasks,
        optimizers=optimizers,
        projections=projections,
        dim=dim,
        budget=budget,
        seeds=seeds,
        dev_every=dev_every,
        selection=selection,
        references=False if no_references else None,
        store=store,
        workers=workers,
        cluster=cluster,
        share_model=True if share_model else None,
        price=price,
        until_decided=True if until_decided else None,
        margin=margin,
        most_seeds=most_seeds,
        opponents=opponents,
    )
    return _sweep(read_sweep(file).replace(options) if file else options, dry_run)


def _sweep(settings: "SweepSettings", dry_run: bool) -> int:
    """Run a sweep, or only say what it will take; print what came out, and return the exit status."""
    if dry_run:
        from dfo_bench.sweeps.sweep import estimate

        ahead = estimate(settings.request())
        print("\n".join([*ahead.lines, *ahead.known]))
        return 0
    store, status = work_off(settings)
    _print_results(store)
    print(f"compare them with: dfo-bench report --store {store.path}")
    return status


def work_off(settings: "SweepSettings") -> tuple["Store", int]:
    """Run a sweep; return its store and the exit status, and say what of it is not there."""
    from dfo_bench.sweeps.progress import ProgressBars
    from dfo_bench.sweeps.sweep import run_sweep

    bars = ProgressBars()
    try:
        store = run_sweep(settings.request(), bars)
    except KeyboardInterrupt:
        print_notes(["what has run is kept; the same command goes on from here"])
        raise
    failed, elsewhere = (
        [event for event in bars.ended if event.failed],
        [event for event in bars.ended if event.elsewhere],
    )
    of_all = f"of {count(len(bars.ended), 'run')}"
    if elsewhere:
        print_notes([f"{len(elsewhere)} {of_all} under way in another process"])
    if interrupted := [event for event in bars.ended if event.interrupted]:
        print_notes([f"{len(interrupted)} {of_all} interrupted; the same command goes on with them"])
    if failed:
        print_notes([f"{len(failed)} {of_all} failed; the same command tries them again"])
    return store, 1 if failed or interrupted else 0


def _print_results(store: "Store") -> None:
    """Print the table of each question that has an answer at last, and before them the results of all other tasks."""
    from dfo_bench.report.baselines import place_baselines
    from dfo_bench.report.labels import looks
    from dfo_bench.report.page.tables import tabulate_results
    from dfo_bench.report.stats.groups import summarise
    from dfo_bench.report.titles import name_tasks
    from dfo_bench.report.versions import version_notes
    from dfo_bench.report.worth import worth

    runs = store.runs()
    print_notes(version_notes(runs, str(store.path)))
    runs = name_tasks(runs)
    answered = worth(runs, store.predictions())
    told = {task for one in answered for task in one.tasks}
    placed = place_baselines(runs)
    groups = summarise(placed)
    for task in groups.index.unique("task"):
        if task not in told:
            members = groups.loc[groups.index.get_level_values("task") == task]
            content = tabulate_results(members, looks(placed))
            _print(content, f"{task}: {content.caption.lower()}")
    for one in answered:
        _print(one.table, f"Was it worth it? {one.task}")
        print_words(one.table.note)
        print_words(one.answer)


def _print(content: "Table", title: str) -> None:
    from dfo_bench.report.format import TO

    # Shorter than on a page, as a terminal is narrow.
    rows = [[f"{cell.note} {cell.text}".strip().replace(" to ", TO) for cell in row] for row in content.rows]
    print_results(content.columns, rows, title)
