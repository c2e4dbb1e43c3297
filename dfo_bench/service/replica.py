"""The replica of the models on a node of a cluster: a desk and a line before it; each call says what it rests on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from ray.serve.request_router import PendingRequest, RequestRouter, RunningReplica

from dfo_bench.core import Array
from dfo_bench.errors import InputError
from dfo_bench.service.desk import Asked, Desk, Served, UnknownError
from dfo_bench.service.line import Line, Part
from dfo_bench.sweeps.cluster.freight import Parcel, fetch


@dataclass(frozen=True)
class Registered:
    """What a key has registered, a problem or an embedding."""

    key: str
    name: str
    body: Any
    """Ray's reference of what was sent."""


class Replica:
    """One copy of the models. It registers what it meets for the first time, so any replica can answer any call.

    A call that the desk refuses is answered by the InputError: Ray would wrap one that is raised.
    """

    def __init__(self, models: Sequence[tuple[Served, Parcel]]) -> None:
        self._desk = Desk({one.name: replace(one, folder=fetch(parcel)) for one, parcel in models})
        self._line = Line()

    async def register(self, problem: Registered) -> Any:
        """Return what the desk knows of a problem."""
        body = await problem.body
        return await self._do(problem.key, lambda: self._desk.register(problem.key, body))

    async def embed(self, embedding: Registered) -> Any:
        """Return what the desk says of an embedding."""
        body = await embedding.body
        return await self._do(embedding.key, lambda: self._desk.embed(embedding.key, body))

    async def ask(self, problem: Registered, what: str, *given: Any) -> Any:
        """Return what a method of the desk returns."""
        await self._meet(problem)
        return await self._do(problem.key, lambda: getattr(self._desk, what)(*given))

    async def logits(
        self, problem: Registered, embedding: Registered | None, asked: Asked, numbers: npt.NDArray[np.floating]
    ) -> Array:
        """Return label logits, computed with those of others where that saves work."""
        await self._meet(problem)
        if embedding:
            await self._meet_embedding(embedding)
        work, part = self._desk.logits(asked, numbers, embedding.name if embedding else None)
        found: Array = await self._do(problem.key, work, part)
        return found

    async def _meet(self, problem: Registered) -> None:
        try:
            self._desk.known(problem.key, problem.name)
        except UnknownError:
            await self.register(problem)

    async def _meet_embedding(self, embedding: Registered) -> None:
        try:
            self._desk.lift(embedding.key, embedding.name)
        except UnknownError:
            await self.embed(embedding)

    async def _do(self, key: str, work: Callable[[], Any], part: Part | None = None) -> Any:
        try:
            return await self._line.put(key, work, part)
        except InputError as error:
            # Those of its kind may have more to them than travels.
            return InputError(str(error))


class LeastBusy(RequestRouter):  # type: ignore[misc]
    """Sends a call to whichever replica has the fewest: Ray's own way picks two at random, and lets others idle."""

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """Return all, of which the one with the fewest calls is taken; where all are full it is asked again later."""
        if pending_request:
            pending_request.routing_context.should_backoff = True
        return [candidate_replicas]
