"""The application: paths, and what may go wrong on them, as HTTP."""

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Union

import numpy as np
from fastapi import Depends, FastAPI, HTTPException, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

import dfo_bench
from dfo_bench.errors import InputError
from dfo_bench.lm.remote import wire
from dfo_bench.service.book import Answer, Book, OtherCallError, Usage
from dfo_bench.service.desk import Asked, Desk, Known, LostError, UnknownError
from dfo_bench.service.guard import Guard
from dfo_bench.service.keys import Holder, Keys, LimitError
from dfo_bench.service.line import FullError, Line, Part
from dfo_bench.service.portion import MOST_COORDINATES

if TYPE_CHECKING:
    from dfo_bench.service.fleet import Fleet

DEADLINE_S = 300.0
"""How long a call is waited for before the client is told to ask again; what was begun goes on."""

_CALL = re.compile(r"[\x21-\x7e]{1,128}")

_Written = Annotated[str | None, Query(max_length=10_000, description="What the prompt is to say.")]
_Problem = Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="What POST /v1/problems has returned.")]
_Begin = Annotated[int, Query(ge=0, description="The first text that is asked for.")]
_End = Annotated[int | None, Query(ge=1, description="The one after the last; all are asked for without it.")]

_NUMBERS = {
    "requestBody": {
        "description": "The numbers of all points, little-endian, the last axis fastest: z of shape (points, dim) with "
        "an embedding, else prompts of shape (points, *shape).",
        "content": {wire.RAW: {"schema": {"type": "string", "format": "binary"}}},
        "required": True,
    }
}
_RECIPE = {
    "requestBody": {
        "description": "Safetensors: `start`, float64 of shape (D,); where blocks have steps of their own `steps`, "
        "float32, which broadcast to the shape; and in the metadata `recipe`, JSON of RecipeBody, such as "
        '{"projection": "normal", "dim": 500, "seed": 0, "number": 0, "factor": 0.05, "shape": [50, 384]}.',
        "content": {wire.RAW: {"schema": {"type": "string", "format": "binary"}}},
        "required": True,
    }
}


def _raw(what: str) -> Any:
    """Return what OpenAPI says of a path that answers with raw numbers."""
    content = {wire.RAW: {"schema": {"type": "string", "format": "binary"}}}
    headers = {wire.SHAPE: {"description": "The shape.", "schema": {"type": "string", "example": "20,32,2"}}}
    return {200: {"description": what, "content": content, "headers": headers}}


_REFUSALS: Any = {
    401: {"description": "No key, or a wrong one."},
    404: {"description": "Not registered, or forgotten: register it again."},
    413: {"description": "The body, or what it asks for, is too large."},
    422: {"description": "Something in it is wrong."},
    429: {"description": "A limit of the key is reached; Retry-After says for how long."},
    503: {"description": "Too much waits, it takes long, or the body came damaged: ask again."},
}


@dataclass
class _House:
    """What the paths share."""

    desk: Union[Desk, "Fleet"]
    book: Book
    keys: Keys
    guard: Guard
    line: Line
    under_way: dict[tuple[str, str], tuple[str, "asyncio.Future[Answer]"]] = field(default_factory=dict)
    deadline_s: float = DEADLINE_S

    async def work(self, holder: Holder, work: Callable[[], Any]) -> Any:
        """Do what touches a model, but is not billed."""
        try:
            return await asyncio.wait_for(asyncio.shield(self.line.put(holder.name, work)), self.deadline_s)
        except TimeoutError as error:
            raise _later("it takes long and goes on; ask again", 5) from error

    async def answer(
        self,
        request: Request,
        holder: Holder,
        body: bytes,
        compute: Callable[[], Answer],
        bill: Usage,
        part: Part | None = None,
    ) -> Response:
        """Answer a call that is paid for; one that was answered before, or is under way, is not paid again.

        `part` of it may be computed with those of others before `compute` is called.
        """
        call = request.headers.get(wire.IDEMPOTENCY, "")
        if call and not _CALL.fullmatch(call):
            raise HTTPException(422, f"{wire.IDEMPOTENCY} must be 1 to 128 printable characters without spaces")
        asked = wire.name(request.url.path, request.url.query, body)
        try:
            known = self.book.find(holder.name, call, asked) if call else None
        except OtherCallError:
            raise _other(call) from None
        if known:
            self.guard.replayed.inc()
            return _respond(known, billed=False)
        name = holder.name, call
        if call and name in self.under_way:
            before, done = self.under_way[name]
            if before != asked:
                raise _other(call)
            return _respond(await self._wait(done), billed=False)
        done = self._begin(holder, call, asked, compute, bill, part)
        if call:
            self.under_way[name] = asked, done
            done.add_done_callback(lambda future: self.under_way.pop(name, None))
        return _respond(await self._wait(done), billed=True)

    def _begin(
        self,
        holder: Holder,
        call: str,
        asked: str,
        compute: Callable[[], Answer],
        bill: Usage,
        part: Part | None,
    ) -> "asyncio.Future[Answer]":
        """Put a call into the line, to be computed and then entered in the book."""

        def work() -> Answer:
            answer = compute()
            self.book.enter(holder.name, call, asked, answer, _count_down(bill, answer))
            return answer

        if self.line.full:
            raise FullError
        holder.begin()
        try:
            holder.spend(examples=bill.examples, tokens=bill.tokens)
            done = self.line.put(holder.name, work, part)
        except BaseException:
            holder.end()
            raise
        done.add_done_callback(lambda future: holder.end())
        self.guard.billed(bill)
        return done

    async def _wait(self, done: "asyncio.Future[Answer]") -> Answer:
        try:
            return await asyncio.wait_for(asyncio.shield(done), self.deadline_s)
        except TimeoutError as error:
            raise _later("it takes long and goes on; ask again, by the same name", 5) from error


def _count_down(bill: Usage, answer: Answer) -> Usage:
    return Usage(**{**asdict(bill), "bytes_down": len(answer.body)})


def _later(reason: str, seconds: float) -> HTTPException:
    return HTTPException(503, reason, {"retry-after": f"{seconds:.0f}"})


def _other(call: str) -> HTTPException:
    return HTTPException(422, f"the name {call} was given to another call; take a new one")


def _respond(answer: Answer, *, billed: bool) -> Response:
    headers = {wire.SHAPE: answer.shape, wire.BILLED: str(int(billed))}
    return Response(answer.body, media_type=wire.RAW, headers=headers)


def make_app(desk: Union[Desk, "Fleet"], book: Book, keys: Keys, guard: Guard | None = None) -> FastAPI:
    """Return the application of a desk; the book is closed when it ends."""
    house = _House(desk, book, keys, guard or Guard(), Line(lanes=desk.lanes))

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        yield
        await house.line.close()
        book.close()

    app = FastAPI(
        title="dfo-bench: a language model as a service",
        version=dfo_bench.__version__,
        lifespan=life,
        description="Label logits of texts under continuous prompts. Register a problem, then ask with points.",
    )
    app.state.house = house
    house.guard.watch(app, house.line, desk.count_replicas)

    def holder_of(request: Request) -> Holder:
        kind, _, key = request.headers.get("authorization", "").partition(" ")
        found = keys.holder(key.strip() if kind.lower() == "bearer" else "")
        if found is None:
            raise HTTPException(401, "no such key; send Authorization: Bearer KEY", {"www-authenticate": "Bearer"})
        request.state.key = found.name
        found.spend(requests=1)
        return found

    asking = Annotated[Holder, Depends(holder_of)]

    @app.get("/healthz", tags=["state"])
    async def health() -> dict[str, Any]:
        """Say what this is: it answers as long as the process lives."""
        return {"service": wire.SERVICE, "version": dfo_bench.__version__, "wire": wire.WIRE}

    @app.get("/readyz", tags=["state"], responses={503: _REFUSALS[503]})
    def ready() -> dict[str, Any]:
        """Say whether calls are taken now, how many wait, and how many processes have the models."""
        if house.line.full:
            raise _later("too much waits", 1)
        if not (replicas := desk.count_replicas()):
            raise _later("no process has the models", 1)
        return {"waiting": house.line.waiting, "replicas": replicas}

    @app.get("/metrics", tags=["state"], response_class=Response)
    def metrics() -> Response:
        """Return counters in Prometheus' format."""
        return house.guard.metrics()

    @app.get("/v1/models", tags=["models"], responses=_REFUSALS)
    async def models(holder: asking) -> list[dict[str, str]]:
        """Name the models."""
        return [{"name": one.name, "digest": one.digest} for one in desk.models.values()]

    @app.get("/v1/usage", tags=["models"], responses=_REFUSALS)
    async def usage(holder: asking) -> dict[str, Any]:
        """Return what this key has been billed, and its limits."""
        limits = {name: getattr(holder.limits, name) for name in ("requests", "examples", "tokens", "concurrency")}
        return {"key": holder.name, **asdict(book.usage(holder.name)), "limits": limits}

    @app.post("/v1/problems", tags=["problems"], responses=_REFUSALS)
    async def register(holder: asking, body: wire.ProblemBody, request: Request) -> wire.Facts:
        """Register texts with all that is put around them; doing so again changes nothing."""
        house.guard.note_texts(request, body)
        known: Known = await house.work(holder, lambda: desk.register(holder.name, body))
        return known.facts

    @app.get("/v1/problems/{problem}/scales", tags=["problems"], responses=_REFUSALS)
    async def scales(holder: asking, problem: _Problem) -> list[float]:
        """Return the size of a typical step in each block, with mode=deep or prefix."""
        if desk.known(holder.name, problem).mode not in ("deep", "prefix"):
            raise HTTPException(422, "only mode=deep and mode=prefix have blocks")
        found: list[float] = await house.work(holder, lambda: desk.scales(holder.name, problem))
        return found

    @app.get("/v1/problems/{problem}/written", tags=["problems"], responses={**_REFUSALS, **_raw("float64")})
    async def written(holder: asking, problem: _Problem, text: _Written = None) -> Response:
        """Return the prompt that puts a text where the prompt stands; without one, with mode=prefix, the first ids."""
        known = desk.known(holder.name, problem)
        if not known.prompt_tokens or (text is None and known.mode != "prefix"):
            raise HTTPException(422, "there is no prompt, or no text for it; pass text=..., or mode=prefix")
        found = await house.work(holder, lambda: desk.written(holder.name, problem, text))
        return _respond(Answer(wire.write_shape(known.facts.shape), wire.pack(found, "float64")), billed=False)

    @app.post("/v1/embeddings", tags=["problems"], responses=_REFUSALS, openapi_extra=_RECIPE)
    async def embed(holder: asking, request: Request) -> wire.Embedded:
        """Register how points are lifted, so that only z need be sent."""
        body = await request.body()
        embedded: wire.Embedded = await house.work(holder, lambda: desk.embed(holder.name, body))
        return embedded

    def some(holder: Holder, problem: str, begin: int, end: int | None) -> tuple[Known, Asked]:
        """Return a problem, and those of its texts that are asked for."""
        known = desk.known(holder.name, problem)
        end = known.facts.texts if end is None else end
        if not begin < end <= known.facts.texts:
            raise HTTPException(422, f"begin={begin} and end={end} are no part of {known.facts.texts} texts")
        return known, Asked(holder.name, problem, begin, end)

    def bill(known: Known, asked: Asked, points: int, body: bytes) -> Usage:
        tokens = points * sum(known.tokens[asked.begin : asked.end])
        return Usage(1, points, points * (asked.end - asked.begin), tokens, len(body))

    @app.post(
        "/v1/problems/{problem}/logits",
        tags=["calls"],
        responses={**_REFUSALS, **_raw("The label logits, float32 of shape (points, texts, classes).")},
        openapi_extra=_NUMBERS,
        response_class=Response,
    )
    async def ask_logits(
        request: Request,
        holder: asking,
        problem: _Problem,
        points: Annotated[int, Query(ge=1, le=wire.MOST_POINTS, description="How many.", examples=[20])],
        embedding: Annotated[str | None, Query(pattern="^[0-9a-f]{32}$", description="For z.")] = None,
        dtype: wire.Type = "float32",
        begin: _Begin = 0,
        end: _End = None,
    ) -> Response:
        """Return the label logits of each text under each point."""
        known, asked = some(holder, problem, begin, end)
        shape = known.facts.shape
        lift = desk.lift(holder.name, embedding) if embedding else None
        if lift and list(lift.shape) != shape:
            raise HTTPException(422, f"the embedding makes prompts of shape {lift.shape}, not {tuple(shape)}")
        if points * int(np.prod(shape)) > MOST_COORDINATES:
            raise HTTPException(413, f"{points} prompts of shape {tuple(shape)} are too many; send fewer points")
        body = await request.body()
        try:
            numbers = wire.unpack(body, [points, lift.dim] if lift else [points, *shape], dtype)
        except ValueError as error:
            raise HTTPException(422, str(error)) from error
        if not np.isfinite(numbers).all():
            raise HTTPException(422, "nan or inf among the numbers; send finite ones")

        logits, part = desk.logits(asked, numbers, embedding)

        def compute() -> Answer:
            found = logits()
            return Answer(wire.write_shape(found.shape), wire.pack(found))

        return await house.answer(request, holder, body, compute, bill(known, asked, points, body), part)

    @app.post(
        "/v1/problems/{problem}/features",
        tags=["calls"],
        responses={**_REFUSALS, **_raw("What the head reads of each text, float32 of shape (texts, width).")},
        response_class=Response,
    )
    async def ask_features(
        request: Request, holder: asking, problem: _Problem, begin: _Begin = 0, end: _End = None
    ) -> Response:
        """Return what the head reads of each text without a prompt: a hidden state, or its embedding."""
        known, asked = some(holder, problem, begin, end)

        def compute() -> Answer:
            found = desk.features(asked)
            return Answer(wire.write_shape(found.shape), wire.pack(found))

        return await house.answer(request, holder, b"", compute, bill(known, asked, 1, b""))

    @app.post(
        "/v1/problems/{problem}/states",
        tags=["calls"],
        responses={**_REFUSALS, **_raw("Safetensors: `states`, float32 (rows, width), and `lengths` of the texts.")},
        response_class=Response,
    )
    async def ask_states(
        request: Request, holder: asking, problem: _Problem, begin: _Begin = 0, end: _End = None
    ) -> Response:
        """Return all last hidden states of each text without a prompt."""
        known, asked = some(holder, problem, begin, end)
        return await house.answer(
            request, holder, b"", lambda: Answer("", desk.states(asked)), bill(known, asked, 1, b"")
        )

    @app.exception_handler(InputError)
    async def refuse(request: Request, error: InputError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 422)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        return JSONResponse({"detail": f"{'.'.join(map(str, first['loc']))}: {first['msg']}"}, 422)

    @app.exception_handler(UnknownError)
    async def miss(request: Request, error: UnknownError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 404)

    @app.exception_handler(LimitError)
    async def limit(request: Request, error: LimitError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 429, {"retry-after": f"{error.after:.0f}"})

    @app.exception_handler(FullError)
    async def full(request: Request, error: FullError) -> JSONResponse:
        return JSONResponse({"detail": "too much waits; ask again"}, 503, {"retry-after": "1"})

    @app.exception_handler(LostError)
    async def lost(request: Request, error: LostError) -> JSONResponse:
        return JSONResponse({"detail": "the processes died that computed it; ask again"}, 503, {"retry-after": "10"})

    @app.exception_handler(ClientDisconnect)
    async def leave(request: Request, error: ClientDisconnect) -> Response:
        # Nobody is there to read it; the log has it as others call it.
        return Response(status_code=499)

    @app.exception_handler(sqlite3.Error)
    async def unwritten(request: Request, error: sqlite3.Error) -> JSONResponse:
        return JSONResponse({"detail": f"the book cannot be written: {error}"}, 503, {"retry-after": "10"})

    return app
