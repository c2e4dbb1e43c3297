"""Commands about plugins: list, check and new."""

import ast
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from dfo_bench.cli._options import AsJson
from dfo_bench.cli._output import print_table, table_of, write
from dfo_bench.errors import InputError
from dfo_bench.plugins.registry import KINDS, OPTIMIZERS, Kind, Source, kind_of

commands = typer.Typer()


@commands.command("list", epilog="Examples: dfo-bench list optimizers; dfo-bench list tasks text")
def list_plugins(
    kind: Annotated[
        str | None, typer.Argument(help="optimizers, tasks or projections; all of them if left out.")
    ] = None,
    name: Annotated[
        str | None, typer.Argument(help="A plugin, or the path of its file, to show what it is and its parameters.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the plugins, or the parameters of one of them."""
    if kind and name:
        _show(kind_of(kind), name, as_json)
        return
    shown = [kind_of(kind)] if kind else KINDS.values()
    found = {kind.plural: kind.sources() for kind in shown}
    if as_json:
        print(json.dumps({name: {n: vars(s) for n, s in sources.items()} for name, sources in found.items()}, indent=1))
        return
    for name, sources in found.items():
        table = table_of(name, "what it is" if sources else "none")
        for plugin, source in sources.items():
            table.add_row(plugin, _first_line(source))
        print_table(table)


def _show(kind: Kind[Any], name: str, as_json: bool) -> None:
    """Print what a plugin is and the parameters it takes."""
    from dfo_bench.plugins.parameters import prose

    cls = kind.load(name)
    columns = ("what it may be", "default", "what it means")
    found = {key: (*parameter.in_words(), parameter.meaning) for key, parameter in kind.parameters(cls).items()}
    if as_json:
        print(json.dumps({key: dict(zip(columns, row, strict=True)) for key, row in found.items()}, indent=1))
        return
    print(prose(cls, found))
    table = table_of("parameter", *columns) if found else table_of("no parameters")
    for key, row in found.items():
        table.add_row(key, *row)
    print_table(table)


def _first_line(source: Source) -> str:
    """Return the first line of a plugin file's docstring, read without running the file; without one, where it is."""
    try:
        file = source.file()
        said = ast.get_docstring(ast.parse(file.read_bytes())) if file else None
    except (OSError, SyntaxError, ValueError):
        said = None
    return (said or source.where).partition("\n")[0]


@commands.command(
    epilog="Examples: dfo-bench check optimizer cma:popsize=10; dfo-bench check task ./my_task.py; "
    "dfo-bench check optimizer --all --output docs/optimizers.md"
)
def check(
    kind: Annotated[str, typer.Argument(help="optimizer, task or projection.")],
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="The plugins by name, or by the path of a file, with parameters where you like.", metavar="[NAME...]"
        ),
    ] = None,
    every: Annotated[
        bool,
        typer.Option(
            "--all", help="Every optimizer, or those named, and every method of a library: one line per method."
        ),
    ] = False,
    output: Annotated[Path | None, typer.Option("--output", help="With --all: a Markdown page to write.")] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="With --all: how many side by side.")] = 1,
) -> int:
    """Check that a plugin keeps its contract.

    Of optimizers some facts are reported besides, which are not judged: among them whether the best of 100 evaluations
    is better than that of random search, equal or worse. docs/optimizers.md explains them.
    """
    from dfo_bench.plugins.component import parse
    from dfo_bench.testing import findings, reports

    asked = kind_of(kind)
    if every:
        if asked is not OPTIMIZERS:
            raise InputError(f"--all is for optimizers, got {kind}; name the {asked.plural} to check")
        return _check_all(names or [], output, workers)
    if not names:
        raise InputError(f"no {asked.name} named; name at least one, or all optimizers with --all")
    kept = True
    for name in names:
        table = table_of("check", "kept", "what is wrong", title=name)
        for title, problem in findings(kind, parse(name)):
            kept &= not problem
            table.add_row(title, "no" if problem else "yes", problem)
        print_table(table)
        if asked is OPTIMIZERS:
            reported = table_of("reported, not judged", "what was found")
            for title, found in reports(parse(name)):
                reported.add_row(title, found)
            print_table(reported)
    return 0 if kept else 1


def _check_all(names: list[str], output: Path | None, workers: int) -> int:
    """Print a line for every optimizer, and write the page if one was asked for."""
    from dfo_bench.testing import every_method

    optimizers = every_method.variants(names or OPTIMIZERS.names())
    found: list[every_method.Row] = []
    for number, row in enumerate(every_method.rows(optimizers, workers), 1):
        found.append(row)
        print(f"[{number}/{len(optimizers)}] {row.optimizer}: {row.verdict}", flush=True)
    if output:
        write(output, every_method.page(found, names))
        print(output)
    return 0 if not any(row.broken for row in found) else 1


@commands.command(epilog="Example: dfo-bench new optimizer my_search")
def new(
    kind: Annotated[str, typer.Argument(help="optimizer, task or projection.")],
    name: Annotated[str, typer.Argument(help="The plugin's name, which is its file's name.")],
) -> None:
    """Write a plugin to start from: a file in a checkout, a package elsewhere."""
    from dfo_bench.plugins.scaffold import write_plugin

    path, next_step = write_plugin(kind_of(kind), name)
    print(f"{path}\n{next_step}")
