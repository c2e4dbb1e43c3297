"""Tuning: a copy of a model whose weights may be trained, read by the same head."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from dfo_bench.lm import features
from dfo_bench.lm.heads import Head
from dfo_bench.lm.models import LanguageModel
from dfo_bench.lm.templates import Encoded
from dfo_bench.texts import Rows


class Tuned:
    """A copy of a model in fp32, in evaluation mode, whose weights may be trained.

    With head=embedding the embeddings of the label texts stay as the model had them.
    """

    def __init__(self, model: LanguageModel, head: Head, encode: Callable[[Rows], Sequence[Encoded]]) -> None:
        """Copy the model; it takes its size in memory once more, in fp32."""
        self._loaded = replace(model, model=copy.deepcopy(model.model).float().requires_grad_(True))
        self.model, self._head, self._encode = self._loaded.model, head, encode

    def logits(self, rows: Rows) -> torch.Tensor:
        """Return the label logits, shape (n, classes), with their graph where torch keeps one; nothing is padded."""
        texts = self._encode(rows)
        # Anew at every call: what a head has cut out of the weights has changed with them.
        head = self._head.on(self._loaded)
        order, found = [], []
        for places, some in features.alike(texts):
            order += places
            found.append(head.logits(*features.inputs(self._loaded, some)))
        back = torch.empty(len(order), dtype=torch.long)
        back[torch.tensor(order)] = torch.arange(len(order))
        return torch.cat(found)[back.to(self._loaded.device)]
