"""Keys and values: what a decoder keeps of rows that it has seen, so that it need not see them again.

Those of some rows are one tensor, shape (rows, layers, 2, heads, length, size), keys before values; all layers are of
one shape. A cache is what the stock model reads and writes.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.nn.functional import pad
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


def padded(all_ids: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Return ids as long as the longest of them: the shorter ones go on with their last."""
    longest = max(map(len, all_ids))
    return [ids + ids[-1:] * (longest - len(ids)) for ids in all_ids]


class TextStates:
    """The keys and values of the texts' own ids, for mode=after, where a prompt stands behind them."""

    def __init__(self, model: LanguageModel, tokens: int = 0) -> None:
        """Texts of `tokens` tokens together are computed at once; by default each is alone, without padding."""
        self._model, self._tokens = model, tokens
        self._wanted: list[tuple[int, ...]] = []
        self._kept: dict[tuple[int, ...], torch.Tensor] = {}

    def keep(self, texts: Sequence[Encoded]) -> None:
        """Keep those of these texts from when they are first needed, in their order, as far as KEPT_BYTES go."""
        self._wanted = [text.ids[: text.end] for text in texts]

    @torch.no_grad()
    def of(self, texts: Sequence[Encoded]) -> torch.Tensor:
        """Return those of texts, whatever their lengths: the shorter ones are padded before their begin."""
        self._fill()
        all_ids = [text.ids[: text.end] for text in texts]
        longest = max(map(len, all_ids))
        found = self._kept | dict(self._computed([ids for ids in all_ids if ids not in self._kept]))
        return torch.cat([pad(found[ids], (0, 0, longest - len(ids), 0)) for ids in all_ids])

    def _fill(self) -> None:
        wanted, self._wanted = self._wanted, []
        left = KEPT_BYTES
        # Always all of them: then their bits do not depend on what is asked for first.
        for ids, made in self._computed(list(filter(None, dict.fromkeys(wanted)))):
            left -= made.nbytes
            if left < 0:
                break
            self._kept[ids] = made

    def _computed(self, all_ids: Sequence[tuple[int, ...]]) -> Iterator[tuple[tuple[int, ...], torch.Tensor]]:
        """Yield each text's ids and keys and values."""
        size = max(1, self._tokens // max(map(len, all_ids), default=1))
        for begin in range(0, len(all_ids), size):
            some = all_ids[begin : begin + size]
            # No row sees the padding, which comes after it.
            made = states(self._model, torch.tensor(padded(some), device=self._model.device))
            for i, ids in enumerate(some):
                # A copy, so that none keeps the whole batch.
                yield ids, made[i : i + 1, ..., : len(ids), :].clone()
