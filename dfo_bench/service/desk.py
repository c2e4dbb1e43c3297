"""The desk: models, problems and embeddings, and the answers to what is asked of them."""

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from dfo_bench.core import Anchor, Array, Component, InputError, Projection, Space, UnknownNameError
from dfo_bench.lm import features, folders, gguf, models
from dfo_bench.lm.data import Row
from dfo_bench.lm.local import Local
from dfo_bench.lm.models import LanguageModel
from dfo_bench.lm.modes import ModeName, check
from dfo_bench.lm.problem import Problem, Prompts
from dfo_bench.lm.remote import wire
from dfo_bench.lm.templates import Encoded
from dfo_bench.plugins.component import parse
from dfo_bench.plugins.plugin import resolve
from dfo_bench.plugins.registry import PROJECTIONS
from dfo_bench.service.line import Part
from dfo_bench.service.portion import Lift, Portion

TOKENS, NUMBERS = 2**24, 2**28
"""The most tokens of problems that are kept, and the most numbers of matrices (2 GiB); the oldest in use go first."""

MOST_THINGS = 4096
"""The most problems, and the most matrices, that are kept, however small: each takes some kB beside its numbers."""


class UnknownError(Exception):
    """There is no problem, or embedding, of this name: it was never registered, or forgotten."""


class LostError(Exception):
    """The processes died that were to compute a call."""


@dataclass(frozen=True)
class Served:
    """A model that is offered."""

    name: str
    folder: Path
    digest: str


@dataclass(frozen=True)
class Known:
    """A problem as far as it is known without its model."""

    facts: wire.Facts
    mode: ModeName
    prompt_tokens: int
    tokens: tuple[int, ...]
    """The positions of each text, a prompt's included."""


@dataclass(frozen=True)
class Asked:
    """Some texts of a problem, the first and the one after the last, for the key that registered it."""

    key: str
    problem: str
    begin: int
    end: int


_Kept = TypeVar("_Kept")


class Shelf(Generic[_Kept]):
    """Things by name, up to a total size and MOST_THINGS."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._things: OrderedDict[tuple[str, str], tuple[_Kept, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[str, str]) -> _Kept | None:
        """Return what has this name, if it is still there."""
        with self._lock:
            if key not in self._things:
                return None
            self._things.move_to_end(key)
            return self._things[key][0]

    def put(self, key: tuple[str, str], thing: _Kept, size: int = 1) -> None:
        """Keep something; what was used longest ago goes where there is no room."""
        with self._lock:
            self._things[key] = thing, size
            while len(self._things) > 1 and (
                len(self._things) > MOST_THINGS or sum(size for _, size in self._things.values()) > self._room
            ):
                self._things.popitem(last=False)


def find_models(names: Sequence[str]) -> dict[str, Served]:
    """Return models by what they are called, the default one where none is named.

    Raise InputError where one is not there, or two have one name.
    """
    found: dict[str, Served] = {}
    for written in names or [models.DEFAULT]:
        folder = models.find(written)
        name = call_model(written)
        if name in found:
            raise InputError(f"two models are called {name!r}: {found[name].folder} and {folder}; rename one")
        found[name] = Served(name, folder, gguf.digest(folder) or folders.digest(folder))
    return found


def name_problem(offered: Mapping[str, Served], body: wire.ProblemBody) -> tuple[Served, str]:
    """Return the model that a problem names, and its digest; raise UnknownNameError where there is no such model."""
    name = call_model(body.model or models.DEFAULT)
    if name not in offered:
        raise UnknownNameError("model of this service", body.model, offered)
    served = offered[name]
    return served, wire.name(served.digest, body.model_copy(update={"model": served.name}).model_dump_json())


class Desk:
    """Everything that touches a model; only one thread may be at it, but for `known`, `lift` and `logits` itself.

    What one key has registered no other can ask for, or learn of.
    """

    lanes = 1
    """How many pieces of work may be at it at once."""

    def __init__(self, offered: Mapping[str, Served]) -> None:
        self.models = offered
        self._loaded: dict[tuple[str, str, str], LanguageModel] = {}
        self._problems: Shelf[tuple[Local, Known]] = Shelf(TOKENS)
        self._lifts: Shelf[Lift] = Shelf(NUMBERS)

    def count_replicas(self) -> int:
        """Return how many processes have the models: this one."""
        return 1

    def known(self, key: str, problem: str) -> Known:
        """Return a problem that a key has registered; raise UnknownError for others."""
        return self._found(key, problem)[1]

    def _found(self, key: str, problem: str) -> tuple[Local, Known]:
        found = self._problems.get((key, problem))
        if found is None:
            raise unknown_problem(problem)
        return found

    def register(self, key: str, body: wire.ProblemBody) -> Known:
        """Put texts to a model, and say what comes of it; raise InputError where they do not fit."""
        served, digest = name_problem(self.models, body)
        if found := self._problems.get((key, digest)):
            return found[1]
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
        tokens = tuple(local.inputs.tokens([text]) for text in texts)
        known = Known(facts, body.mode, body.prompt_tokens, tokens)
        self._problems.put((key, digest), (local, known), facts.tokens)
        return known

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
            raise unknown_embedding(embedding)
        return found

    def logits(
        self, asked: Asked, numbers: npt.NDArray[np.floating], embedding: str | None
    ) -> tuple[Callable[[], Array], Part | None]:
        """Return what computes label logits, shape (points, texts, classes), and what of it may be done with others'.

        The numbers are z of an embedding, shape (points, dim), or prompts, shape (points, *shape).
        """
        local, texts = self._texts(asked)
        lift = self.lift(asked.key, embedding) if embedding else None
        portion = Portion((asked.problem, asked.begin, asked.end), local, texts, numbers, lift)
        return portion.logits, portion if portion.leaves_room else None

    def features(self, asked: Asked) -> Array:
        """Return what the head reads of texts without a prompt, shape (texts, width)."""
        local, texts = self._texts(asked)
        return features.features(local.model, local.head, texts)

    def states(self, asked: Asked) -> bytes:
        """Return the last hidden states of texts, one after another, and how many each has, as safetensors."""
        local, texts = self._texts(asked)
        found = features.states(local.model, texts)
        lengths = np.array([len(one) for one in found], np.int64)
        return save({"states": np.concatenate(found).astype(np.float32), "lengths": lengths})

    def scales(self, key: str, problem: str) -> list[float]:
        """Return the size of a typical step in each block."""
        return list(self._found(key, problem)[0].block_scales())

    def written(self, key: str, problem: str, text: str | None) -> Array:
        """Return the prompt of a text, or of the first train ids."""
        return self._found(key, problem)[0].written(text)

    def _texts(self, asked: Asked) -> tuple[Local, Sequence[Encoded]]:
        local, _ = self._found(asked.key, asked.problem)
        return local, local.inputs.of("train")[asked.begin : asked.end]


def unknown_problem(problem: str) -> UnknownError:
    """Say that there is no such problem."""
    return UnknownError(f"no problem {problem}; register it with POST /v1/problems")


def unknown_embedding(embedding: str) -> UnknownError:
    """Say that there is no such embedding."""
    return UnknownError(f"no embedding {embedding}; register it with POST /v1/embeddings")


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
