"""The service as a process: it listens until it is told to stop, and finishes what it has accepted."""

import logging
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import uvicorn

from dfo_bench.errors import InputError
from dfo_bench.service.app import make_app
from dfo_bench.service.book import Book
from dfo_bench.service.desk import Desk
from dfo_bench.service.guard import Guard
from dfo_bench.service.keys import LOOPBACK, Anyone, Keys


def serve(
    models: Sequence[str],
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    key_file: Path | None = None,
    book: Path = Path("service.sqlite"),
    log_texts: bool = False,
    ready: Callable[[str], object] = print,
) -> None:
    """Serve models, none for the default one, until SIGTERM or Ctrl-C; then finish what was accepted.

    Without a file of keys only this machine is served. Port 0 takes any that is free. `ready` hears the URL once it
    listens. Raise InputError where a model is not there, a file cannot be used, or the port is taken.
    """
    if key_file is None and host not in LOOPBACK:
        raise InputError(
            f"--host {host} would serve whoever reaches it; name who may ask by --key-file FILE, or serve this machine "
            "only, by leaving --host out"
        )
    keys = Anyone() if key_file is None else Keys.read(key_file)
    desk = Desk(models)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        raise InputError(f"--host {host} --port {port} cannot be listened at: {error}; choose another port") from error
    app = make_app(desk, Book(book), keys, Guard(log_texts=log_texts))
    _log()
    config = uvicorn.Config(app, log_config=None, access_log=False, server_header=False, timeout_keep_alive=60)
    shown = f"[{host}]" if ":" in host else host
    ready(f"http://{shown}:{listening.getsockname()[1]}")
    uvicorn.Server(config).run(sockets=[listening])


def _log() -> None:
    """Log on standard error, a line of JSON a request."""
    logger = logging.getLogger("dfo_bench.service")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.INFO)
