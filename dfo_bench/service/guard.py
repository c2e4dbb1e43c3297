"""The guard: what of a request is let in, counted and logged, whatever it asks for."""

import asyncio
import hashlib
import json
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, HTTPException, Request, Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from dfo_bench.lm.remote import wire

if TYPE_CHECKING:
    from dfo_bench.service.book import Usage
    from dfo_bench.service.line import Line

MOST_BYTES = 2**26
"""The most bytes of a body (64 MiB)."""

BODY_S = 60.0
"""For how long the next part of a body is waited for."""

_logger = logging.getLogger("dfo_bench.service")


class Guard:
    """Bounds bodies in size and time, counts requests, and logs each as a line of JSON, without its texts."""

    def __init__(self, *, log_texts: bool = False, most_bytes: int = MOST_BYTES) -> None:
        self._log_texts, self._most = log_texts, most_bytes
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        labels = ["path", "status"]
        self._requests = Counter("dfo_bench_requests", "Requests answered.", labels, registry=self._registry)
        self._seconds = Histogram("dfo_bench_seconds", "Seconds to an answer.", ["path"], registry=self._registry)
        self._points = Counter("dfo_bench_points", "Points billed.", registry=self._registry)
        self._examples = Counter("dfo_bench_examples", "Points times texts billed.", registry=self._registry)
        self._tokens = Counter("dfo_bench_tokens", "Tokens billed.", registry=self._registry)
        self.replayed = Counter("dfo_bench_replayed", "Calls answered from the book.", registry=self._registry)
        self._waiting = Gauge("dfo_bench_waiting", "Pieces of work before the model.", registry=self._registry)
        self._replicas = Gauge("dfo_bench_replicas", "Processes that have the models.", registry=self._registry)

    def watch(self, app: FastAPI, line: "Line", count_replicas: Callable[[], int]) -> None:
        """Stand before an application."""
        self._replicas.set_function(count_replicas)
        self._waiting.set_function(lambda: line.waiting)
        app.add_middleware(_Watched, guard=self)

    def metrics(self) -> Response:
        """Return all counters."""
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)

    def billed(self, bill: "Usage") -> None:
        """Count what a call is billed."""
        self._points.inc(bill.points)
        self._examples.inc(bill.examples)
        self._tokens.inc(bill.tokens)

    def note_texts(self, request: Request, body: wire.ProblemBody) -> None:
        """Have the log hold the texts of a problem, where that was asked for."""
        if self._log_texts:
            request.state.texts = body.texts

    def bounded(self, receive: Any, length: str, digest: str) -> Any:
        """Return `receive` that raises HTTPException for a body that is too long, does not come, or is another.

        `digest` is what the body must have, "" for any.
        """
        found = hashlib.sha256()
        if not length.isdigit() or int(length) <= self._most:
            left, over = self._most, False
        else:
            left, over = 0, True

        async def limited() -> Any:
            nonlocal left, over
            if over:
                raise HTTPException(413, f"the body is above {self._most} bytes; send less at a time")
            try:
                message = await asyncio.wait_for(receive(), BODY_S)
            except TimeoutError as error:
                raise HTTPException(408, "the body did not come") from error
            body = message.get("body", b"")
            left -= len(body)
            over = left < 0
            if over:
                return await limited()
            found.update(body)
            last = message["type"] == "http.request" and not message.get("more_body")
            if digest and last and found.hexdigest() != digest:
                raise HTTPException(503, "the body was damaged on its way; send it again", {"retry-after": "0"})
            return message

        return limited

    def note(self, scope: Any, status: int, seconds: float, up: str, down: int) -> None:
        """Count and log a request that was answered."""
        route = scope.get("route")
        path = getattr(route, "path", "other")
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)
        state = scope.get("state", {})
        line = {
            "time": time.time(),
            "key": state.get("key"),
            "method": scope["method"],
            "path": path,
            "status": status,
            "seconds": round(seconds, 6),
            "bytes_up": int(up) if up.isdigit() else None,
            "bytes_down": down,
        }
        _logger.info(json.dumps({**line, **({"texts": state["texts"]} if "texts" in state else {})}))


class _Watched:
    """The guard as ASGI middleware."""

    def __init__(self, app: Any, guard: Guard) -> None:
        self._app, self._guard = app, guard

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        length, digest = headers.get("content-length", ""), headers.get(wire.DIGEST, "")
        begin, status, down = time.perf_counter(), 500, 0
        started: Any = None

        async def sending(message: Any) -> None:
            nonlocal status, down, started
            if message["type"] == "http.response.start":
                status, started = message["status"], message
                return
            body = message.get("body", b"")
            if started and not message.get("more_body"):
                # So an answer can be told from one that was damaged on its way, and from that to another question.
                named = {wire.IDEMPOTENCY: headers[wire.IDEMPOTENCY]} if wire.IDEMPOTENCY in headers else {}
                added = {wire.DIGEST: wire.digest(body), **named}
                pairs = [(name.encode(), value.encode("latin-1")) for name, value in added.items()]
                started["headers"] = [*started["headers"], *pairs]
            if started:
                await send(started)
                started = None
            down += len(body)
            await send(message)

        try:
            await self._app(scope, self._guard.bounded(receive, length, digest), sending)
        finally:
            self._guard.note(scope, status, time.perf_counter() - begin, length, down)
