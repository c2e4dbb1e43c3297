"""What is read off the model: label words at the mask, or label texts by cosine similarity."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch

from dfo_bench.lm.models import LanguageModel
from dfo_bench.lm.templates import label_tokens

TEMPERATURE = 20.0
"""What multiplies a cosine to make it a logit, as in the training of sentence encoders."""


class Head(ABC):
    """Reads label logits off a model that a prompt has been put into."""

    classes: int

    @abstractmethod
    def logits(self, ids: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        """Run the model on equally long `ids`, shape (texts, length); return logits, shape (rows, classes).

        Hooks may turn the texts into more rows, and into longer ones; `masks` is where each row's mask then stands.
        """


class EmbeddingHead(Head):
    """Cosine similarity of the mean-pooled text with every label text, as a service for embeddings allows."""

    def __init__(self, model: LanguageModel, texts: Sequence[str]) -> None:
        """Embed the label texts, without a prompt."""
        self._model, self.classes = model, len(texts)
        ids = (torch.tensor([model.tokenizer(text)["input_ids"]]) for text in texts)
        with torch.inference_mode():
            self._labels = torch.cat([self._embed(row) for row in ids])

    def logits(self, ids: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        """Return 20 x cosine; masks are not looked at."""
        return TEMPERATURE * self._embed(ids) @ self._labels.T

    def _embed(self, ids: torch.Tensor) -> torch.Tensor:
        hidden = self._model.model(input_ids=ids).last_hidden_state
        return torch.nn.functional.normalize(hidden.mean(dim=1), dim=1)


class MaskedHead(Head):
    """The logits of the label words' first tokens at the mask."""

    def __init__(self, model: LanguageModel, words: Sequence[str]) -> None:
        self._model, self.classes, self._words = model, len(words), torch.tensor(label_tokens(model, words))

    def logits(self, ids: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        """Return label-word logits; the vocabulary is scored at the mask only."""

        def at_mask(module: Any, inputs: Any, output: Any) -> Any:
            hidden = output.last_hidden_state
            output.last_hidden_state = hidden[torch.arange(len(hidden)), masks][:, None]
            return output

        with self._model.base.register_forward_hook(at_mask):
            scores: torch.Tensor = self._model.model(input_ids=ids).logits
        return scores[:, 0, self._words]
