"""The line before the model: one piece of work at a time, in turns between keys."""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

_Result = TypeVar("_Result")

MOST = 64
"""The most pieces of work that wait."""


class FullError(Exception):
    """As many wait as may."""


class Line:
    """Work for the one thread that has the models: hooks put prompts into them, so no two calls may run at once.

    Each key has a queue of its own, and they are served in turns.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._queues: dict[str, deque[tuple[Callable[[], Any], asyncio.Future[Any]]]] = {}
        self._server: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """How many pieces of work wait."""
        return sum(map(len, self._queues.values()))

    @property
    def full(self) -> bool:
        """Whether as many wait as may."""
        return self.waiting >= self._most

    def put(self, key: str, work: Callable[[], _Result]) -> "asyncio.Future[_Result]":
        """Put work into the line; raise FullError where it is full."""
        if self.full:
            raise FullError
        loop = asyncio.get_running_loop()
        done: asyncio.Future[_Result] = loop.create_future()
        # Who asked may be gone by then, and an error is then nobody's.
        done.add_done_callback(lambda future: future.cancelled() or future.exception())
        self._queues.setdefault(key, deque()).append((work, done))
        if self._server is None or self._server.done():
            self._server = loop.create_task(self._serve())
        return done

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        while self._queues:
            # A key that is served goes to the end.
            key = next(iter(self._queues))
            queue = self._queues.pop(key)
            work, done = queue.popleft()
            if queue:
                self._queues[key] = queue
            try:
                result = await loop.run_in_executor(self._thread, work)
            except Exception as error:
                done.set_exception(error)
            else:
                done.set_result(result)

    async def close(self) -> None:
        """Finish what waits."""
        if self._server:
            await self._server
        self._thread.shutdown()
