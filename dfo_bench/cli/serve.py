"""The command that serves models."""

from pathlib import Path
from typing import Annotated

import typer

from dfo_bench.cli._command import examples
from dfo_bench.errors import InputError

commands = typer.Typer()


@commands.command(
    epilog=examples(
        "dfo-bench serve",
        "dfo-bench serve gemma-3-270m models/roberta-large --port 9000",
        "dfo-bench serve --host 0.0.0.0 --key-file keys.toml 2> service.log",
        "dfo-bench serve gemma-3-270m --ray --replicas 1-8",
        "dfo-bench sweep -t helpdesk:service=http://127.0.0.1:8000 -o cma -o random -d 100 -b 300",
    )
)
def serve(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            help="Models, as a text task takes them: folders, GGUF files, hub names. [default: all-MiniLM-L6-v2]",
            metavar="MODEL",
            show_default=False,
        ),
    ] = None,
    host: Annotated[str, typer.Option("--host", help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="Port; 0 takes one that is free.", min=0, max=65535)] = 8000,
    key_file: Annotated[
        Path | None,
        typer.Option("--key-file", help="TOML of who may ask, and how much. [default: whoever is on this machine]"),
    ] = None,
    book: Annotated[Path, typer.Option("--book", help="File that keeps what was answered and billed.")] = Path(
        "service.sqlite"
    ),
    log_texts: Annotated[bool, typer.Option("--log-texts", help="Log the texts of problems, too.")] = False,
    ray: Annotated[
        bool,
        typer.Option(
            "--ray", help="Have replicas of the models on the Ray cluster that RAY_ADDRESS names, or an own one."
        ),
    ] = False,
    replicas: Annotated[
        str,
        typer.Option(
            "--replicas",
            metavar="N|MIN-MAX",
            help="How many, or from how few to how many, as there is to do. [default: 1 to what there is room for]",
            show_default=False,
        ),
    ] = "",
    replica_cpus: Annotated[int, typer.Option("--replica-cpus", help="Cores of a replica.", min=1)] = 1,
    replica_gpus: Annotated[
        float | None,
        typer.Option(
            "--replica-gpus", help="GPUs of a replica; 0.5 for half of one. [default: 1 where there is one]", min=0
        ),
    ] = None,
) -> None:
    """Serve models over HTTP.

    A text task asks them by service=URL, and holds no model then.

    A line of JSON per request goes to standard error. The page /docs of the service describes it, /metrics counts.
    Ctrl-C and SIGTERM stop it after what it has accepted. It needs pip install 'dfo-bench[service]', and --ray
    'dfo-bench[service,ray]'.
    """
    try:
        from dfo_bench.service.serve import serve as run_service
    except ModuleNotFoundError as error:
        raise InputError(f"serve needs {error.name}; pip install 'dfo-bench[service]'") from error
    run_service(
        models or [],
        host=host,
        port=port,
        key_file=key_file,
        book=book,
        log_texts=log_texts,
        ray=ray,
        replicas=replicas,
        replica_cpus=replica_cpus,
        replica_gpus=replica_gpus,
        ready=lambda url: print(f"serving at {url}", flush=True),
    )
