"""A service of tiny models, in a thread of the test, on a port of this machine."""

import socket
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import uvicorn
from fastapi import FastAPI

from dfo_bench.service.app import make_app
from dfo_bench.service.book import Book
from dfo_bench.service.desk import Desk, find_models
from dfo_bench.service.guard import Guard
from dfo_bench.service.keys import Anyone, Keys
from dfo_bench.service.line import Line

if TYPE_CHECKING:
    from dfo_bench.service.fleet import Fleet


class Listening:
    """An application that listens; `stop` ends it as SIGTERM does."""

    def __init__(self, app: FastAPI, port: int = 0) -> None:
        listening = socket.create_server(("127.0.0.1", port))
        self.port = int(listening.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self._server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listening]}, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish what was accepted, and end."""
        self._server.should_exit = True
        self._thread.join()


class Running(Listening):
    """A service of this package that listens."""

    def __init__(
        self,
        models: "Sequence[str] | Fleet",
        book: Path,
        *,
        keys: Keys | None = None,
        guard: Guard | None = None,
        line: Line | None = None,
        port: int = 0,
    ) -> None:
        desk = Desk(find_models(models)) if isinstance(models, Sequence) else models
        app = make_app(desk, Book(book), keys or Anyone(), guard)
        if line:
            app.state.house.line = line
        self.house = app.state.house
        super().__init__(app, port)

    def client(self, key: str = "") -> httpx2.Client:
        """Return a client that has a key, or none."""
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return httpx2.Client(base_url=self.url, headers=headers, timeout=60)


def problem(model: str, **other: Any) -> dict[str, Any]:
    """Return a problem of two texts, in JSON."""
    plain = {
        "model": model,
        "head": "masked",
        "mode": "cat",
        "prompt_tokens": 2,
        "template": "{text} . It was [MASK] .",
        "words": ["bad", "great"],
        "texts": [["the film was awful"], ["a great film"]],
    }
    return {**plain, **other}
