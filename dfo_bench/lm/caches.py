"""Keys and values: what a decoder keeps of rows that it has seen, so that it need not see them again.

Those of some rows are one tensor, shape (rows, layers, 2, heads, length, size), keys before values; all layers are of
one shape. A cache is what the stock model reads and writes.
"""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache

from dfo_bench.lm.models import LanguageModel
from dfo_bench.lm.templates import Encoded

KEPT_BYTES = 2**30
"""The most memory in which an engine keeps keys and values of texts (1 GiB); those of other texts it computes anew."""


def repeated(cache: Any, times: int) -> DynamicCache:
    """Return a copy of a cache that may be written to, with each of its rows `times` times."""
    copy = DynamicCache()
    for i, layer in enumerate(cache.layers):
        copy.update(layer.keys.repeat_interleave(times, 0), layer.values.repeat_interleave(times, 0), i)
    return copy


def filled(states: torch.Tensor, times: int = 1) -> DynamicCache:
    """Return a cache that holds keys and values, all rows of them `times` times over."""
    cache = DynamicCache()
    for i, layer in enumerate(states.unbind(1)):
        cache.update(layer[:, 0].repeat(times, 1, 1, 1), layer[:, 1].repeat(times, 1, 1, 1), i)
    return cache


def states(model: LanguageModel, ids: torch.Tensor) -> torch.Tensor:
    """Return the keys and values of texts without a prompt; ids have the shape (texts, length)."""
    # Without a configuration it keeps all keys, also those a window has passed: masks see to the windows.
    cache = model.base(input_ids=ids, past_key_values=DynamicCache(), use_cache=True).past_key_values
    return torch.stack([torch.stack([layer.keys, layer.values], 1) for layer in cache.layers], 1)


class TextStates:
    """The keys and values of the texts' own ids, for mode=after, where a prompt stands behind them."""

    def __init__(self, model: LanguageModel) -> None:
        self._model = model
        self._wanted: list[tuple[int, ...]] = []
        self._kept: dict[tuple[int, ...], torch.Tensor] = {}

    def keep(self, texts: Sequence[Encoded]) -> None:
        """Keep those of these texts from when they are first needed, in their order, as far as KEPT_BYTES go."""
        self._wanted = [text.ids[: text.end] for text in texts]

    @torch.no_grad()
    def of(self, texts: Sequence[Encoded]) -> torch.Tensor:
        """Return those of texts whose own ids are equally many."""
        self._fill()
        ids = [text.ids[: text.end] for text in texts]
        if all(one in self._kept for one in ids):
            return torch.cat([self._kept[one] for one in ids])
        return states(self._model, torch.tensor(ids, device=self._model.device))

    def _fill(self) -> None:
        wanted, self._wanted = self._wanted, []
        left = KEPT_BYTES
        for ids in filter(None, dict.fromkeys(wanted)):
            # Each alone: then their bits do not depend on what is asked for first.
            made = states(self._model, torch.tensor([ids], device=self._model.device))
            left -= made.nbytes
            if left < 0:
                break
            self._kept[ids] = made
