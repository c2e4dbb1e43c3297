"""The desk: models, problems and embeddings, and the answers to what is asked of them."""

import json
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Generic, TypeVar

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from dfo_bench.core import Anchor, Array, Component, Embedding, InputError, Projection, Space, UnknownNameError
from dfo_bench.lm import features, folders, gguf, models
from dfo_bench.lm.data import Row
from dfo_bench.lm.local import Local
from dfo_bench.lm.models import LanguageModel
from dfo_bench.lm.modes import check
from dfo_bench.lm.problem import Problem, Prompts
from dfo_bench.lm.remote import wire
from dfo_bench.lm.templates import Encoded
from dfo_bench.plugins.component import parse
from dfo_bench.plugins.plugin import resolve
from dfo_bench.plugins.registry import PROJECTIONS

TOKENS, NUMBERS = 2**24, 2**28
"""The most tokens of problems that are kept, and the most numbers of matrices (2 GiB); the oldest in use go first."""

MOST_THINGS = 4096
"""The most problems, and the most matrices, that are kept, however small: each takes some kB beside its numbers."""

MOST_COORDINATES = 2**27
"""The most coordinates of the points of a call."""


class UnknownError(Exception):
    """There is no problem, or embedding, of this name: it was never registered, or forgotten."""


@dataclass(frozen=True)
class Served:
    """A model that is offered."""

    name: str
    folder: Path
    digest: str


@dataclass(frozen=True)
class Lift:
    """An embedding, and the form of the prompts that it makes."""

    embedding: Embedding
    shape: tuple[int, ...]
    steps: Prompts | None


_Kept = TypeVar("_Kept")


class _Shelf(Generic[_Kept]):
    """Things by name, up to a total size and MOST_THINGS."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._things: OrderedDict[tuple[str, str], tuple[_Kept, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[str, str]) -> _Kept | None:
        with self._lock:
            if key not in self._things:
                return None
            self._things.move_to_end(key)
            return self._things[key][0]

    def put(self, key: tuple[str, str], thing: _Kept, size: int = 1) -> None:
        with self._lock:
            self._things[key] = thing, size
            while len(self._things) > 1 and (
                len(self._things) > MOST_THINGS or sum(size for _, size in self._things.values()) > self._room
            ):
                self._things.popitem(last=False)


class Desk:
    """Everything that touches a model; only one thread may be at it, but for `known` and `lift`.

    What one key has registered no other can ask for, or learn of.
    """

    def __init__(self, names: Sequence[str]) -> None:
        """Find the models; raise InputError where one is not there, or two have one name."""
        self.models: dict[str, Served] = {}
        for written in names or [models.DEFAULT]:
            folder = models.find(written)
            name = call_model(written)
            if name in self.models:
                raise InputError(f"two models are called {name!r}: {self.models[name].folder} and {folder}; rename one")
            self.models[name] = Served(name, folder, gguf.digest(folder) or folders.digest(folder))
        self._loaded: dict[tuple[str, str, str], LanguageModel] = {}
        self._problems: _Shelf[tuple[Local, wire.Facts]] = _Shelf(TOKENS)
        self._lifts: _Shelf[Lift] = _Shelf(NUMBERS)

    def _find_model(self, written: str) -> Served:
        """Return the model that a client names; raise UnknownNameError where there is none."""
        name = call_model(written or models.DEFAULT)
        if name not in self.models:
            raise UnknownNameError("model of this service", written, self.models)
        return self.models[name]

    def known(self, key: str, problem: str) -> tuple[Local, wire.Facts]:
        """Return a problem that a key has registered; raise UnknownError for others."""
        found = self._problems.get((key, problem))
        if found is None:
            raise UnknownError(f"no problem {problem}; register it with POST /v1/problems")
        return found

    def register(self, key: str, body: wire.ProblemBody) -> wire.Facts:
        """Put texts to a model, and say what comes of it; raise InputError where they do not fit."""
        served = self._find_model(body.model)
        digest = wire.name(served.digest, body.model_copy(update={"model": served.name}).model_dump_json())
        if known := self._problems.get((key, digest)):
            return known[1]
        check(body.mode, body.head)
        shown = [(Row("", tuple(one.texts), "an example"), one.word) for one in body.shown]
        rows = [Row("", tuple(texts), f"text {number}") for number, texts in enumerate(body.texts, 1)]
        if len({len(row.texts) for row in [*rows, *(row for row, _ in shown)]}) > 1:
            raise InputError("some texts are pairs and some are not; send one kind")
        if body.groups and (len(body.groups) < 2 or sum(body.groups) != len(body.words)):
            raise InputError(f"groups {body.groups} do not part {len(body.words)} words among two labels or more")
        labels = len(body.groups) or len(body.words)
        if shown and len(shown) % labels:
            raise InputError(f"{len(shown)} examples are shown; send as many for each of {labels} labels")
        problem = Problem(
            head=body.head,
            precision=body.precision,
            mode=body.mode,
            prompt_tokens=body.prompt_tokens,
            template=body.template,
            lead=body.lead,
            words=tuple(body.words),
            groups=tuple(body.groups),
            leading_space=body.leading_space,
            include_prompt=body.include_prompt,
            shown=shown,
            splits={"train": rows},
        )
        local = Local(self._load(served, problem), problem, repeated=body.repeated)
        texts = local.inputs.of("train")
        sizes = local.sizes
        facts = wire.Facts(
            problem=digest,
            model_digest=local.digest,
            shape=list(local.shape),
            scale=local.scale,
            pieces=dict(local.pieces),
            room=local.room,
            limit=local.limit,
            fields=local.fields,
            texts=sizes.texts,
            classes=sizes.classes,
            tokens=local.inputs.tokens(texts),
            text_bytes=sum(text.text_bytes for text in texts),
            cut=local.cut(rows),
            longest=sizes.longest,
            needed=local.needed,
            width=sizes.width,
        )
        self._problems.put((key, digest), (local, facts), facts.tokens)
        return facts

    def _load(self, served: Served, problem: Problem) -> LanguageModel:
        """Return the model with what a head needs; it is never let go."""
        key = served.name, problem.head, problem.precision
        if key not in self._loaded:
            self._loaded[key] = models.load(str(served.folder), problem.head, problem.precision)
        return self._loaded[key]

    def embed(self, key: str, body: bytes) -> wire.Embedded:
        """Draw an embedding; raise InputError where its recipe is none, or not offered."""
        digest = wire.name(body)
        recipe, start, steps = read_recipe(body)
        lift = self._lifts.get((key, digest))
        if lift is None:
            size = int(np.prod(recipe.shape))
            space = Space(size, None, None, _anchor(start), 1.0)
            projection = _offered(recipe.projection, recipe.factor)
            lift = Lift(projection.draw(space, recipe.dim, recipe.seed, recipe.number), tuple(recipe.shape), steps)
            self._lifts.put((key, digest), lift, size * recipe.dim)
        rows = lift.embedding.rows(np.array(wire.probed(lift.embedding.space.dim)))
        return wire.Embedded(embedding=digest, probe=rows.tolist())

    def lift(self, key: str, embedding: str) -> Lift:
        """Return an embedding that a key has registered; raise UnknownError for others."""
        found = self._lifts.get((key, embedding))
        if found is None:
            raise UnknownError(f"no embedding {embedding}; register it with POST /v1/embeddings")
        return found


def call_model(written: str) -> str:
    """Return what a model is called: a folder or file by its last part, others as they are."""
    return PurePath(written).name if written.startswith((".", "/", "~")) or Path(written).exists() else written


def _anchor(start: Array) -> Anchor:
    return Anchor(len(start), "start", lambda index: start[index])


def read_recipe(body: bytes) -> tuple[wire.RecipeBody, Array, Prompts | None]:
    """Return a recipe, the start of its space, shape (D,), and the steps of blocks, as safetensors hold them."""
    try:
        tensors = load(body)
        recipe = wire.RecipeBody.model_validate_json(_metadata(body)["recipe"])
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise InputError(f"this is no recipe of an embedding: {error}") from error
    size = int(np.prod(recipe.shape, dtype=object))
    start, steps = tensors.get("start"), tensors.get("steps")
    if start is None or start.dtype != np.float64 or start.shape != (size,) or not np.isfinite(start).all():
        raise InputError(f"start must be {size} finite float64, as many as the shape {recipe.shape} has")
    if steps is not None and (steps.dtype != np.float32 or not _broadcasts(steps.shape, recipe.shape)):
        raise InputError(f"steps must be float32 and broadcast to the shape {recipe.shape}")
    if recipe.dim > size or size * recipe.dim > NUMBERS:
        raise InputError(f"dim {recipe.dim} is above the {size} coordinates, or too large; send whole prompts")
    return recipe, start, steps


def _metadata(body: bytes) -> dict[str, str]:
    """Return the metadata of safetensors, which their own reader keeps for files only."""
    length = int.from_bytes(body[:8], "little")
    found: dict[str, str] = json.loads(body[8 : 8 + length]).get("__metadata__", {})
    return found


def _broadcasts(shape: Sequence[int], to: Sequence[int]) -> bool:
    return len(shape) == len(to) and all(a in (1, b) for a, b in zip(shape, to, strict=True))


def _offered(written: str, factor: float) -> Projection:
    """Return a projection of this package that rests on no file, with this factor; raise InputError for others."""
    component = parse(written)
    source = None if component.is_file else PROJECTIONS.sources().get(component.name)
    if source is None or not source.module.startswith("dfo_bench.projections."):
        raise InputError(f"projection {component.name!r} is not offered; send whole prompts")
    if any(isinstance(value, str | list | dict | Component) for value in component.params.values()):
        raise InputError(f"projection {component} has parameters that are no numbers; send whole prompts")
    return resolve(PROJECTIONS, component.replace(alpha=1.0, scale=factor)).construct()


def states(local: Local, texts: Sequence[Encoded]) -> bytes:
    """Return the last hidden states of texts, one after another, and how many each has, as safetensors."""
    found = features.states(local.model, texts)
    lengths = np.array([len(one) for one in found], np.int64)
    return save({"states": np.concatenate(found).astype(np.float32), "lengths": lengths})
