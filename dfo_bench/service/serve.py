"""The service as a process: it listens until it is told to stop, and finishes what it has accepted."""

import logging
import os
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Union

import uvicorn

from dfo_bench.errors import InputError
from dfo_bench.service.app import make_app
from dfo_bench.service.book import Book
from dfo_bench.service.desk import Desk, Served, find_models
from dfo_bench.service.guard import Guard
from dfo_bench.service.keys import LOOPBACK, Anyone, Keys
from dfo_bench.service.scale import Scale

if TYPE_CHECKING:
    from dfo_bench.service.fleet import Fleet


def serve(
    models: Sequence[str],
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    key_file: Path | None = None,
    book: Path = Path("service.sqlite"),
    log_texts: bool = False,
    ray: bool = False,
    replicas: str = "",
    replica_cpus: int = 1,
    replica_gpus: float | None = None,
    ready: Callable[[str], object] = print,
) -> None:
    """Serve models, none for the default one, until SIGTERM or Ctrl-C; then finish what was accepted.

    Without a file of keys only this machine is served. Port 0 takes any that is free. `ready` hears the URL once it
    listens. Raise InputError where a model is not there, a file cannot be used, or the port is taken.

    `ray`: the models stand in `replicas` on the Ray cluster that RAY_ADDRESS names, or on one of this machine: "2", or
    "1-8" for as many as there is to do, "" from one to as many as there is room for. Each takes so many cores and GPUs
    (None: one where the cluster has any).
    """
    if not ray and (replicas, replica_cpus, replica_gpus) != ("", 1, None):
        raise InputError("replicas, their cores and their GPUs are for a cluster of Ray; add --ray, or leave them out")
    scale = Scale.parse(replicas, replica_cpus, replica_gpus)
    address = os.environ.get("RAY_ADDRESS", "")
    if ray and address.startswith("ray://"):
        raise InputError(
            f"RAY_ADDRESS={address} is that of the Ray Client, and a service is a part of its cluster; start it on one "
            "of the nodes, with RAY_ADDRESS=HOST:6379 of the head"
        )
    if key_file is None and host not in LOOPBACK:
        raise InputError(
            f"--host {host} would serve whoever reaches it; name who may ask by --key-file FILE, or serve this machine "
            "only, by leaving --host out"
        )
    keys = Anyone() if key_file is None else Keys.read(key_file)
    found = find_models(models)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        raise InputError(f"--host {host} --port {port} cannot be listened at: {error}; choose another port") from error
    written = Book(book)
    shown = f"[{host}]" if ":" in host else host
    port = listening.getsockname()[1]
    with _desk(found, scale if ray else None, f"dfo-bench-{socket.gethostname()}-{port}") as desk:
        app = make_app(desk, written, keys, Guard(log_texts=log_texts))
        _log()
        config = uvicorn.Config(app, log_config=None, access_log=False, server_header=False, timeout_keep_alive=60)
        ready(f"http://{shown}:{port}")
        uvicorn.Server(config).run(sockets=[listening])


@contextmanager
def _desk(models: Mapping[str, Served], scale: Scale | None, app: str) -> Iterator[Union[Desk, "Fleet"]]:
    """Give what has the models: this process, or replicas of them on a cluster of Ray."""
    if scale is None:
        yield Desk(models)
        return
    from dfo_bench.sweeps.cluster.connect import connected

    with connected("ray") as alone:
        try:
            from dfo_bench.service.fleet import fleet
        except ModuleNotFoundError as error:
            raise InputError(f"--ray needs {error.name}; pip install 'dfo-bench[service,ray]'") from error
        with fleet(models, scale, app, alone=alone) as desk:
            yield desk


def _log() -> None:
    """Log on standard error, a line of JSON a request."""
    logger = logging.getLogger("dfo_bench.service")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.INFO)
