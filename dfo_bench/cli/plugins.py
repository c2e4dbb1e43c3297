"""Commands about plugins: list, check and new."""

import json
from pathlib import Path
from textwrap import fill
from typing import Annotated, Any

import typer

from dfo_bench.cli._command import examples
from dfo_bench.cli._options import AsJson, plugin_names
from dfo_bench.cli._output import print_table, table_of, write
from dfo_bench.errors import InputError

commands = typer.Typer()


def _kinds() -> list[str]:
    """Return what completes a kind of plugin."""
    from dfo_bench.plugins.sources import KINDS

    return list(KINDS)


def _names(ctx: typer.Context) -> list[str]:
    """Return what completes the name of a plugin behind its kind."""
    return plugin_names(str(ctx.params.get("kind")))


_KIND = typer.Argument(
    help="Kind of plugin: optimizer, task, projection or reference; also in the plural.",
    metavar="KIND",
    autocompletion=_kinds,
)


@commands.command("list", epilog=examples("dfo-bench list", "dfo-bench list optimizers", "dfo-bench list task text"))
def list_plugins(
    kind: Annotated[str | None, _KIND] = None,
    name: Annotated[
        str | None,
        typer.Argument(help="Plugin to show, or the path of its file.", metavar="NAME", autocompletion=_names),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the plugins, or the parameters of one."""
    from dfo_bench.plugins.sources import KINDS, kind_named, sources_of

    if kind and name:
        _show(kind, name, as_json)
        return
    found = {f"{one}s": sources_of(one) for one in ([kind_named(kind)] if kind else KINDS)}
    if as_json:
        print(json.dumps({name: {n: vars(s) for n, s in sources.items()} for name, sources in found.items()}, indent=1))
        return
    for name, sources in found.items():
        table = table_of(name, "what it is" if sources else "none")
        for plugin, source in sources.items():
            table.add_row(plugin, source.first_line())
        print_table(table)


def _show(word: str, name: str, as_json: bool) -> None:
    """Print what a plugin is and the parameters it takes; `word` names its kind."""
    from dfo_bench.core import ExampleOptimizer
    from dfo_bench.plugins.parameters import prose
    from dfo_bench.plugins.registry import kind_of

    kind = kind_of(word)
    cls = kind.load(name)
    columns = ("what it may be", "default", "what it means")
    found = {key: (*parameter.in_words(), parameter.meaning) for key, parameter in kind.parameters(cls).items()}
    methods = getattr(cls, "variants", {})
    if as_json:
        shown: dict[str, dict[str, Any]] = {key: dict(zip(columns, row, strict=True)) for key, row in found.items()}
        for key, names in methods.items():
            shown[key]["names"] = list(names)
        print(json.dumps(shown, indent=1))
        return
    print(prose(cls, found))
    if sees := getattr(cls, "sees", ""):
        print(f"\nIt sees {sees}{', on the examples that it asks for' if issubclass(cls, ExampleOptimizer) else ''}.\n")
    table = table_of("parameter", *columns) if found else table_of("no parameters")
    for key, row in found.items():
        table.add_row(key, *row)
    print_table(table)
    for key, names in methods.items():
        print(f"\n{key} is one of {len(names)}:\n{fill(', '.join(names), 120)}")


@commands.command(
    epilog=examples(
        "dfo-bench check optimizer cma:popsize=10",
        "dfo-bench check task ./my_task.py",
        "dfo-bench check optimizer --all --output docs/optimizers.md",
    )
)
def check(
    kind: Annotated[str, _KIND],
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Plugins by name or by the path of a file, each NAME[:KEY=VALUE,...].",
            metavar="NAME",
            autocompletion=_names,
        ),
    ] = None,
    every: Annotated[
        bool,
        typer.Option(
            "--all",
            help="Check every optimizer, or those that are named, with every method of a library; print a line per "
            "method.",
        ),
    ] = False,
    output: Annotated[Path | None, typer.Option("--output", help="With --all: Markdown page to write.")] = None,
    workers: Annotated[
        int, typer.Option("--workers", min=1, help="With --all: processes that check side by side.")
    ] = 1,
) -> int:
    """Check that a plugin keeps its contract.

    Of an optimizer some observations are printed that count neither way, such as whether it was better than random
    search, equal or worse after 100 evaluations; docs/optimizers.md explains them.
    """
    from dfo_bench.plugins.component import parse
    from dfo_bench.plugins.registry import OPTIMIZERS, kind_of
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
    from dfo_bench.plugins.registry import OPTIMIZERS
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


@commands.command(epilog=examples("dfo-bench new optimizer my_search"))
def new(
    kind: Annotated[str, _KIND],
    name: Annotated[str, typer.Argument(help="Name of the plugin, and of its file.", metavar="NAME")],
) -> None:
    """Write a plugin to start from.

    In a checkout it is a file, elsewhere a package.
    """
    from dfo_bench.plugins.registry import kind_of
    from dfo_bench.plugins.scaffold import write_plugin

    path, next_step = write_plugin(kind_of(kind), name)
    print(f"{path}\n{next_step}")
