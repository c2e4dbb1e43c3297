"""OpenAI's two paths as many services offer them: the likeliest next tokens of a text, and its embedding."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from dfo_bench.core import Array
from dfo_bench.errors import InputError
from dfo_bench.lm.heads import TEMPERATURE, check_texts
from dfo_bench.lm.remote.client import Refused
from dfo_bench.lm.remote.engines.engine import Engine, ordered

MOST, FEWEST = 20, 5
"""How many of the likeliest tokens are asked for: so many, or where that is refused as many as OpenAI gives."""

TEXTS = 64
"""The texts of a call."""


class Service(Engine):
    """An address that answers as OpenAI does."""

    title = "service that answers as OpenAI does"
    start = "vllm serve MODEL, or the like; leave /v1 out of service=URL"

    def find_version(self) -> str:
        """Return the version of the paths: no other is told."""
        return "v1"


class Completions:
    """Label log-probabilities among the likeliest next tokens.

    Of a label that is not among them nothing is known but that it is no likelier: it gets the least of theirs, and
    `events` say how often.
    """

    width = 0

    def __init__(self, service: Service, words: Sequence[str], text: str, *, leading_space: bool) -> None:
        """Raise InputError where a label word is no single token there, or no log-probabilities can be had of `text`.

        One call per word, and one or two of the text.
        """
        self._service, self._most, self._missing, self._read = service, MOST, 0, 0
        self._words = [f" {word.strip()}" if leading_space else word for word in words]
        if len(set(self._words)) < len(words):
            raise InputError(f"two labels have the same label word: {', '.join(words)}; choose others")
        before = "a" if leading_space else "a\n"
        bare = self._count(before)
        for word, written in zip(words, self._words, strict=True):
            pieces = self._count(before + written) - bare
            if pieces != 1:
                raise InputError(
                    f"label word {word!r} is {pieces} tokens for {service.model!r}, which tells of single ones alone; "
                    f"choose another word, or leading_space={str(not leading_space).lower()}"
                )
        try:
            self.read([text])
        except Refused:
            self._most = FEWEST
            self.read([text])

    def read(self, texts: Sequence[str]) -> tuple[Array, int]:
        """Return label log-probabilities, shape (texts, classes), and the tokens that went up."""
        found, used = [], 0
        for begin in range(0, len(texts), TEXTS):
            some = texts[begin : begin + TEXTS]
            likeliest, tokens = self._service.post("/v1/completions", self._body(some), partial(_tops, count=len(some)))
            used += tokens
            found += [[one.get(word, min(one.values())) for word in self._words] for one in likeliest]
            self._missing += sum(word not in one for one in likeliest for word in self._words)
            self._read += len(some) * len(self._words)
        return np.array(found), used

    def logits(self, found: Array) -> Array:
        """Return them as they are."""
        return found

    @property
    def events(self) -> list[str]:
        """How many log-probabilities were missing."""
        if not self._missing:
            return []
        return [
            f"{self._missing} of {self._read} label log-probabilities were not among the {self._most} likeliest tokens "
            "that come down; each was taken as the least of these"
        ]

    def _body(self, texts: Sequence[str]) -> dict[str, Any]:
        return {"prompt": list(texts), "max_tokens": 1, "temperature": 0, "logprobs": self._most}

    def _count(self, text: str) -> int:
        """Return the tokens of a text as the service counts them."""
        body = {"prompt": text, "max_tokens": 1, "temperature": 0}
        return self._service.post("/v1/completions", body, lambda answer: int(answer["usage"]["prompt_tokens"]))


class Embeddings:
    """The cosine of texts' embeddings with those of the label texts, as head=embedding has it."""

    def __init__(self, service: Service, words: Sequence[str]) -> None:
        """Embed the label texts; raise InputError where two are the same, or one is empty."""
        check_texts(words)
        self._service = service
        self._labels, _ = self.read(words)
        self.width = self._labels.shape[1]

    def read(self, texts: Sequence[str]) -> tuple[Array, int]:
        """Return embeddings of length 1, shape (texts, width), and the tokens that went up."""
        parts, used = [], 0
        for begin in range(0, len(texts), TEXTS):
            some = texts[begin : begin + TEXTS]
            body = {"input": list(some), "encoding_format": "float"}
            found, tokens = self._service.post("/v1/embeddings", body, partial(_vectors, count=len(some)))
            parts.append(found)
            used += tokens
        whole = np.concatenate(parts)
        return whole / np.linalg.norm(whole, axis=1, keepdims=True), used

    @property
    def events(self) -> list[str]:
        """Nothing is ever missing."""
        return []

    def logits(self, found: Array) -> Array:
        """Return TEMPERATURE x cosine, shape (texts, classes)."""
        return TEMPERATURE * found @ self._labels.T


def _tops(answer: Any, count: int) -> tuple[list[dict[str, float]], int]:
    """Return the likeliest tokens after each text, and the tokens of all texts."""
    choices = ordered(answer["choices"], count)
    return [dict(one["logprobs"]["top_logprobs"][0]) for one in choices], int(answer["usage"]["prompt_tokens"])


def _vectors(answer: Any, count: int) -> tuple[Array, int]:
    data = ordered(answer["data"], count)
    return np.array([one["embedding"] for one in data], float), int(answer["usage"]["prompt_tokens"])
