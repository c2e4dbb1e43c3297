"""The models on a Ray cluster: replicas that Ray Serve starts, watches, and makes more or fewer of, asked as one desk.

The front, which is this process, keeps keys, limits and the book: a call is billed once, however often it is computed.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import ray
from ray import serve
from ray.exceptions import RayError, RayTaskError
from ray.serve.config import AutoscalingConfig, RequestRouterConfig
from ray.serve.handle import DeploymentHandle
from ray.serve.schema import LoggingConfig

from dfo_bench.core import Array
from dfo_bench.errors import InputError
from dfo_bench.lm.remote import wire
from dfo_bench.service.desk import (
    NUMBERS,
    TOKENS,
    Asked,
    Known,
    LostError,
    Served,
    Shelf,
    name_problem,
    read_recipe,
    unknown_embedding,
    unknown_problem,
)
from dfo_bench.service.replica import LeastBusy, Registered, Replica
from dfo_bench.service.scale import Scale
from dfo_bench.sweeps.cluster.freight import Freight

AHEAD = 4
"""The calls that a replica has at a time: it computes one while others come, several as one where that saves work."""

MOST_DEATHS = 3
"""A call is given up when so many replicas died while they had it."""

QUICK_S = 10.0
"""For how long more calls than replicas must have come, on the average, before there are more replicas."""

_DRAIN_S = 300.0
"""How long a replica that is no longer needed may take for the calls that it has."""

_PATIENCE_S = 30.0
"""How long replicas may take to start before a word is said of it."""

_logger = logging.getLogger("dfo_bench")


@dataclass(frozen=True)
class Form:
    """The form of the points of an embedding, and of the prompts that they make."""

    shape: tuple[int, ...]
    dim: int


class Fleet:
    """What a Desk is, of replicas on the cluster that Ray is connected to."""

    def __init__(self, offered: Mapping[str, Served], handle: DeploymentHandle[Any], most: int, app: str) -> None:
        self.models, self._handle, self._app = offered, handle, app
        self.lanes = AHEAD * most
        self._problems: Shelf[tuple[Registered, Known]] = Shelf(TOKENS)
        self._embeddings: Shelf[tuple[Registered, Form, wire.Embedded]] = Shelf(NUMBERS)

    def count_replicas(self) -> int:
        """Ask how many replicas are at work."""
        app = serve.status().applications.get(self._app)
        return sum(one.replica_states.get("RUNNING", 0) for one in app.deployments.values()) if app else 0

    def known(self, key: str, problem: str) -> Known:
        """Return a problem that a key has registered; raise UnknownError for others."""
        return self._problem(key, problem)[1]

    def register(self, key: str, body: wire.ProblemBody) -> Known:
        """Register a problem with one replica, and keep it for the others; raise InputError where it does not fit."""
        _, name = name_problem(self.models, body)
        if found := self._problems.get((key, name)):
            return found[1]
        problem = Registered(key, name, ray.put(body))
        known: Known = self._do("register", problem)
        self._problems.put((key, name), (problem, known), known.facts.tokens)
        return known

    def embed(self, key: str, body: bytes) -> wire.Embedded:
        """Register an embedding with one replica, and keep it for the others; raise InputError where it is none."""
        name = wire.name(body)
        if found := self._embeddings.get((key, name)):
            return found[2]
        recipe, _, _ = read_recipe(body)
        embedding = Registered(key, name, ray.put(body))
        embedded: wire.Embedded = self._do("embed", embedding)
        form = Form(tuple(recipe.shape), recipe.dim)
        self._embeddings.put((key, name), (embedding, form, embedded), int(np.prod(recipe.shape)) * recipe.dim)
        return embedded

    def lift(self, key: str, embedding: str) -> Form:
        """Return an embedding that a key has registered; raise UnknownError for others."""
        return self._embedding(key, embedding)[1]

    def logits(
        self, asked: Asked, numbers: npt.NDArray[np.floating], embedding: str | None
    ) -> tuple[Callable[[], Array], None]:
        """Return what has label logits computed; it joins others on the replica."""
        problem, _ = self._problem(asked.key, asked.problem)
        lift = self._embedding(asked.key, embedding)[0] if embedding else None
        return partial(self._do, "logits", problem, lift, asked, numbers), None

    def features(self, asked: Asked) -> Array:
        """Return what the head reads of texts without a prompt, shape (texts, width)."""
        found: Array = self._ask(asked.key, asked.problem, "features", asked)
        return found

    def states(self, asked: Asked) -> bytes:
        """Return the last hidden states of texts, as safetensors."""
        found: bytes = self._ask(asked.key, asked.problem, "states", asked)
        return found

    def scales(self, key: str, problem: str) -> list[float]:
        """Return the size of a typical step in each block."""
        found: list[float] = self._ask(key, problem, "scales", key, problem)
        return found

    def written(self, key: str, problem: str, text: str | None) -> Array:
        """Return the prompt of a text, or of the first train ids."""
        found: Array = self._ask(key, problem, "written", key, problem, text)
        return found

    def _problem(self, key: str, name: str) -> tuple[Registered, Known]:
        if found := self._problems.get((key, name)):
            return found
        raise unknown_problem(name)

    def _embedding(self, key: str, name: str) -> tuple[Registered, Form, wire.Embedded]:
        if found := self._embeddings.get((key, name)):
            return found
        raise unknown_embedding(name)

    def _ask(self, key: str, problem: str, what: str, *given: Any) -> Any:
        return self._do("ask", self._problem(key, problem)[0], what, *given)

    def _do(self, what: str, *given: Any) -> Any:
        """Have a replica do something, and another one where it dies of it, or meanwhile."""
        for _ in range(MOST_DEATHS):
            try:
                found = getattr(self._handle, what).remote(*given).result()
            except RayTaskError:
                # An error of ours, which another replica would make, too.
                raise
            except RayError as error:
                _logger.warning("a replica is lost, its call is computed again: %s", " ".join(str(error).split()))
                continue
            if isinstance(found, InputError):
                raise found
            return found
        raise LostError


@contextmanager
def fleet(offered: Mapping[str, Served], scale: Scale, app: str, *, alone: bool) -> Iterator[Fleet]:
    """Have replicas of models on the cluster that Ray is connected to, as an `app` of Ray Serve.

    An app of that name, such as a process leaves that is killed, is replaced. `alone`: the cluster is this machine.
    Raise InputError where it has no room.
    """
    # Its own words would stand among the log of requests.
    logging.getLogger("ray.serve").setLevel(logging.ERROR)
    scale, room = scale.fit(ray.nodes())
    each = f"{scale.cpus} cores and {scale.gpus:g} GPUs"
    if alone and room < scale.least:
        raise InputError(
            f"this machine has room for {room} replicas of {each}, and {scale.least} are asked for; ask for fewer or "
            "smaller ones, or name a larger cluster by RAY_ADDRESS"
        )
    freight = Freight(None if alone else ray.put)
    models = [(one, freight.pack(one.folder)) for one in offered.values()]
    serve.start(proxy_location="Disabled")
    deployment = serve.deployment(Replica, name="models").options(
        ray_actor_options={"num_cpus": scale.cpus, "num_gpus": scale.gpus},
        max_ongoing_requests=AHEAD,
        autoscaling_config=AutoscalingConfig(
            min_replicas=scale.least,
            max_replicas=scale.most,
            target_ongoing_requests=1,
            upscale_delay_s=QUICK_S,
            look_back_period_s=2 * QUICK_S,
        ),
        graceful_shutdown_timeout_s=_DRAIN_S,
        request_router_config=RequestRouterConfig(request_router_class=LeastBusy),
        logging_config=LoggingConfig(enable_access_log=False),
    )
    said = "waiting for the cluster to start %d replicas of %s; what holds them up says: ray status"
    waits = threading.Timer(_PATIENCE_S, _logger.warning, (said, scale.least, each))
    waits.start()
    with ExitStack() as ends:
        if not alone:
            ends.callback(serve.delete, app)
        try:
            handle = serve.run(deployment.bind(models), name=app, route_prefix=None)
        except RuntimeError as error:
            raise InputError(
                f"the nodes of the cluster start no replica: {error} The log of Ray Serve's controller says why, on "
                "the head node: /tmp/ray/session_latest/logs/serve"
            ) from error
        finally:
            waits.cancel()
        # Its thread would go on to ask Ray after this process has left the cluster, and log an error each time.
        ends.callback(handle.shutdown)
        yield Fleet(offered, handle, scale.most, app)
