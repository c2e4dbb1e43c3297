"""The heads: label logits read from a model, of label words at one position or of label texts by cosine."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack
from copy import copy
from typing import Any, Literal

import torch

from dfo_bench.errors import InputError
from dfo_bench.lm.models import LanguageModel

HeadName = Literal["embedding", "masked", "causal", "seq2seq"]

TEMPERATURE = 20.0
"""The factor from a cosine to a logit, as in the training of sentence encoders."""


class Head(ABC):
    """Reads label logits from a model into which prompts have been put."""

    classes: int
    groups: Sequence[int] = ()
    """How many words each label has, whose scores are averaged; none where each has one."""

    def averaged(self, scores: torch.Tensor) -> torch.Tensor:
        """Return the logits of labels, shape (rows, classes), from those of their words.

        The mean of logits differs from that of log-probabilities by what all labels have in common.
        """
        if not self.groups:
            return scores
        parts = torch.split(scores, list(self.groups), dim=1)
        return torch.stack([part.mean(dim=1) for part in parts], dim=1)

    @abstractmethod
    def logits(self, inputs: dict[str, Any], at: torch.Tensor) -> torch.Tensor:
        """Run the model on `inputs`; return logits, shape (rows, classes).

        `at` is the place of the answer in each row, a prompt's rows included.
        """

    @abstractmethod
    def on(self, model: LanguageModel) -> "Head":
        """Return the same head on a copy of its model, through whose weights gradients may flow."""


class EmbeddingHead(Head):
    """The cosine of a text's embedding with each label text's, which a service for embeddings allows."""

    def __init__(
        self,
        model: LanguageModel,
        texts: Sequence[str],
        before: int = 0,
        left_out: range = range(0),
        groups: Sequence[int] = (),
    ) -> None:
        """Embed the label texts without a prompt; `before` is how many rows of a prompt will stand before a text's.

        `left_out` are the rows, a prompt's own, that have no part in the mean of a model that pools by the mean, as
        with sentence-transformers' `include_prompt=False` (INSTRUCTOR, arXiv 2212.09741).
        """
        check_texts(texts)
        self._model, self._before, self.left_out = model, before, left_out
        self.groups, self.classes = groups, len(groups) or len(texts)
        ids = [model.tokenizer(text)["input_ids"] for text in texts]
        for text, own in zip(texts, ids, strict=True):
            model.check(own, f"label text {text!r}")
        # Not inference_mode, whose tensors no gradient passes.
        with torch.no_grad():
            rows = (torch.tensor([own], device=model.device) for own in ids)
            self._labels = torch.cat([self.embed({"input_ids": row}) for row in rows])

    def logits(self, inputs: dict[str, Any], at: torch.Tensor) -> torch.Tensor:
        """Return TEMPERATURE x cosine, shape (rows, classes); `at` is not needed."""
        return self.averaged(TEMPERATURE * self.embed(inputs, self._before, self.left_out) @ self._labels.T)

    @property
    def labels(self) -> torch.Tensor:
        """What the embedding of a text is multiplied by for its logits, shape (classes, width)."""
        return self.averaged(TEMPERATURE * self._labels.T).T

    def on(self, model: LanguageModel) -> "EmbeddingHead":
        """Return the head on a copy of its model; the label texts keep their embeddings."""
        head = copy(self)
        # What was computed in inference mode can be part of no graph.
        head._model, head._labels = model, self._labels.clone()
        return head

    def embed(self, inputs: dict[str, Any], before: int = 0, left_out: range = range(0)) -> torch.Tensor:
        """Return the embeddings of texts, of length 1, shape (rows, width)."""
        hidden = self._model.model(**inputs).last_hidden_state
        # A prompt that stands before [CLS] does not take its place.
        sentence = self._model.sentence
        mask = inputs.get("attention_mask")
        if sentence.pooling == "cls":
            pooled = hidden[:, before]
        elif sentence.pooling == "last":
            # Padding stands behind a text's rows.
            last = None if mask is None else (mask.sum(dim=1) - 1)[:, None, None].expand(-1, -1, hidden.size(2))
            pooled = hidden[:, -1] if last is None else hidden.gather(1, last)[:, 0]
        elif mask is None:
            own = hidden
            if left_out:
                own = torch.cat([hidden[:, : left_out.start], hidden[:, left_out.stop :]], dim=1)
            pooled = own.mean(dim=1)
        else:
            seen = mask.unsqueeze(2).to(hidden.dtype, copy=True)
            seen[:, left_out.start : left_out.stop] = 0
            pooled = (hidden * seen).sum(dim=1) / seen.sum(dim=1)
        for layer in sentence.layers:
            pooled = layer(pooled)
        return torch.nn.functional.normalize(pooled, dim=1)


def check_texts(texts: Sequence[str]) -> None:
    """Raise InputError where two label texts are the same, or one is empty."""
    if len(set(texts)) < len(texts) or not all(text.strip() for text in texts):
        raise InputError(f"label texts must be different, and none empty: {', '.join(map(repr, texts))}")


class WordsHead(Head):
    """The logits of the label words' tokens, at the mask or where the answer begins."""

    def __init__(self, model: LanguageModel, tokens: Sequence[int], groups: Sequence[int] = ()) -> None:
        """`tokens` holds the id of each label word, such as `label_tokens` finds."""
        self._model, self.groups, self.classes = model, groups, len(groups) or len(tokens)
        self._tokens = torch.tensor(tokens, device=model.device)
        self._narrow: dict[str, torch.Tensor] = {}
        output = model.model.get_output_embeddings()
        if getattr(output, "out_features", None) == len(model.words):
            # The vocabulary's weights are replaced by the label words' for the call: nothing else is scored.
            name = next(name for name, module in model.model.named_modules() if module is output)
            for key, value in output.named_parameters(prefix=name):
                self._narrow[key] = value[self._tokens].contiguous()
            if hasattr(model.model, "final_logits_bias"):
                self._narrow["final_logits_bias"] = model.model.final_logits_bias[:, self._tokens]
        self._tail = model.blocks[-1].get_submodule(model.family.tail) if model.family.tail else None

    @property
    def tokens(self) -> list[int]:
        """The id that is read for each label word."""
        found: list[int] = self._tokens.tolist()
        return found

    def on(self, model: LanguageModel) -> "WordsHead":
        """Return the head on a copy of its model."""
        return WordsHead(model, self.tokens, self.groups)

    def logits(self, inputs: dict[str, Any], at: torch.Tensor) -> torch.Tensor:
        """Return the labels' logits, shape (rows, classes); only the place that is read is computed to the end."""

        def cut(hidden: torch.Tensor) -> torch.Tensor:
            if hidden.size(1) == 1:
                return hidden
            return hidden.gather(1, at[:, None, None].expand(-1, 1, hidden.size(2)))

        def early(module: Any, inputs: Any) -> Any:
            return tuple(cut(value) if isinstance(value, torch.Tensor) else value for value in inputs)

        def read(module: Any, inputs: Any, output: Any) -> Any:
            output.last_hidden_state = cut(output.last_hidden_state)
            return output

        with ExitStack() as stack:
            if self._tail is not None:
                # From here on rows do not mix, so the last block's other rows are never needed.
                stack.enter_context(self._tail.register_forward_pre_hook(early))
            stack.enter_context(self._model.reader.register_forward_hook(read))
            # Tracing knows no weights but the model's own.
            tracing = torch.jit.is_tracing()  # type: ignore[attr-defined,no-untyped-call]
            narrow = {} if tracing else self._narrow
            if narrow:
                output = torch.func.functional_call(self._model.model, narrow, (), inputs, tie_weights=False)
            else:
                output = self._model.model(**inputs)
        scores: torch.Tensor = output.logits[:, 0]
        return self.averaged(scores if narrow else scores[:, self._tokens])
