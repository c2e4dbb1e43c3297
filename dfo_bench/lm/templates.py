"""From an example to token ids: template, prompt slots and the mask; and from label words to tokens."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from dfo_bench.errors import InputError
from dfo_bench.lm.data import Row
from dfo_bench.lm.models import LanguageModel

MASK = "[MASK]"
"""The mask in a template, whatever the model calls its own."""

PREFIX = 1000
"""The prompt's slots in `add` mode hold the ids 1000, 1001..., as the original's do."""

_FIELDS = {1: ("{text}",), 2: ("{text_a}", "{text_b}")}


@dataclass(frozen=True)
class Encoded:
    """One input: its ids, where the mask stands in them, the UTF-8 bytes of its text, and how many tokens were cut."""

    ids: tuple[int, ...]
    mask: int | None
    text_bytes: int
    cut: int


class Template:
    """Fills examples into a text and tokenizes it as a whole, with `slots` prompt ids after the first special token."""

    def __init__(self, model: LanguageModel, pattern: str, *, masked: bool, slots: int, lead: str, limit: int) -> None:
        """`lead` stands between the prompt and the text; an input has at most `limit` ids.

        `pattern` holds {text} or {text_a} and {text_b}, and [MASK] once if `masked`, else not at all.
        """
        if pattern.count(MASK) != masked:
            wanted = "[MASK] exactly once for head=masked" if masked else "no [MASK] for head=embedding"
            raise InputError(f"template {pattern!r} must hold {wanted}")
        if slots and PREFIX + slots > len(model.words):
            raise InputError(
                f"prompt_tokens={slots} takes the ids {PREFIX} to {PREFIX + slots - 1} and the model knows "
                f"{len(model.words)}; pass a smaller prompt_tokens or mode=cat"
            )
        if masked and not model.tokenizer.mask_token:
            raise InputError(f"the tokenizer of {model.name!r} has no mask token; pass head=embedding")
        self._pattern, self._lead, self._limit = pattern, lead, limit
        self._tokenizer, self._mask = model.tokenizer, model.tokenizer.mask_token
        self._prefix = tuple(range(PREFIX, PREFIX + slots))
        self._parts = re.split(r"(\{text(?:_[ab])?\}|\[MASK\])", pattern)
        bare = "".join(self._mask if part == MASK else part for part in self._parts if not part.startswith("{text"))
        self.room = limit - slots - len(self._tokenizer(lead + bare)["input_ids"])
        """How many tokens of text fit."""

    def encode(self, row: Row) -> Encoded:
        """Return the ids of a row; of a text that is too long the end is cut, of a pair the end of the longer."""
        text, spans, mask_at = self._fill(row)
        encoding = self._tokenizer(text, return_offsets_mapping=True, return_special_tokens_mask=True, verbose=False)
        tokens = list(zip(encoding["offset_mapping"], encoding["special_tokens_mask"], strict=True))
        within = [
            [i for i, ((a, b), special) in enumerate(tokens) if begin <= a and b <= end and not special]
            for begin, end in spans
        ]
        excess = max(0, len(tokens) + len(self._prefix) - self._limit)
        cut = {max(within, key=len).pop() for _ in range(excess)}
        kept = [i for i in range(len(tokens)) if i not in cut]
        ids = tuple(encoding["input_ids"][i] for i in kept)
        mask = None
        if mask_at is not None:
            # Found by where it was written: a text may hold the mask token, too.
            mask = next(k for k, i in enumerate(kept) if tokens[i][0][0] <= mask_at < tokens[i][0][1])
            mask += len(self._prefix)
        return Encoded((ids[0], *self._prefix, *ids[1:]), mask, len(text.removeprefix(self._lead).encode()), len(cut))

    def _fill(self, row: Row) -> tuple[str, list[tuple[int, int]], int | None]:
        """Return the text, the span of every field in it, and where the mask begins."""
        fields = dict(zip(_FIELDS[len(row.texts)], row.texts, strict=True))
        if missing := [name for name in fields if name not in self._parts]:
            raise InputError(f"template {self._pattern!r} has no {missing[0]}, which {row.where} has")
        text, spans, mask_at = self._lead, [], None
        for part in self._parts:
            begin = len(text)
            if part == MASK:
                text, mask_at = text + self._mask, begin
            elif part.startswith("{text"):
                if part not in fields:
                    raise InputError(f"template {self._pattern!r} has {part}, which {row.where} has not")
                text += fields[part]
                spans.append((begin, len(text)))
            else:
                text += part
        return text, spans, mask_at


def label_tokens(model: LanguageModel, words: Sequence[str]) -> list[int]:
    """Return the first token of every label word, encoded as it is written: a leading space is the user's choice."""
    tokens: dict[int, str] = {}
    for word in words:
        ids = model.tokenizer(word, add_special_tokens=False)["input_ids"]
        if not ids or ids[0] == model.tokenizer.unk_token_id:
            raise InputError(f"label word {word!r} has no token in model {model.name!r}; choose another word")
        if ids[0] in tokens:
            shared = model.tokenizer.convert_ids_to_tokens(ids[0])
            raise InputError(
                f"label words {tokens[ids[0]]!r} and {word!r} begin with the same token {shared!r}; choose others"
            )
        tokens[ids[0]] = word
    return list(tokens)
