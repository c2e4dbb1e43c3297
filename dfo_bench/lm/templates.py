"""Templates: an example, with prompt slots, demonstrations and the mask, as token ids; and label words as tokens."""

from collections.abc import Sequence
from dataclasses import dataclass

from dfo_bench.errors import InputError
from dfo_bench.lm.data import Row
from dfo_bench.lm.models import LanguageModel
from dfo_bench.lm.pattern import MASK, Pattern

PREFIX = 1000
"""The prompt's slots in `add` mode hold the ids 1000, 1001..., as the original's do."""

SENTINEL = "<extra_id_0>"
"""T5's mask."""

_OTHER = "a"
"""A word of one token in every model, before which others are cut into tokens as within a sentence."""


@dataclass(frozen=True)
class Encoded:
    """One input: its ids, where the mask stands in them, the UTF-8 bytes of its text, and how many tokens were cut.

    `decoder` are the ids that the decoder of a sequence-to-sequence model begins with; the answer comes next. `end` is,
    for head=causal, how many ids stand before the end of the text, after which only the rest of the template comes.
    """

    ids: tuple[int, ...]
    mask: int | None
    text_bytes: int
    cut: int
    decoder: tuple[int, ...] = ()
    end: int = 0


class Template(Pattern):
    """Fills examples into a pattern and tokenizes the whole, with `slots` prompt ids after the first special tokens."""

    def __init__(
        self,
        model: LanguageModel,
        pattern: str,
        *,
        head: str,
        slots: int,
        lead: str,
        limit: int,
        follows: bool = False,
    ) -> None:
        """`lead` stands between the prompt and the text; an input has at most `limit` ids.

        `follows`: it is cut into tokens as what comes after other words.
        """
        super().__init__(pattern, head=head, lead=lead)
        if slots and PREFIX + slots > len(model.words):
            raise InputError(
                f"prompt_tokens={slots} takes the ids {PREFIX} to {PREFIX + slots - 1} and the model knows "
                f"{len(model.words)}; pass a smaller prompt_tokens or mode=cat"
            )
        self.limit = limit
        self._model, self._tokenizer, self._first = model, model.tokenizer, model.first
        self._other = f"{_OTHER} " if follows else ""
        if MASK in pattern:
            self.mask = _mask(model, head)
        self._prefix = tuple(range(PREFIX, PREFIX + slots))
        self.bare = len(self._tokenizer(lead + self.around)["input_ids"])
        """The number of tokens around a text."""

    @property
    def room(self) -> int:
        """The number of tokens of text that fit."""
        shown = len(self._tokenizer(self.shown, add_special_tokens=False, verbose=False)["input_ids"])
        return self.limit - len(self._prefix) - self.bare - shown

    def encode(self, row: Row) -> Encoded:
        """Return a row as ids; a text that is too long loses its end, and in a pair the longer one does.

        Raise InputError where nothing of the text fits, or where a token has no embedding.
        """
        text, spans, mask_at = self._fill(row, self._other + self.before, None)
        encoding = self._tokenizer(text, return_offsets_mapping=True, return_special_tokens_mask=True, verbose=False)
        tokens = list(zip(encoding["offset_mapping"], encoding["special_tokens_mask"], strict=True))
        while self.head == "causal" and tokens[-1][1]:
            # The answer comes next, not the end of the text.
            tokens.pop()
        within = [
            [i for i, ((a, b), special) in enumerate(tokens) if begin <= a and b <= end and not special]
            for begin, end in spans
        ]
        others = {i for i, ((_, b), special) in enumerate(tokens) if not special and b < len(self._other)}
        excess = max(0, len(tokens) - len(others) + len(self._prefix) - self.limit)
        if excess > sum(map(len, within)):
            raise InputError(
                f"{row.where}: what stands around the text leaves it no room in {self.limit} tokens; pass a shorter "
                "template, fewer demonstrations or a smaller prompt_tokens"
            )
        cut = {max(within, key=len).pop() for _ in range(excess)}
        kept = [i for i in range(len(tokens)) if i not in cut | others]
        ids = tuple(encoding["input_ids"][i] for i in kept)
        mask = None
        if mask_at is not None:
            # Found by its place in the text, which may hold the mask token elsewhere, too.
            mask = next(k for k, i in enumerate(kept) if tokens[i][0][0] <= mask_at < tokens[i][0][1])
            mask += len(self._prefix)
        ids = (*ids[: self._first], *self._prefix, *ids[self._first :])
        decoder = self._decoder(ids, mask)
        end = 0
        if self.head == "causal":
            # A token in which the text ends and the rest begins is the rest's, which so is never empty.
            end = sum(tokens[i][0][1] <= spans[-1][1] for i in kept) + len(self._prefix)
        self._model.check((*ids, *decoder), row.where)
        size = len(text.removeprefix(self._other + self._lead).encode())
        return Encoded(ids, mask, size, len(cut), decoder, end)

    def _decoder(self, ids: tuple[int, ...], mask: int | None) -> tuple[int, ...]:
        """Return the ids that the decoder begins with, the answer next: the sentinel, or all ids up to the mask."""
        if self.head != "seq2seq" or mask is None:
            return ()
        written = (ids[mask],) if self.mask == SENTINEL else ids[:mask]
        return (self._model.model.config.decoder_start_token_id, *written)


def _mask(model: LanguageModel, head: str) -> str:
    """Return a model's own mask."""
    if model.tokenizer.mask_token:
        return str(model.tokenizer.mask_token)
    if head == "seq2seq" and SENTINEL in model.tokenizer.get_vocab():
        return SENTINEL
    other = "choose another model" if head == "seq2seq" else "pass head=embedding"
    raise InputError(f"the tokenizer of {model.name!r} has no mask token; {other}")


def label_tokens(model: LanguageModel, words: Sequence[str], *, leading_space: bool) -> list[int]:
    """Return the first token of every label word: as it stands, or as it is written within a sentence."""
    tokens: dict[int, str] = {}
    for word in words:
        (ids,) = cut_words(model, [word], leading_space=leading_space)
        if not word.strip() or not ids or model.tokenizer.unk_token_id in ids:
            raise InputError(f"label word {word!r} has no token in model {model.name!r}; choose another word")
        model.check(ids, f"label word {word!r}")
        if word in tokens.values():
            raise InputError(f"two labels have the label word {word!r}; choose others")
        if ids[0] in tokens:
            shared = model.tokenizer.convert_ids_to_tokens(ids[0])
            raise InputError(
                f"label words {tokens[ids[0]]!r} and {word!r} begin with the same token {shared!r}; choose others, or "
                f"leading_space={str(not leading_space).lower()}"
            )
        tokens[ids[0]] = word
    return list(tokens)


def first_pieces(model: LanguageModel, words: Sequence[str], *, leading_space: bool) -> dict[str, str]:
    """Return, for each label word of several tokens, the text of its first."""
    cut = dict(zip(words, cut_words(model, words, leading_space=leading_space), strict=True))
    return {word: model.tokenizer.decode(ids[:1]).strip() for word, ids in cut.items() if len(ids) > 1}


def cut_words(model: LanguageModel, words: Sequence[str], *, leading_space: bool = True) -> list[list[int]]:
    """Return the tokens of each word, as it is written within a sentence or as it stands."""
    texts, before = list(words), 0
    if leading_space:
        texts = [f"{_OTHER} {word.strip()}" for word in words]
        before = len(model.tokenizer(_OTHER, add_special_tokens=False)["input_ids"])
    return [ids[before:] for ids in model.tokenizer(texts, add_special_tokens=False)["input_ids"]] if texts else []
