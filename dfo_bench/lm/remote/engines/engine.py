"""The base of all engines: an address, a name for their model, a version, answers in JSON."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np

from dfo_bench.core import Array
from dfo_bench.errors import InputError, Unavailable
from dfo_bench.lm.problem import Prompts
from dfo_bench.lm.remote.client import Client, Refused

_Read = TypeVar("_Read")

BAD_INPUT = (400, 413, 422)
"""The statuses by which an engine says that it will never take a call."""


class Engine(ABC):
    """A server of somebody else's."""

    title: ClassVar[str]
    """What it is called."""
    start: ClassVar[str]
    """How it is started."""

    def __init__(self, url: str, model: str, *, alone: bool = True) -> None:
        """Find the model called `model`, or as the last part of its path; `alone`: or else the only one.

        Raise InputError where no such engine is at the URL, or it has no such model.
        """
        self.client = Client(url)
        self.version = self.find_version()
        listed = self.get("/v1/models")
        try:
            limits = {str(one["id"]): one.get("max_model_len") for one in listed["data"]}
        except (LookupError, TypeError, AttributeError) as error:
            raise self.stranger("it lists no models") from error
        found = next((name for name in (model, Path(model).name) if name in limits), "")
        if not found and len(limits) == 1 and (alone or not model):
            (found,) = limits
        if not found:
            raise InputError(f"{self.client.url} has no model {model!r}; it has: {', '.join(limits) or 'none'}")
        self.model, self.limit = found, limits[found]
        """The name of the model there, and the most tokens that it takes there, where that is said."""

    @abstractmethod
    def find_version(self) -> str:
        """Return the engine's version; raise InputError where this is another engine."""

    def stranger(self, reason: str) -> InputError:
        """Return what is raised where this is no such engine."""
        return InputError(f"{self.client.url} is no {self.title} ({reason}); start one with: {self.start}")

    def get(self, path: str) -> Any:
        """Return what stands at a path."""
        try:
            return self.client.ask("GET", path).json()
        except Refused as error:
            if error.status != 404:
                raise
            raise self.stranger(f"it has no {path}") from error
        except ValueError as error:
            raise self.stranger(f"{path} is no JSON") from error

    def post(self, path: str, body: Mapping[str, Any], read: Callable[[Any], _Read]) -> _Read:
        """Return what `read` finds in the answer to a call that is paid for.

        Raise Refused where the engine will never take it, and Unavailable where there is no answer, or another one.
        """
        data = json.dumps({"model": self.model, **body}).encode()
        headers = {"content-type": "application/json"}
        try:
            answer = self.client.ask("POST", path, content=data, headers=headers)
            return read(answer.json())
        except Refused as error:
            if error.status in BAD_INPUT:
                raise
            raise Unavailable(str(error)) from error
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise Unavailable(
                f"{self.client.url} answers {path} otherwise than {self.title} {self.version} should: {error!r}"
            ) from error


def ordered(answered: Sequence[Any], count: int) -> list[Any]:
    """Return answers in the order of what was asked; raise LookupError where some are missing."""
    found = sorted(answered, key=lambda one: one["index"])
    if len(found) != count:
        raise LookupError(f"{len(found)} answers to {count} texts")
    return found


class Scorer(Engine):
    """An engine that answers with the log-probabilities of the tokens that are asked for."""

    embeds: ClassVar[str]
    """What it must be started with to take embeddings."""

    def told(self, path: str) -> dict[str, Any]:
        """Return what stands at a path, its version among it; raise InputError where it says none."""
        found = self.get(path)
        if not isinstance(found, dict) or "version" not in found:
            raise self.stranger("it says no version")
        return found

    @abstractmethod
    def of_ids(self, ids: Sequence[Sequence[int]], tokens: Sequence[int]) -> Array:
        """Return the log-probabilities of tokens after some texts, shape (texts, tokens)."""

    @abstractmethod
    def of_rows(self, rows: Sequence[Prompts], tokens: Sequence[int]) -> Array:
        """Return the same after texts whose word embeddings are given, each of shape (length, size)."""


def table(answered: Sequence[Mapping[int, float | None]], count: int, tokens: Sequence[int]) -> Array:
    """Return answers, each by token, as an array; raise LookupError where some are missing."""
    if len(answered) != count:
        raise LookupError(f"{len(answered)} answers to {count} texts")
    return np.array([[np.nan if one[token] is None else one[token] for token in tokens] for one in answered], float)
