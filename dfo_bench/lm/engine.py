"""Evaluate a population: every text once per batch of candidates, nothing padded, a stock model with a hook."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby, pairwise
from typing import Any

import numpy as np
import torch

from dfo_bench.lm.heads import Head
from dfo_bench.lm.models import LanguageModel
from dfo_bench.lm.templates import Encoded
from dfo_bench.points import Array, Points

ROWS = 20
"""How many rows, texts x candidates, go through the model at a time: 5 to 30 are equally fast, more are slower."""


def add(hidden: torch.Tensor, prompts: torch.Tensor) -> torch.Tensor:
    """Add prompts (n, L, h) at slots 1..L of embedded texts (t, length, h); return (n * t, length, h)."""
    rows = hidden.repeat(len(prompts), 1, 1)
    rows[:, 1 : 1 + prompts.shape[1]] += prompts.repeat_interleave(len(hidden), 0)
    return rows


def cat(hidden: torch.Tensor, prompts: torch.Tensor) -> torch.Tensor:
    """Put prompts (n, L, h) before embedded texts (t, length, h); return (n * t, L + length, h)."""
    return torch.cat([prompts.repeat_interleave(len(hidden), 0), hidden.repeat(len(prompts), 1, 1)], dim=1)


MODES: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {"add": add, "cat": cat}


class Engine:
    """A model with a place for prompts of `tokens` rows, and a head to read."""

    def __init__(self, model: LanguageModel, head: Head, mode: str, tokens: int) -> None:
        self._embeddings, self._head, self._put, self._tokens = model.embeddings, head, MODES[mode], tokens
        self._shift = tokens if mode == "cat" else 0

    def logits(self, points: Points, texts: Sequence[Encoded]) -> Array:
        """Return the label logits of every text under every candidate, shape (n, len(texts), classes)."""
        parts = -(-len(points) // ROWS)
        bounds = [len(points) * i // parts for i in range(parts + 1)]
        chunks = [self._chunk(points[a:b], texts) for a, b in pairwise(bounds)]
        return np.concatenate(chunks)

    @torch.inference_mode()
    def _chunk(self, points: Points, texts: Sequence[Encoded]) -> Array:
        n = len(points)
        with np.errstate(over="ignore"):
            # What fp32 cannot hold becomes inf, and nan in the end.
            prompts = torch.from_numpy(points.dense().astype(np.float32)).view(n, self._tokens, -1)

        def inject(module: Any, inputs: Any, hidden: torch.Tensor) -> torch.Tensor:
            return self._put(hidden, prompts)

        out = np.empty((n, len(texts), self._head.classes))
        for batch in batches([len(text.ids) for text in texts], max(1, ROWS // n)):
            ids = torch.tensor([texts[i].ids for i in batch])
            masks = torch.tensor([(texts[i].mask or 0) + self._shift for i in batch]).repeat(n)
            with self._embeddings.register_forward_hook(inject):
                logits = self._head.logits(ids, masks).double().numpy()
            out[:, batch] = logits.reshape(n, len(batch), -1)
        return out


def batches(lengths: Sequence[int], size: int) -> Iterator[list[int]]:
    """Yield indices of at most `size` equally long texts, the longest first: memory is at its peak at once."""
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    for _, group in groupby(order, key=lambda i: lengths[i]):
        same = list(group)
        for begin in range(0, len(same), size):
            yield same[begin : begin + size]
