"""The engine: label logits of many candidates on many texts, by a stock model with hooks; on a CPU without padding."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache

from dfo_bench.lm.batching import ENOUGH, Batching, batches, chunks
from dfo_bench.lm.caches import TextStates, filled, padded, repeated
from dfo_bench.lm.graph import graph
from dfo_bench.lm.heads import Head, WordsHead
from dfo_bench.lm.models import LanguageModel
from dfo_bench.lm.modes import Mode
from dfo_bench.lm.packed import Packed
from dfo_bench.lm.templates import Encoded
from dfo_bench.points import Array

Prompts = np.ndarray[Any, np.dtype[np.float32]]

Slopes = Callable[[Array, Sequence[int]], Array]
"""slopes(logits, indices): the derivative of a loss in the logits, both (n, len(indices), classes)."""

ROWS = 20
"""The rows, texts x candidates, per batch on a CPU: 5 to 30 are equally fast, more are slower."""

GPU_TOKENS = 2**14
"""The tokens per batch on a GPU, halved whenever its memory does not suffice.

So many keep it at work for as long as Python takes to start the next batch. Texts of all lengths share a batch, padded:
to start one per length would take several times as long as the padding.
"""


class Engine:
    """Evaluates candidates: puts their prompts into a model, and reads a head."""

    def __init__(self, model: LanguageModel, head: Head, mode: Mode, backend: str = "torch") -> None:
        """`backend` is one of `dfo_bench.lm.backends`; "auto" is torch."""
        self._model, self._head, self.mode = model, head, mode
        self.tokens = GPU_TOKENS if model.device.type == "cuda" else 0
        """The tokens per batch, of texts of all lengths; 0 stands for ROWS rows of texts of one length."""
        self._graph = graph(model, head, mode) if backend == "openvino" else None
        self._products: AbstractContextManager[None] = Packed(model) if backend == "onednn" else nullcontext()
        # A decoder sees only what comes before, so what all texts begin with is computed once per candidate.
        self._causal = "causal" in model.family.heads and isinstance(head, WordsHead)
        self._states = TextStates(model, self.tokens) if mode.name == "after" else None

    def keep(self, texts: Sequence[Encoded]) -> None:
        """Expect these texts again and again: with mode=after, compute what stands before the prompt only once."""
        if self._states is not None:
            self._states.keep(texts)

    def logits(self, prompts: Prompts, texts: Sequence[Encoded]) -> Array:
        """Return the label logits of each text under each candidate, shape (n, len(texts), classes).

        `prompts` has shape (n, prompt tokens, size), with mode=deep or prefix one for each block.
        """
        (logits,) = self._in_chunks(prompts, texts, lambda some, size: (self._logits(some, texts, size),))
        return logits

    def gradients(
        self, prompts: Prompts, texts: Sequence[Encoded], slopes: Slopes, *, whole: bool
    ) -> tuple[Array, Array]:
        """Return the logits as `logits` does, and the gradient of a loss of them in the prompts, of the prompts' shape.

        `slopes(logits, indices)` returns the loss's derivative in the logits of the texts `indices` under some
        candidates. `whole`: it needs those of all texts at once, which costs a forward pass more.
        """
        logits, gradients = self._in_chunks(
            prompts, texts, lambda some, size: self._gradients(some, texts, size, slopes, whole)
        )
        return logits, gradients

    def _in_chunks(
        self,
        prompts: Prompts,
        texts: Sequence[Encoded],
        compute: Callable[[Prompts, int], tuple[Array, ...]],
    ) -> tuple[Array, ...]:
        """Call `compute` with a few candidates at a time and the number of texts per batch; put together its arrays."""
        while True:
            room = self._room(texts)
            try:
                parts = chunks(len(prompts), room)
                found = [compute(prompts[begin:end], room // (end - begin)) for begin, end in parts]
                return tuple(np.concatenate(arrays) for arrays in zip(*found, strict=True))
            except torch.OutOfMemoryError:
                if not self.tokens or room == 1:
                    raise
                self.tokens //= 2

    def _room(self, texts: Sequence[Encoded]) -> int:
        """Return the most rows of a batch of texts."""
        if not self.tokens:
            return ROWS
        return max(1, self.tokens // (max(map(self._own, texts)) + self.mode.before))

    def rows_of(self, texts: Sequence[Encoded]) -> int:
        """Return how many rows each candidate computes of texts; what all of them begin with counts once."""
        shared = self._shared(texts)
        if shared is None:
            return sum(self._own(text) + self.mode.own_rows for text in texts)
        return self.mode.own_rows + shared + sum(len(text.ids) - shared for text in texts)

    def batching(self, texts: Sequence[Encoded]) -> Batching:
        """Return how candidates on these texts are parted into batches."""
        room = self._room(texts)
        # What starts a batch on a GPU takes as long as what a full one computes.
        return Batching.of(room, room if self.tokens else ENOUGH, self._kinds(texts))

    @torch.inference_mode()
    def _logits(self, candidates: Prompts, texts: Sequence[Encoded], size: int) -> Array:
        """Return the logits of a few candidates, `size` texts per batch."""
        prompts = torch.from_numpy(candidates).to(self._model.device, self._model.words.dtype)
        out = np.empty((len(prompts), len(texts), self._head.classes))
        with self._products:
            start = self._start(prompts, texts)
            for batch in self._batches(texts, size):
                logits = self._compute(prompts, [texts[i] for i in batch], *start)
                out[:, batch] = logits.double().cpu().numpy()
        return out

    def _gradients(
        self, candidates: Prompts, texts: Sequence[Encoded], size: int, slopes: Slopes, whole: bool
    ) -> tuple[Array, Array]:
        """Return the logits and gradients of a few candidates, `size` texts per batch; always with torch."""
        leaf = torch.from_numpy(candidates).to(self._model.device).requires_grad_()
        if whole:
            out = self._logits(candidates, texts, size)
            outer = slopes(out, range(len(texts)))
        else:
            out = np.empty((len(candidates), len(texts), self._head.classes))
            outer = np.empty_like(out)
        for batch in self._batches(texts, size):
            with torch.enable_grad():
                # Each batch adds to the gradient in the type of the prompts, not of the model.
                prompts = leaf.to(self._model.words.dtype)
                logits = self._compute(prompts, [texts[i] for i in batch], 0, self.mode.past(prompts))
            if not whole:
                out[:, batch] = logits.detach().double().cpu().numpy()
                outer[:, batch] = slopes(out[:, batch], batch)
            torch.autograd.backward(logits, torch.from_numpy(outer[:, batch]).to(logits))
        assert leaf.grad is not None
        return out, leaf.grad.double().cpu().numpy()

    def _compute(self, prompts: torch.Tensor, texts: Sequence[Encoded], shared: int, cache: Any) -> torch.Tensor:
        """Return the logits of a batch of texts of one kind, shape (n, texts, classes).

        `cache` holds the keys and values of the prompts and of the texts' first `shared` ids, where there is one.
        """
        n = len(prompts)
        rows, deltas, inputs = self._place(prompts, texts, shared, cache)
        if texts[0].decoder:
            inputs["decoder_input_ids"] = self._tensor([text.decoder for text in texts]).repeat(n, 1)
        # Padding stands after a text's own rows.
        longest = max(map(self._own, texts))
        ends = (rows.size(1) - (longest - self._own(text)) for text in texts)
        at = self._tensor([read_at(text, end, self.mode.before) for text, end in zip(texts, ends, strict=True)])
        return self._run(rows, at.repeat(n), deltas, inputs).view(n, len(texts), -1)

    def _place(
        self, prompts: torch.Tensor, texts: Sequence[Encoded], shared: int, cache: Any
    ) -> tuple[torch.Tensor, torch.Tensor | None, dict[str, Any]]:
        """Return the rows to compute, texts fastest, the prompts if they are still to be added, and what goes before.

        The last is what the model takes beside the rows: a cache of what stands before them.
        """
        n = len(prompts)
        if self._states is not None:
            return self.mode.put(self._rest(texts), prompts), None, self._before(texts, n)
        ids = [text.ids for text in texts]
        rows = self.mode.rows(self._tensor(padded(ids)))
        if cache is None:
            put = self.mode.put(rows, prompts)
            mask = self._mask(ids, put.size(1))
            if mask is None:
                return put, prompts, {}
            mask = mask.repeat(n, 1)
            # A DeBERTa's convolution reads padding, too, and expects nothing there.
            return put * mask.unsqueeze(2).to(put.dtype), prompts, {"attention_mask": mask}
        return rows[:, shared:].repeat(n, 1, 1), None, _after(repeated(cache, len(texts)))

    def _mask(self, ids: Sequence[Sequence[int]], length: int) -> torch.Tensor | None:
        """Return the mask that leaves padding unseen, where there is some and rows see what comes after them."""
        lengths = [self.mode.before + len(own) for own in ids]
        if self._causal or min(lengths) == length:
            return None
        return (torch.arange(length, device=self._model.device) < self._tensor(lengths)[:, None]).long()

    def _rest(self, texts: Sequence[Encoded]) -> torch.Tensor:
        """Return the rows of what comes after the texts, with mode=after."""
        return self.mode.rows(self._tensor([text.ids[text.end :] for text in texts]))

    def _before(self, texts: Sequence[Encoded], times: int) -> dict[str, Any]:
        """Return the texts' own keys and values, each `times` times, for rows that come after them.

        Shorter texts are padded before their begin. Padding is never looked at, and costs nothing but attention: what
        is multiplied are the rows of the prompt and of the rest, as many for every text.
        """
        assert self._states is not None
        ends = self._tensor([text.end for text in texts]).repeat(times)[:, None]
        longest = int(ends.max())
        if not longest:
            return {}
        inputs = _after(filled(self._states.of(texts), times))
        if int(ends.min()) == longest:
            return inputs
        new = self.mode.tokens + len(texts[0].ids) - texts[0].end
        places = torch.arange(longest + new, device=self._model.device)
        mask = (places >= longest - ends).long()
        return {**inputs, "attention_mask": mask, "position_ids": ends + places[:new]}

    def _tensor(self, numbers: Sequence[Any]) -> torch.Tensor:
        return torch.tensor(numbers, device=self._model.device)

    def _batches(self, texts: Sequence[Encoded], size: int) -> Iterator[list[int]]:
        """Yield the indices of each batch of at most `size` texts."""
        # By length, so that those of a batch are padded as little as may be.
        order = sorted(range(len(texts)), key=lambda i: len(texts[i].ids))
        for batch in batches(self._kinds([texts[i] for i in order]), size):
            yield [order[i] for i in batch]

    def _kinds(self, texts: Sequence[Encoded]) -> list[tuple[int, ...]]:
        """Return what the texts of a batch must agree in: with mode=after only in what is computed of them."""
        if self._states is not None:
            return [(self._own(text), bool(text.end)) for text in texts]
        return [(0 if self.tokens else self._own(text), len(text.decoder)) for text in texts]

    def _own(self, text: Encoded) -> int:
        """Return how many ids of a text are computed with every prompt: with mode=after those behind the text."""
        return len(text.ids) - (text.end if self._states is not None else 0)

    def _run(
        self, rows: torch.Tensor, at: torch.Tensor, deltas: torch.Tensor | None, inputs: dict[str, Any]
    ) -> torch.Tensor:
        """Run the model once, itself or as the graph that a backend has made of it; return logits (rows, classes)."""
        # Of a graph there is no gradient.
        if self._graph is not None and not rows.requires_grad:
            return self._graph(rows, at)
        with self.mode.entering(rows, deltas) as embeds:
            return self._head.logits({"inputs_embeds": embeds, **inputs}, at)

    def _shared(self, texts: Sequence[Encoded]) -> int | None:
        """Return how many ids stand at the start of all texts; None where keys and values of them cannot be shared."""
        if not self._causal or self._states is not None:
            return None
        shortest = min(len(text.ids) for text in texts) - 1
        first = texts[0].ids
        shared = next((i for i in range(shortest) if any(text.ids[i] != first[i] for text in texts)), shortest)
        return None if shared < self._model.first + self.mode.slots else shared

    def _start(self, prompts: torch.Tensor, texts: Sequence[Encoded]) -> tuple[int, Any]:
        """Return how many ids are shared at the start of all texts, and the keys and values of the prompt and of these.

        Where nothing is gained by it: 0 and what stands before the texts anyway, which is None but with mode=prefix.
        """
        past, shared = self.mode.past(prompts), self._shared(texts)
        if shared is None or not shared + self.mode.own_rows:
            return 0, past
        rows = self.mode.rows(self._tensor([texts[0].ids[: shared or 1]]))[:, :shared]
        rows = self.mode.put(rows, prompts)
        with self.mode.entering(rows, prompts) as embeds:
            # Without a configuration it keeps all keys, also those a window has passed: masks see to the windows.
            output = self._model.base(
                inputs_embeds=embeds, past_key_values=DynamicCache() if past is None else past, use_cache=True
            )
        return shared, output.past_key_values


def _after(cache: DynamicCache) -> dict[str, Any]:
    """Return what a model takes to go on after a cache."""
    return {"past_key_values": cache, "use_cache": True}


def read_at(text: Encoded, length: int, before: int = 0) -> int:
    """Return the row where a text's answer is read: in the decoder if it has one, else in its own rows.

    Of these there are `length`, the prompt's included, of which `before` stand before the text's.
    """
    if text.decoder:
        return len(text.decoder) - 1
    return length - 1 if text.mask is None else text.mask + before
