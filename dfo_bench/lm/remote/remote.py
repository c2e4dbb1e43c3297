"""A problem answered by a service: registered once, then asked with points as short as they come."""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import cached_property
from typing import Any, Self, TypeVar

import httpx2
import numpy as np
from pydantic import BaseModel, TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load, save

from dfo_bench.core import Array, Cost, InputError, Lifted, Rows, Sizes
from dfo_bench.embedding import Embedding
from dfo_bench.errors import Unavailable
from dfo_bench.lm.data import Row
from dfo_bench.lm.inputs import SAMPLE, count_cost, say_cut, split_of
from dfo_bench.lm.models import DEFAULT
from dfo_bench.lm.problem import Answerer, Candidates, Problem, Shown
from dfo_bench.lm.remote import wire
from dfo_bench.lm.remote.client import Client, Refused

_Body = TypeVar("_Body", bound=BaseModel)

TOKENS = 2**17
"""The most tokens of a call, unless one text has more: it is to be answered within a minute or so."""


BYTES = 2**25
"""The most bytes of the prompts of a call, which a service takes whole or as z: half of what it takes at a time."""


class Remote(Answerer):
    """The client's side of a problem; nothing of the model is in this process."""

    offers = ("losses", "outputs", "features")
    no_gradients = "its model is behind a service, which gives no gradients; leave out service=..."

    def __init__(self, url: str, model: str, problem: Problem) -> None:
        """Register the train texts.

        Raise InputError where the model or the problem is not as it should be, and Unavailable where no service of ours
        answers, or it does not know the key.
        """
        self.client, self._model, self.problem = Client(url), model, problem
        self.traffic = self.client.traffic
        self.client.greet()
        self._facts: dict[str, wire.Facts] = {}
        self._others: tuple[Rows, wire.Facts] | None = None
        self._embeddings: dict[tuple[Any, ...], str | None] = {}
        train = self._register("train")
        self.digest, self.name = train.model_digest, model or DEFAULT
        self.shape, self.scale, self.pieces = tuple(train.shape), train.scale, train.pieces
        self._fit(train)

    def _fit(self, train: wire.Facts) -> None:
        self.room, self.limit, self.fields = train.room, train.limit, train.fields

    @cached_property
    def sizes(self) -> Sizes:
        """The sizes of the train set."""
        train = self._register("train")
        return Sizes(train.texts, train.classes, train.width, train.longest)

    @property
    def needed(self) -> int:
        """The tokens of the longest train text."""
        return self._register("train").needed

    @property
    def events(self) -> list[str]:
        """The number of texts that are cut, per split that was read."""
        known = [(split, self._facts[split]) for split in ("train", "dev", "test") if split in self._facts]
        return [say_cut(facts.cut, facts.texts, split, self.limit) for split, facts in known if facts.cut]

    def block_scales(self) -> Sequence[float]:
        """Ask for the step in each block."""
        return TypeAdapter(list[float]).validate_json(self._of_train("scales", form=list[float]).content)

    def written(self, text: str | None) -> Array:
        """Ask for the prompt of a text."""
        params = {} if text is None else {"text": text}
        answer = self._of_train("written", params, shape=self.shape, dtype="float64")
        return wire.unpack(answer.content, self.shape, "float64")

    def logits(self, candidates: Candidates, rows: Rows) -> Array:
        """Ask for the label logits; points whose numbers are too large are not sent, and have nan."""
        sent = self._sent(candidates)
        good = np.isfinite(sent.numbers).reshape(len(sent.numbers), -1).all(axis=1)
        out = np.full((len(sent.numbers), len(rows), self.problem.classes), np.nan)
        numbers, classes = sent.numbers[good], self.problem.classes
        most = max(1, min(wire.MOST_POINTS, BYTES // max(1, 4 * int(np.prod(self.shape)))))
        answers = []
        for begin in range(0, len(numbers), most):
            some = numbers[begin : begin + most]
            params = {"points": len(some), **({"embedding": sent.embedding} if sent.embedding else {})}
            answers.append(self._asked("logits", rows, wire.pack(some), params, classes, sent))
        if answers:
            out[good] = np.concatenate(answers)
        return out

    def features(self, rows: Rows) -> Array:
        """Ask for what the head reads."""
        return self._asked("features", rows, b"", {}, self._register("train").width)

    def states(self, rows: Rows) -> list[Array]:
        """Ask for all last hidden states."""
        found: list[Array] = []
        for begin, end in self._parts(rows, 1):
            answer = self._call("states", rows, b"", {"begin": begin, "end": end})
            try:
                arrays = load(answer.content)
                found += np.split(arrays["states"].astype(float), np.cumsum(arrays["lengths"])[:-1])
            except (SafetensorError, KeyError, ValueError) as error:
                raise Unavailable(f"service {self.client.url} sent no states: {error}") from error
        return found

    def showing(self, shown: Shown) -> Self:
        """Register the train texts under other demonstrations."""
        other = copy(self)
        vars(other).pop("sizes", None)
        other.problem = replace(self.problem, shown=shown)
        other._facts, other._others = {}, None
        other._fit(other._register("train"))
        return other

    def admit(self, split: str) -> None:
        """Have the service cut one text into tokens."""
        if split not in self._facts:
            self._post(self.problem.splits[split][:1])

    def cost(self, split: str, dim: int = 0) -> Cost:
        """Count what a call costs, as it is counted for a model in this process."""
        facts = self._register(split)
        return count_cost(facts.texts, facts.tokens, facts.text_bytes, facts.texts, facts.classes, dim)

    def expected_cost(self, split: str, dim: int = 0) -> Cost:
        """Count that of a sample."""
        rows = self.problem.splits[split]
        sample = f"{split} sample"
        if sample not in self._facts:
            self._facts[sample] = self._post(rows[:: -(-len(rows) // SAMPLE)])
        facts = self._facts[sample]
        return count_cost(facts.texts, facts.tokens, facts.text_bytes, len(rows), facts.classes, dim)

    def cut(self, rows: Rows) -> int:
        """Ask for the number of texts that are cut."""
        split = split_of(self.problem.splits, rows)
        return (self._register(split) if split else self._post(rows)).cut if rows else 0

    def _sent(self, candidates: Candidates) -> "_Sent":
        """Return what is sent of candidates: z, if the service can lift it and it is shorter than the prompts."""
        points = candidates.points
        if isinstance(points, Lifted) and points.base is None and points.embedding.drawn:
            embedding = points.embedding
            if embedding.dim < embedding.space.dim and (known := self._embed(embedding, candidates)):
                with np.errstate(over="ignore"):
                    return _Sent(points.z.astype(np.float32), known, candidates)
        return _Sent(candidates.prompts(), None, candidates)

    def _embed(self, embedding: Embedding, candidates: Candidates, *, anew: bool = False) -> str | None:
        """Return the service's name of an embedding; None where it cannot draw the same."""
        assert embedding.drawn
        key = (embedding.drawn, embedding.dim, embedding.number, embedding.factor)
        if key not in self._embeddings or anew:
            recipe = wire.RecipeBody(
                projection=embedding.drawn.projection,
                dim=embedding.dim,
                seed=embedding.drawn.seed,
                number=embedding.number,
                factor=embedding.factor,
                shape=list(self.shape),
            )
            tensors = {"start": embedding.space.start.dense()[0]}
            if candidates.steps is not None:
                tensors["steps"] = candidates.steps
            body = save(tensors, metadata={"recipe": recipe.model_dump_json()})
            try:
                found = self._told(wire.Embedded, "/v1/embeddings", body)
            except Refused as error:
                if error.status != 422:
                    raise
                # A projection that is not of this package, or one of another version.
                self._embeddings[key] = None
            else:
                own = embedding.rows(np.array(wire.probed(embedding.space.dim)))
                same = np.allclose(np.array(found.probe), own, rtol=1e-9, atol=1e-12)
                self._embeddings[key] = found.embedding if same else None
        return self._embeddings[key]

    def _register(self, split: str) -> wire.Facts:
        """Return what the service says of a split's texts."""
        if split not in self._facts:
            self._facts[split] = self._post(self.problem.splits[split], repeated="train" in split)
        return self._facts[split]

    def _register_others(self, rows: Rows) -> wire.Facts:
        """Return what the service says of rows of no split; of those of the last call without asking again."""
        if self._others is None or self._others[0] is not rows:
            self._others = rows, self._post(rows)
        return self._others[1]

    def _post(self, rows: Sequence[Row], *, repeated: bool = False) -> wire.Facts:
        """Register texts; raise Refused where they do not fit."""
        problem = self.problem
        try:
            body = self._body(rows, problem, repeated)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise InputError(f"service {self.client.url} takes no such problem: {where}: {first['msg']}") from error
        return self._told(wire.Facts, "/v1/problems", body.model_dump_json().encode(), "application/json")

    def _body(self, rows: Sequence[Row], problem: Problem, repeated: bool) -> wire.ProblemBody:
        return wire.ProblemBody(
            model=self._model,
            head=problem.head,
            precision=problem.precision,
            mode=problem.mode,
            prompt_tokens=problem.prompt_tokens,
            template=problem.template,
            lead=problem.lead,
            words=list(problem.words),
            groups=list(problem.groups),
            leading_space=problem.leading_space,
            include_prompt=problem.include_prompt,
            shown=[wire.ShownBody(texts=list(row.texts), word=word) for row, word in problem.shown],
            texts=[list(row.texts) for row in rows],
            repeated=repeated,
        )

    def _of_train(
        self,
        what: str,
        params: Mapping[str, Any] = {},
        *,
        form: Any = None,
        shape: Sequence[int] | None = None,
        dtype: str = "float32",
    ) -> httpx2.Response:
        """Ask for what is not paid for, of the train problem; what the service has forgotten is registered anew."""
        for again in (True, False):
            try:
                path = f"/v1/problems/{self._register('train').problem}/{what}"
                return self._ask("GET", path, params=params, form=form, shape=shape, dtype=dtype)
            except Refused as error:
                if error.status != 404:
                    raise
                if not again:
                    raise Unavailable(str(error)) from error
                del self._facts["train"]
        raise AssertionError("the second time it answers or raises")

    def _told(self, form: type[_Body], path: str, content: bytes, kind: str = wire.RAW) -> _Body:
        """Register something; return what the service says of it."""
        answer = self._ask("POST", path, content, kind=kind, form=form)
        return form.model_validate_json(answer.content)

    def _ask(
        self,
        method: str,
        path: str,
        content: bytes = b"",
        *,
        params: Mapping[str, Any] = {},
        kind: str = wire.RAW,
        form: Any = None,
        shape: Sequence[int] | None = None,
        dtype: str = "float32",
    ) -> httpx2.Response:
        """Ask under a name that is the same whenever the same is asked, and take no answer that does not bear it.

        Nor one that is no JSON of a `form`, or no numbers of a `shape`, where one is given.

        Raise Refused where the service does not know what is named (404), or will never take it; whatever else there is
        instead of an answer is not the points' fault: raise Unavailable.
        """
        name = wire.name(method, path, repr(sorted(params.items())), content)

        def check(answer: httpx2.Response) -> str:
            if answer.headers.get(wire.IDEMPOTENCY) != name or wire.DIGEST not in answer.headers:
                return "no answer to what was asked"
            if form is not None and not _fits(form, answer):
                return "JSON that says something else than was asked"
            if shape is None:
                return ""
            asked, told = wire.write_shape(shape), answer.headers.get(wire.SHAPE)
            if told != asked or len(answer.content) != wire.count_bytes(shape, dtype):
                return (
                    f"{len(answer.content)} bytes, said to be of shape {told}, where {dtype} of {asked} was asked for"
                )
            return ""

        headers = {wire.IDEMPOTENCY: name, wire.DIGEST: wire.digest(content), "content-type": kind}
        try:
            return self.client.ask(method, path, content=content, headers=headers, params=params, check=check)
        except Refused as error:
            # Others on the way have these statuses, too.
            if error.status in (404, 413, 422) and error.headers.get(wire.IDEMPOTENCY) == name:
                raise
            raise Unavailable(str(error)) from error

    def _parts(self, rows: Rows, points: int) -> list[tuple[int, int]]:
        """Return the first and last text of each call: about TOKENS tokens each."""
        train = self._register("train")
        each = max(1, TOKENS * train.texts // (max(1, points) * max(1, train.tokens)))
        return [(begin, min(begin + each, len(rows))) for begin in range(0, len(rows), each)]

    def _asked(
        self, what: str, rows: Rows, body: bytes, params: dict[str, Any], width: int, sent: "_Sent | None" = None
    ) -> Array:
        """Return numbers of rows, shape (points, rows, width) of points, else (rows, width)."""
        points = params.get("points")
        found = []
        for begin, end in self._parts(rows, points or 1):
            shape = [*([points] if points else []), end - begin, width]
            answer = self._call(what, rows, body, {**params, "begin": begin, "end": end}, shape, sent)
            found.append(wire.unpack(answer.content, shape).astype(float))
        return np.concatenate(found, axis=1 if points else 0)

    def _call(
        self,
        what: str,
        rows: Rows,
        body: bytes,
        params: dict[str, Any],
        shape: Sequence[int] | None = None,
        sent: "_Sent | None" = None,
    ) -> httpx2.Response:
        """Ask for what is paid for; what the service has forgotten is registered anew."""
        split = split_of(self.problem.splits, rows)
        facts = self._register(split) if split else self._register_others(rows)
        for again in (True, False):
            try:
                return self._ask("POST", f"/v1/problems/{facts.problem}/{what}", body, params=params, shape=shape)
            except Refused as error:
                if error.status != 404:
                    raise
                if not again:
                    raise Unavailable(str(error)) from error
            try:
                facts = self._post(rows, repeated="train" in split)
                if split:
                    self._facts[split] = facts
                else:
                    self._others = rows, facts
                if sent and sent.embedding:
                    lifted = sent.candidates.points
                    assert isinstance(lifted, Lifted)
                    embedding = self._embed(lifted.embedding, sent.candidates, anew=True)
                    if embedding is None:
                        raise Unavailable(f"service {self.client.url} lifts points no more as it did")
                    params = {**params, "embedding": embedding}
            except InputError as error:
                raise Unavailable(str(error)) from error
            if facts.model_digest != self.digest:
                raise Unavailable(
                    f"service {self.client.url} has another model now: its digest is {facts.model_digest[:16]}, not "
                    f"{self.digest[:16]}; start it with the model that this run began with"
                )
        raise AssertionError("the second time it answers or raises")


class _Sent:
    """Points as they are sent: `numbers` are z of an embedding that the service knows, or prompts."""

    def __init__(self, numbers: "np.ndarray[Any, np.dtype[np.float32]]", embedding: str | None, of: Candidates) -> None:
        self.numbers, self.embedding, self.candidates = numbers, embedding, of


def _fits(form: Any, answer: httpx2.Response) -> bool:
    try:
        TypeAdapter(form).validate_json(answer.content)
    except ValidationError:
        return False
    return True
