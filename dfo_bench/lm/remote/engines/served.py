"""A model whose tokens and word embeddings are made here, and whose forward passes an engine makes."""

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
import torch

from dfo_bench.core import Array, Rows
from dfo_bench.errors import InputError, Unavailable
from dfo_bench.lm.heads import WordsHead
from dfo_bench.lm.local import Local
from dfo_bench.lm.models import LanguageModel, Precision
from dfo_bench.lm.problem import Answerer, Candidates, Problem, Prompts
from dfo_bench.lm.remote.client import Refused
from dfo_bench.lm.remote.engines.engine import Scorer
from dfo_bench.lm.templates import Encoded

EMBEDDED = ("inputs_embeds", "after", "cat", "add")
"""The modes that may come to word embeddings, which is what engines take."""

PROBED = 4
"""The texts on which an engine's answers are compared with the model's own."""

AGREES: dict[Precision, float] = {"float32": 0.01, "bfloat16": 0.25}
"""How far a label's log-probability may be from the model's own, by the precision that the task names."""

MOST, BYTES = 256, 2**24
"""The most prompts of a call, and the most bytes of their embeddings."""


class Served(Local):
    """A problem whose label log-probabilities an engine gives.

    They stand for logits, to which they are equal but for a number per text, on which no loss depends.
    """

    offers = ("losses", "outputs")
    no_gradients = (
        "its model is asked through an engine, which gives no gradients; leave out engine=... and service=..."
    )

    @staticmethod
    def check(problem: Problem, engine: str) -> None:
        """Raise InputError where no engine can be asked a problem."""
        if problem.head != "causal":
            raise InputError(
                f"engine={engine} answers with the next token, and head is {problem.head}; pass head=causal and the "
                "name of a decoder, or leave out engine=... and ask a dfo-bench serve"
            )
        if problem.prompt_tokens and problem.mode not in EMBEDDED:
            raise InputError(
                f"mode={problem.mode} reaches into the model, and engine={engine} takes word embeddings alone; pass "
                "mode=inputs_embeds or mode=after, or leave out engine=... and ask a dfo-bench serve"
            )

    def __init__(self, server: Scorer, model: LanguageModel, problem: Problem) -> None:
        """Compare a few answers with the model's own.

        Raise InputError where the engine cannot be asked the problem, or has another model, and Unavailable where it
        does not answer.
        """
        self.server, self.traffic = server, server.client.traffic
        super().__init__(model, problem, repeated=False)
        self.backend = f"{server.title} {server.version}, {server.model}"
        if problem.prompt_tokens and problem.mode in ("cat", "add") and model.entry is not None:
            raise InputError(
                f"model {model.name!r} adds positions before its first block, where mode={problem.mode} puts the "
                "prompt, and an engine takes word embeddings alone; pass mode=inputs_embeds or mode=after"
            )
        longest = max(len(text.ids) for text in self.inputs.of("train")) + self.mode.before + 1
        if server.limit and longest > server.limit:
            raise InputError(
                f"{server.client.url} takes {server.limit} tokens, and the longest train text has {longest} with the "
                "prompt and the answer; start the engine with more, or pass a shorter prompt"
            )
        self._agree()

    def _agree(self) -> None:
        """Measure how far the answers are from the model's own, and from themselves in another batch.

        Raise InputError where it is another model.
        """
        texts = sorted(self.inputs.of("train"), key=lambda text: len(text.ids))[:PROBED]
        prompts = np.random.default_rng(0).standard_normal((1, *self.shape)).astype(np.float32) * np.float32(self.scale)
        own = self.engine.logits(prompts, texts)[0]
        server = self.server
        try:
            theirs = [self._ask(prompts, texts)[0], np.concatenate([self._ask(prompts, [one])[0] for one in texts])]
        except Refused as error:
            reason = f"{error}; start it with {server.embeds}" if self.problem.prompt_tokens else str(error)
            raise InputError(reason) from error
        apart = max(float(np.abs(centred(some) - centred(own)).max()) for some in theirs)
        if not apart <= AGREES[self.problem.precision]:
            raise InputError(
                f"{server.client.url} has another model, {server.model!r}, or another precision: label "
                f"log-probabilities differ by {apart:.2g} from those of model {self.name!r}; start it with that model "
                "and --dtype float32, or pass precision=bfloat16"
            )
        self.noise, self._agreed = max(apart, float(np.abs(theirs[0] - theirs[1]).max())), True

    def logits(self, candidates: Candidates, rows: Rows) -> Array:
        """Ask for the label log-probabilities; points whose numbers are too large are not sent, and have nan."""
        if not self._agreed:
            try:
                self._agree()
            except InputError as error:
                raise Unavailable(str(error)) from error
        prompts = candidates.prompts()
        good = np.isfinite(prompts).reshape(len(prompts), -1).all(axis=1)
        out = np.full((len(prompts), len(rows), self.head.classes), np.nan)
        if good.any():
            try:
                out[good] = self._ask(prompts[good], self.inputs.encode(rows))
            except Unavailable:
                # What comes back may be another.
                self._agreed = False
                raise
        return out

    def _ask(self, prompts: Prompts, texts: Sequence[Encoded]) -> Array:
        assert isinstance(self.head, WordsHead)
        tokens = self.head.tokens
        found = []
        for calls in self._calls(prompts, texts):
            if self.problem.prompt_tokens:
                found.append(self.server.of_rows([self._rows(prompt, text) for prompt, text in calls], tokens))
            else:
                found.append(self.server.of_ids([text.ids for _, text in calls], tokens))
        return np.concatenate(found).reshape(len(prompts), len(texts), len(tokens))

    def _calls(self, prompts: Prompts, texts: Sequence[Encoded]) -> Iterator[list[tuple[Prompts, Encoded]]]:
        """Yield what goes up together: texts fastest."""
        longest = max(len(text.ids) for text in texts) + self.mode.before
        each = max(1, min(MOST, BYTES // (4 * longest * self.model.words.size(1))))
        pairs = list(product(prompts, texts))
        for begin in range(0, len(pairs), each):
            yield pairs[begin : begin + each]

    @torch.inference_mode()
    def _rows(self, prompt: Prompts, text: Encoded) -> Prompts:
        """Return the word embeddings of a text and of the prompt where it stands, shape (length, size)."""
        device, words = self.model.device, self.model.words.dtype
        rows = self.mode.rows(torch.tensor([text.ids], device=device))
        put = torch.from_numpy(prompt).to(device, words)[None]
        if self.mode.name == "after":
            whole = torch.cat([rows[:, : text.end], put, rows[:, text.end :]], dim=1)
        else:
            whole = self.mode.put(rows, put)
        found: Prompts = whole[0].float().cpu().numpy()
        return found

    # No model computes here.
    fastest, call_seconds = Answerer.fastest, Answerer.call_seconds


def centred(logits: Array) -> Array:
    """Return each text's logits less their mean."""
    return logits - logits.mean(axis=-1, keepdims=True)
