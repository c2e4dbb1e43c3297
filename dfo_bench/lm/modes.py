"""Modes: the ways to put a continuous prompt into a stock model, by hooks that are gone when the call is over.

A text's rows are what `LanguageModel` would compute for it without a prompt: at the entry of the first block (`add`,
`cat`, `deep`) or as word embeddings (`inputs_embeds`, `words`, `after`, `prefix`).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from transformers import DynamicCache

from dfo_bench.errors import InputError
from dfo_bench.lm.caches import filled, states
from dfo_bench.lm.models import LanguageModel
from dfo_bench.lm.templates import PREFIX

ModeName = Literal["add", "cat", "inputs_embeds", "words", "after", "deep", "prefix"]
"""The modes: Black-Box Tuning's two, PEFT's prompt tuning, real words, such a prompt after the text, BBTv2's deltas
before every block, and P-Tuning v2's keys and values (arXiv 2110.07602), those of prefix tuning (arXiv 2101.00190)
without its second network."""

SLOTS = ("add", "deep")
"""The modes in which the prompt has slots among a text's own rows."""
_WORDS = ("inputs_embeds", "words", "after", "prefix")
"""The modes in which a text's rows are word embeddings."""
_CAUSAL = ("after", "prefix")
"""The modes that rest on rows seeing only what stands before them."""


def check(
    mode: ModeName, head: str, vocabulary: str | None = None, clusters: int | None = None, service: str = ""
) -> None:
    """Raise InputError where a mode is not offered for a head, or with a vocabulary, clusters or a service."""
    for name, value in {"vocabulary": vocabulary, "clusters": clusters}.items():
        if mode != "words" and value is not None:
            raise InputError(f"{name}={value} is for mode=words, and mode is {mode}; leave out one of them")
    if mode == "words" and service:
        raise InputError(
            f"mode=words looks for the nearest words among a model's word embeddings, and service={service} shows "
            "none; leave out service=..., and pass model=FOLDER"
        )
    if mode in _CAUSAL and head != "causal":
        raise InputError(
            f"mode={mode} is offered for decoders with head=causal, where no row sees what comes after it, and head is "
            f"{head}; pass head=causal and the name of a decoder, or mode=inputs_embeds"
        )


class _ReachedError(Exception):
    """Stops the model: the rows have been seen, and the rest need not run."""

    def __init__(self, hidden: torch.Tensor) -> None:
        self.hidden = hidden


class Mode:
    """One way to put prompts of `tokens` rows into a model."""

    def __init__(self, model: LanguageModel, name: ModeName, tokens: int) -> None:
        self._model, self.name, self.tokens = model, name, tokens
        self._entry: Any = None if name in _WORDS else model.entry
        self._at_block = self._entry is not None and self._entry in model.blocks
        self._blocks = model.blocks if name == "deep" else []
        if name == "deep" and not self._blocks:
            raise InputError(
                f"model {model.name!r} has one block for all its layers, and mode=deep needs one for each; "
                "pass mode=add, mode=cat or mode=inputs_embeds"
            )
        self.before = tokens if name in ("cat", *_WORDS) else 0
        """The number of positions beside a text's own: before them, with mode=after before those of the cue."""
        self.own_rows = 0 if name == "prefix" else self.before
        """How many of these positions are rows to compute; with mode=prefix they are keys and values already."""
        self.at = model.first if name == "words" else 0
        """How many of the text's own rows stand before the prompt's: words are part of the text."""
        self.slots = tokens - self.before
        """The number of the text's own rows that are the prompt's, from the first after its special tokens on."""
        size = model.model.config.hidden_size if name == "deep" or self._at_block else model.words.size(1)
        self.shape: tuple[int, ...] = (len(self._blocks), tokens, size) if name == "deep" else (tokens, size)
        """The shape of one candidate: its rows, with mode=deep for each block, with mode=prefix for each block's keys
        and values, all heads side by side."""
        if name == "prefix":
            _, layers, kinds, self.heads, _, size = self._states([0]).shape
            self.shape = (layers, kinds, tokens, self.heads * size)
        # Gemma multiplies them by the root of their size. Where prompts meet what a norm has made of them, it is gone.
        multiplier = getattr(model.base.get_input_embeddings(), "embed_scale", 1.0) if self._entry is None else 1.0
        self.scale = float(model.words.double().std()) * float(multiplier)
        """The size of a typical step: the standard deviation of the word embeddings, times the model's multiplier."""

    def rows(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the rows of texts without a prompt; ids (t, length) become (t, length, size)."""
        if self._entry is None:
            rows: torch.Tensor = self._model.base.get_input_embeddings()(ids)
            return rows

        def reached(hidden: torch.Tensor) -> torch.Tensor:
            raise _ReachedError(hidden)

        with self._at_entry(reached):
            try:
                self._model.base(input_ids=ids)
            except _ReachedError as at:
                return at.hidden
        raise AssertionError(f"{self._model.name} never reached its first block")

    def put(self, rows: torch.Tensor, prompts: torch.Tensor) -> torch.Tensor:
        """Return the rows of each text under each candidate, texts fastest, shape (n * t, before + length, size)."""
        many = rows.repeat(len(prompts), 1, 1)
        if self.name in ("deep", "prefix"):
            return many
        each = prompts.repeat_interleave(len(rows), 0)
        if self.before:
            return torch.cat([many[:, : self.at], each, many[:, self.at :]], dim=1)
        first = self._model.first
        many[:, first : first + self.tokens] += each
        return many

    def past(self, prompts: torch.Tensor) -> DynamicCache | None:
        """Return the keys and values that mode=prefix puts before the texts of each candidate; None in other modes.

        The stock model reads them from its cache, so a text's own positions begin after them, as in PEFT.
        """
        if self.name != "prefix" or not self.tokens:
            return None
        return filled(prompts.unflatten(-1, (self.heads, -1)).transpose(3, 4))  # type: ignore[no-untyped-call]

    @torch.inference_mode()
    def _states(self, ids: Sequence[int]) -> torch.Tensor:
        return states(self._model, torch.tensor([ids], device=self._model.device))

    @property
    def places(self) -> range:
        """The places of the prompt's own rows among those of a text, none with mode=after and mode=prefix."""
        if self.name in _CAUSAL:
            return range(0)
        first = self._model.first if self.slots else self.at
        return range(first, first + self.tokens)

    @torch.inference_mode()
    def written(self, ids: Sequence[int], special: Sequence[int] = ()) -> npt.NDArray[np.float64]:
        """Return the candidate that puts some ids, as many as its tokens, where the prompt stands.

        `special` are the ids that every text begins with. With mode=deep only the first block's deltas are not 0; with
        mode=prefix they are the keys and values that the model itself would write.
        """
        if self.name == "prefix":
            made = self._states(ids)[0].transpose(2, 3).flatten(3)
        else:
            made = self._rows_of([*special, *ids])[len(special) :]
            if self.slots:
                made = made - self._rows_of([*special, *range(PREFIX, PREFIX + self.slots)])[len(special) :]
            if self.name == "deep":
                made = torch.cat([made[None], torch.zeros(len(self._blocks) - 1, *made.shape, device=made.device)])
        return made.double().cpu().numpy()

    def _rows_of(self, ids: Sequence[int]) -> torch.Tensor:
        given = torch.tensor([ids], device=self._model.device)
        if self.name != "deep":
            return self.rows(given)[0].float()
        # ELECTRA's rows are narrower where they enter than before the first block.
        seen: list[torch.Tensor] = []
        with self._blocks[0].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0])):
            self._model.base(input_ids=given)
        return seen[0][0].float()

    def _at_entry(self, act: Callable[[torch.Tensor], torch.Tensor]) -> Any:
        """Let `act` take what enters the first block, and return what enters in its place."""
        entry: Any = self._entry
        if self._at_block:
            return entry.register_forward_pre_hook(lambda module, inputs: (act(inputs[0]), *inputs[1:]))
        return entry.register_forward_hook(lambda module, inputs, hidden: act(hidden))

    @contextmanager
    def entering(self, rows: torch.Tensor, prompts: torch.Tensor | None) -> Iterator[torch.Tensor]:
        """Give inputs_embeds; while it lasts, a call of the model with them goes through its blocks with these rows.

        `prompts` are what mode=deep adds to them before every block; None where the rows hold no slots.
        """
        with ExitStack() as stack:
            if self._entry is not None:
                # The model's own output has positions and norms a second time.
                stack.enter_context(self._at_entry(lambda hidden: rows))
            if self.name == "deep" and prompts is not None:
                each = prompts.repeat_interleave(len(rows) // len(prompts), 0)
                for i, block in enumerate(self._blocks):
                    stack.enter_context(block.register_forward_pre_hook(self._adding(each[:, i])))
            # Blocks may be wider than word embeddings.
            yield rows[..., : self._model.words.size(1)] if self._at_block else rows

    def _adding(self, deltas: torch.Tensor) -> Callable[[Any, Any], Any]:
        first = self._model.first

        def add(module: Any, inputs: Any) -> Any:
            hidden = inputs[0].clone()
            hidden[:, first : first + self.tokens] += deltas
            return (hidden, *inputs[1:])

        return add

    @torch.inference_mode()
    def block_scales(self, texts: Iterable[Sequence[int]]) -> list[float]:
        """Return the size of a typical step at each block, measured on some texts' ids without a prompt.

        With mode=deep it is the standard deviation of the word embeddings at the first block, as everywhere, and that
        of the hidden states that enter at the others, clipped five times to mean +- 3 standard deviations (BBTv2's
        program). With mode=prefix it is that of the keys and that of the values of each block, clipped likewise.
        """
        if self.name == "prefix":
            joined = torch.cat([self._states(ids)[0].flatten(2) for ids in texts], dim=2).float()
            return [_clipped_std(values) for values in joined.flatten(0, 1)]
        seen: list[list[torch.Tensor]] = [[] for _ in self._blocks]

        def keep(kept: list[torch.Tensor]) -> Callable[[Any, Any], None]:
            return lambda module, inputs: kept.append(inputs[0].flatten())

        with ExitStack() as stack:
            for block, kept in zip(self._blocks, seen, strict=True):
                stack.enter_context(block.register_forward_pre_hook(keep(kept)))
            for ids in texts:
                self._model.base(input_ids=torch.tensor([ids], device=self._model.device))
        return [self.scale, *(_clipped_std(torch.cat(kept).float()) for kept in seen[1:])]


def _clipped_std(values: torch.Tensor) -> float:
    for _ in range(5):
        std, mean = torch.std_mean(values)
        values = values.clip(mean - 3 * std, mean + 3 * std)
    return float(values.std())
