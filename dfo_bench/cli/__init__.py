"""The command line. Exit status: 0 done, 1 some runs failed or wait, 2 wrong input, 130 after Ctrl-C or SIGTERM."""

import logging
import signal
import sys
from io import TextIOWrapper
from types import FrameType
from typing import Annotated

import typer

import dfo_bench
from dfo_bench.cli import dimension, ensemble, plugins, predict, report, run, serve, store, tables, validate
from dfo_bench.cli._command import Command, examples
from dfo_bench.cli._output import print_notes
from dfo_bench.errors import DfoBenchError, InputError

app = typer.Typer(
    name="dfo-bench",
    help="Compare derivative-free optimizers on black-box language models.",
    epilog=examples("dfo-bench sweep quickstart", "dfo-bench list", "dfo-bench run --help"),
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for module in (run, predict, ensemble, report, tables, dimension, store, serve, plugins, validate):
    for command in module.commands.registered_commands:
        command.cls = Command
    app.add_typer(module.commands)

_UsageError = typer.BadParameter.__base__


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        print(f"dfo-bench {dfo_bench.__version__}")
        raise typer.Exit


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


class _Notes(logging.Handler):
    """Prints the warnings of dfo-bench as the command line prints its own remarks."""

    def emit(self, record: logging.LogRecord) -> None:
        print_notes([record.getMessage()])


def main() -> None:
    """Run the command line and exit."""
    # What a scheduler sends before it kills is as good as Ctrl-C.
    signal.signal(signal.SIGTERM, _interrupt)
    logging.getLogger("dfo_bench").handlers = [_Notes()]
    # A character that the terminal has not must not cost a sweep its results; standard error is made like this.
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    try:
        # Typer turns Ctrl-C into a status of its own.
        status = app(sys.argv[1:] or ["--help"], prog_name="dfo-bench", standalone_mode=False)
        if status == 130:
            raise KeyboardInterrupt
    except (InputError, _UsageError) as error:  # type: ignore[misc]
        message = error.format_message() if hasattr(error, "format_message") else str(error)
        print_notes([" ".join(message.split())])
        status = 2
    except (DfoBenchError, OSError) as error:
        print_notes([str(error)])
        status = 1
    except KeyboardInterrupt:
        print_notes(["stopped"])
        status = 130
    sys.exit(status)
