"""The line before the models: one piece of work at a time, or several computed as one, in turns between keys."""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any, TypeVar

_Result = TypeVar("_Result")

MOST = 64
"""The most pieces of work that wait."""

MERGED = 16
"""The most pieces that are computed as one: no key waits longer than for these before its turn."""

GATHER_S = 0.003
"""For how long pieces are waited for that are likely to come, as they did the last time."""


class FullError(Exception):
    """As many wait as may."""


class Part(ABC):
    """The part of a piece of work that may be computed with that of others."""

    kind: object
    """What parts must agree in."""

    @abstractmethod
    def joins(self, group: Sequence["Part"]) -> bool:
        """Return whether it costs less with these, which are of its kind, than by itself."""

    @abstractmethod
    def compute(self, group: Sequence["Part"]) -> None:
        """Compute a group, itself among it; each then knows its own result."""


@dataclass(frozen=True, eq=False)
class _Piece:
    work: Callable[[], Any]
    part: Part | None
    done: "asyncio.Future[Any]"


class Line:
    """Work for the one thread that has the models: hooks put prompts into them, so no two calls may run at once.

    Or for several `lanes`, threads that have others compute. Each key has a queue of its own, and they are served in
    turns. With the piece whose turn it is those are computed that cost less so, whosever they are.
    """

    def __init__(self, most: int = MOST, lanes: int = 1) -> None:
        """With several lanes pieces have no parts: what would join them may just as well be computed beside them."""
        self._most, self._lanes = most, lanes
        self._thread = ThreadPoolExecutor(lanes, thread_name_prefix="model")
        self._queues: dict[str, deque[_Piece]] = {}
        self._servers: list[asyncio.Task[None]] = []
        self._came = asyncio.Event()
        self._expected: tuple[object, int] = (None, 0)
        """The kind of the last part, and how many of it were under way when it was done."""

    @property
    def waiting(self) -> int:
        """How many pieces of work wait."""
        return sum(map(len, self._queues.values()))

    @property
    def full(self) -> bool:
        """Whether as many wait as may."""
        return self.waiting >= self._most

    def put(self, key: str, work: Callable[[], _Result], part: Part | None = None) -> "asyncio.Future[_Result]":
        """Put work into the line; raise FullError where it is full.

        `part` may have been computed with others' when `work` is called.
        """
        if self.full:
            raise FullError
        loop = asyncio.get_running_loop()
        done: asyncio.Future[_Result] = loop.create_future()
        # Who asked may be gone by then, and an error is then nobody's.
        done.add_done_callback(lambda future: future.cancelled() or future.exception())
        self._queues.setdefault(key, deque()).append(_Piece(work, part, done))
        self._came.set()
        self._servers = [one for one in self._servers if not one.done()]
        if len(self._servers) < self._lanes:
            self._servers.append(loop.create_task(self._serve()))
        return done

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        while self._queues:
            group = await self._gather()
            self._take(group)
            for piece, outcome in zip(group, await loop.run_in_executor(self._thread, _do, group), strict=True):
                if isinstance(outcome, Exception):
                    piece.done.set_exception(outcome)
                else:
                    piece.done.set_result(outcome[0])
            kind = _kind(group[0])
            self._expected = kind, len(group) + sum(_kind(piece) == kind for piece in self._all())

    async def _gather(self) -> list[_Piece]:
        """Return what is computed next.

        Those who were answered together are likely to ask again together, and are waited for while nothing else is to
        be done. One who is alone waits for nobody.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(GATHER_S):
                while len(group := self._group()) == self.waiting and self._lacks(group):
                    self._came.clear()
                    await self._came.wait()
        return self._group()

    def _lacks(self, group: Sequence[_Piece]) -> bool:
        """Return whether more are expected to be computed with these."""
        kind, most = self._expected
        return kind is not None and _kind(group[0]) == kind and len(group) < min(most, MERGED)

    def _group(self) -> list[_Piece]:
        """Return the piece whose turn it is, and those that are computed with it: one of each key in turns."""
        group: list[_Piece] = []
        parts: list[Part] = []
        for piece in self._all():
            if not group:
                group.append(piece)
                parts = [piece.part] if piece.part else []
            elif parts and piece.part and piece.part.kind == parts[0].kind and piece.part.joins(parts):
                group.append(piece)
                parts.append(piece.part)
            if len(group) == MERGED:
                break
        return group

    def _all(self) -> list[_Piece]:
        """Return all that waits, one of each key in turns."""
        return [piece for piece in chain.from_iterable(zip_longest(*self._queues.values())) if piece]

    def _take(self, group: Sequence[_Piece]) -> None:
        """Take pieces out of the queues; the key whose turn it was goes to the end."""
        first = next(iter(self._queues))
        self._queues[first] = self._queues.pop(first)
        left = {key: deque(one for one in queue if one not in group) for key, queue in self._queues.items()}
        self._queues = {key: queue for key, queue in left.items() if queue}

    async def close(self) -> None:
        """Finish what waits."""
        await asyncio.gather(*self._servers)
        self._thread.shutdown()


def _kind(piece: _Piece) -> object:
    return piece.part.kind if piece.part else None


def _do(group: Sequence[_Piece]) -> list[tuple[Any] | Exception]:
    """Return the result of each piece, alone in a tuple, or its error, in the thread of the models."""
    parts = [piece.part for piece in group if piece.part]
    if len(parts) > 1:
        # What fails for one fails for all, so each is then computed alone, by its own work.
        with suppress(Exception):
            parts[0].compute(parts)
    return [_outcome(piece.work) for piece in group]


def _outcome(work: Callable[[], Any]) -> tuple[Any] | Exception:
    try:
        return (work(),)
    except Exception as error:
        return error
