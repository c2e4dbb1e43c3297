"""Features and states: the hidden states of texts without a prompt, as the stock model computes them."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from dfo_bench.lm.batching import batches
from dfo_bench.lm.engine import ROWS, read_at
from dfo_bench.lm.heads import EmbeddingHead, Head
from dfo_bench.lm.models import LanguageModel
from dfo_bench.lm.templates import Encoded
from dfo_bench.points import Array


def alike(texts: Sequence[Encoded]) -> Iterator[tuple[list[int], list[Encoded]]]:
    """Yield batches without padding, each as the places of its texts, and the texts."""
    for batch in batches([(len(text.ids), len(text.decoder)) for text in texts], ROWS):
        yield batch, [texts[i] for i in batch]


def inputs(model: LanguageModel, texts: Sequence[Encoded]) -> tuple[dict[str, Any], torch.Tensor]:
    """Return what a model takes of texts of one length, and the place of the answer in each, shape (n,)."""
    given = {"input_ids": torch.tensor([text.ids for text in texts], device=model.device)}
    if texts[0].decoder:
        given["decoder_input_ids"] = torch.tensor([text.decoder for text in texts], device=model.device)
    return given, torch.tensor([read_at(text, len(text.ids)) for text in texts], device=model.device)


@torch.inference_mode()
def features(model: LanguageModel, head: Head, texts: Sequence[Encoded]) -> Array:
    """Return what the head reads of each text, shape (n, width).

    It is the last hidden state at the mask or where the answer begins, or the embedding of the text, of length 1.
    """
    found: list[torch.Tensor] = [torch.empty(0)] * len(texts)
    for places, some in alike(texts):
        given, at = inputs(model, some)
        if isinstance(head, EmbeddingHead):
            read = head.embed(given)
        else:
            hidden = _last(model, given, decoded=True)
            read = hidden[torch.arange(len(some), device=model.device), at]
        for place, one in zip(places, read, strict=True):
            found[place] = one
    return _numbers(torch.stack(found))


@torch.inference_mode()
def states(model: LanguageModel, texts: Sequence[Encoded]) -> list[Array]:
    """Return the last hidden states of each text, shape (length, width); of the encoder where there are two parts."""
    found: list[Array] = [np.empty(0)] * len(texts)
    for places, some in alike(texts):
        hidden = _numbers(_last(model, inputs(model, some)[0], decoded=False))
        for place, one in zip(places, hidden, strict=True):
            found[place] = one
    return found


def width(model: LanguageModel, head: Head, text: Encoded) -> int:
    """Return how many numbers a feature has."""
    return int(features(model, head, [text]).shape[1])


def _last(model: LanguageModel, given: dict[str, Any], *, decoded: bool) -> torch.Tensor:
    hidden: torch.Tensor = model.base(input_ids=given["input_ids"]).last_hidden_state
    if decoded and "decoder_input_ids" in given:
        decoded_too = model.reader(input_ids=given["decoder_input_ids"], encoder_hidden_states=hidden)
        hidden = decoded_too.last_hidden_state
    return hidden


def _numbers(tensor: torch.Tensor) -> Array:
    return tensor.double().cpu().numpy()
