"""Engines that answer as OpenAI does: texts go up; the likeliest next tokens, or embeddings, come down."""

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from typing import Self

import numpy as np

from dfo_bench.core import Array, Cost, Rows, Sizes
from dfo_bench.errors import InputError
from dfo_bench.lm import models
from dfo_bench.lm.inputs import count_cost
from dfo_bench.lm.local import Local
from dfo_bench.lm.models import MAX_TOKENS
from dfo_bench.lm.pattern import Pattern
from dfo_bench.lm.problem import Answerer, Candidates, Problem, Shown
from dfo_bench.lm.remote.engines.compatible import Completions, Embeddings, Service
from dfo_bench.lm.room import demonstrate
from dfo_bench.lm.vocabulary import Vocabulary

PROBED = 32
"""The train texts that tell, once, how many tokens a text has."""


class _Whole(Pattern):
    """A pattern whose tokens are guessed: `rate` is how many a byte has."""

    def __init__(self, pattern: str, head: str, limit: int, rate: float = 0.0) -> None:
        super().__init__(pattern, head=head)
        self.limit, self.rate = limit, rate

    def tokens(self, text: str) -> int:
        """Return about how many tokens a text has."""
        return int(np.ceil(len(text.encode()) * self.rate))

    @property
    def room(self) -> int:
        """About how many tokens of text fit."""
        return self.limit - self.tokens(self.before + self.around)


class OpenAI(Answerer):
    """A problem of texts alone, asked of a service that answers as OpenAI does.

    The model is known by its name alone, which stands in the key. Texts are sent whole, and counted in tokens as the
    service counts a few of train. Prompts are words, with mode=words: those of the default model, whose embeddings say
    which of them are near each other, since the service shows none.
    """

    shape: tuple[int, ...] = (0, 1)
    scale, pieces = 1.0, {}
    no_gradients = "a service that answers as OpenAI does gives no gradients; leave out engine=... and service=..."

    def __init__(self, url: str, model: str, problem: Problem) -> None:
        """Ask for a few train texts.

        Raise InputError where the service, the key, the model or the problem is not as it should be, and Unavailable
        where there is no answer.
        """
        if problem.prompt_tokens and problem.mode != "words":
            raise InputError(
                f"engine=openai takes text, and mode={problem.mode} makes prompts of numbers; pass mode=words, or "
                "prompt_tokens=0 for the template alone"
            )
        if problem.head not in ("causal", "embedding"):
            raise InputError(f"engine=openai has no head={problem.head}; pass head=causal or head=embedding")
        service = Service(url, model, alone=False)
        self.problem, self.traffic = problem, service.client.traffic
        self.name, self.digest = service.model, f"openai {service.model}"
        self.backend = f"openai, {service.model}"
        self.limit = service.limit or MAX_TOKENS
        pattern = _Whole(problem.template, problem.head, self.limit)
        train = problem.splits["train"]
        some = [pattern.write(row) for row in train[:: -(-len(train) // PROBED)]]
        self._reader: Completions | Embeddings
        if problem.head == "embedding":
            self._reader, self.offers = Embeddings(service, problem.words), ("losses", "outputs", "features")
        else:
            self._reader = Completions(service, problem.words, some[0], leading_space=problem.leading_space)
            self.offers = ("losses", "outputs")
        (once, used), (again, _) = self._reader.read(some), self._reader.read(some[::-1])
        if problem.head == "causal" and (once == once[:, :1]).all():
            raise InputError(
                f"none of the label words {', '.join(map(repr, problem.words))} is among the likeliest tokens after "
                f"{some[0]!r}; choose other words, a template that calls for them, or leading_space="
                f"{str(not problem.leading_space).lower()}"
            )
        self.noise = float(np.abs(self._reader.logits(once) - self._reader.logits(again)[::-1]).max())
        self._rate = used / sum(len(text.encode()) for text in some)
        self._put(problem.shown)
        if problem.prompt_tokens:
            self._guide = _guide(problem, self.fields)
            self.shape, self.scale = self._guide.shape, self._guide.scale
            self.digest += f", words of {self._guide.digest[:16]}"

    def _put(self, shown: Shown) -> None:
        """Make the pattern, with demonstrations."""
        self._pattern = _Whole(self.problem.template, self.problem.head, self.limit, self._rate)
        if shown:
            demonstrate(self._pattern, self.name, self.limit, shown, len(shown) // len(self.problem.words))
        self.fields, self.room = self._pattern.fields, self._pattern.room

    def _texts(self, rows: Rows) -> list[str]:
        return [self._pattern.write(row) for row in rows]

    @property
    def sizes(self) -> Sizes:
        """The sizes of the train set."""
        texts = self._texts(self.problem.splits["train"])
        longest = max(map(self._pattern.tokens, texts))
        return Sizes(len(texts), len(self.problem.words), self._reader.width, longest)

    @property
    def needed(self) -> int:
        """About the tokens of the longest train text."""
        return max(self._pattern.tokens(" ".join(row.texts)) for row in self.problem.splits["train"])

    @property
    def events(self) -> list[str]:
        """How often a label was not among the likeliest tokens."""
        return self._reader.events

    def block_scales(self) -> Sequence[float]:
        """Return one: there is no prompt."""
        return [self.scale]

    @property
    def vocabulary(self) -> Vocabulary:
        """The words of a prompt."""
        return self._guide.vocabulary

    def written(self, text: str | None) -> Array:
        """Return the embeddings of words."""
        return self._guide.written(text)

    def logits(self, candidates: Candidates, rows: Rows) -> Array:
        """Ask for all texts after each prompt; without one all candidates are the same, and are asked for once."""
        texts = self._texts(rows)
        if not self.problem.prompt_tokens:
            found, _ = self._reader.read(texts)
            return np.repeat(self._reader.logits(found)[None], len(candidates.points), axis=0)
        assert candidates.vocabulary
        prompts = candidates.vectors()
        logits = np.full((len(prompts), len(texts), len(self.problem.words)), np.nan)
        for own, prompt in zip(logits, prompts, strict=True):
            if np.isfinite(prompt).all():
                words = candidates.vocabulary.write(prompt)
                own[:] = self._reader.logits(self._reader.read([f"{words} {text}" for text in texts])[0])
        return logits

    def features(self, rows: Rows) -> Array:
        """Ask for the embeddings."""
        return self._reader.read(self._texts(rows))[0]

    def states(self, rows: Rows) -> list[Array]:
        """Refuse: there are none."""
        raise InputError("engine=openai gives one embedding a text, and this needs all its hidden states; leave it out")

    def showing(self, shown: Shown) -> Self:
        """Return the same with other demonstrations."""
        other = copy(self)
        other.problem = replace(self.problem, shown=shown)
        other._put(shown)
        return other

    def admit(self, split: str) -> None:
        """Write one text."""
        self._pattern.write(self.problem.splits[split][0])

    def cost(self, split: str, dim: int = 0) -> Cost:
        """Count bytes, and tokens by them."""
        texts = self._texts(self.problem.splits[split])
        size, count = sum(len(text.encode()) for text in texts), len(texts)
        return count_cost(count, round(size * self._rate), size, count, len(self.problem.words), dim)

    def expected_cost(self, split: str, dim: int = 0) -> Cost:
        """Count the same."""
        return self.cost(split, dim)

    def cut(self, rows: Rows) -> int:
        """Return none: texts are sent whole."""
        return 0


def _guide(problem: Problem, fields: int) -> Local:
    """Return the default model as what knows the words of prompts; it answers nothing."""
    template = "{text}" if fields == 1 else "{text_a} {text_b}"
    own = replace(problem, head="embedding", precision="float32", template=template, shown=())
    return Local(models.load("", "embedding"), own, repeated=False)
