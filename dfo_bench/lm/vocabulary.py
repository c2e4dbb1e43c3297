"""Vocabularies: the words that prompts of mode=words are made of, one token each, and the nearest ones to vectors."""

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from dfo_bench.core import Index, Letters
from dfo_bench.errors import InputError, count
from dfo_bench.lm.clusters import prune
from dfo_bench.lm.models import LanguageModel
from dfo_bench.lm.modes import Mode
from dfo_bench.lm.templates import cut_words

COMMON = 10_000
"""How many words of a model's own vocabulary are taken: the first, which tokenizers order by how common they are.

To look for the nearest of more takes longer than it may; `clusters` prunes them further.
"""

_AT_ONCE = 2**12
"""The vectors whose nearest words are looked for together: their distances to 10,000 words take 160 MB."""

_NAMED = 5
"""How many words an error names."""


class Vocabulary:
    """Words of one token each, and how they enter a model: as vectors of shape (words, size)."""

    def __init__(self, model: LanguageModel, mode: Mode, ids: Mapping[str, int]) -> None:
        """`ids` are the tokens of the words, as they are written within a sentence; of words of one token the first."""
        self._model, self._mode = model, mode
        first = {i: word for word, i in reversed(list(ids.items()))}
        self.words, self._ids = tuple(first.values()), list(first)
        with torch.inference_mode():
            self._rows = mode.rows(torch.tensor([self._ids], device=model.device))[0].float()
            self._halves = self._rows.square().sum(dim=1, keepdim=True) / -2
        self._last: dict[bytes, Index] = {}

    def including(self, words: Sequence[str]) -> "Vocabulary":
        """Return the same with some words more."""
        ids = dict(zip(self.words, self._ids, strict=True))
        return Vocabulary(self._model, self._mode, {**ids, **tokens_of(self._model, words, "initial")})

    @property
    def letters(self) -> Letters:
        """The vectors, for whoever searches sequences of words."""
        return Letters(self._rows.cpu().numpy())

    @torch.inference_mode()
    def nearest(self, prompts: npt.NDArray[np.floating[Any]]) -> Index:
        """Return the nearest word to each vector by Euclidean distance, shape (n, tokens); -1 where it is not finite.

        `prompts` has shape (n, tokens, size). A prompt is named first and evaluated then: those of the last call are
        remembered.
        """
        prompts = np.ascontiguousarray(prompts, np.float32)
        names = [prompt.tobytes() for prompt in prompts]
        if not all(name in self._last for name in names):
            self._last = dict(zip(names, self._search(prompts), strict=True))
        return np.array([self._last[name] for name in names])

    def _search(self, prompts: npt.NDArray[np.float32]) -> Index:
        flat = torch.from_numpy(prompts).to(self._rows.device).flatten(0, 1)
        parts = torch.split(flat, _AT_ONCE)
        # Few vectors are the rule, and the words as the left factor are then read twice as fast.
        found = [torch.addmm(self._halves, self._rows, some.T).argmax(dim=0) for some in parts]
        finite = torch.isfinite(flat).all(dim=1)
        return torch.where(finite, torch.cat(found), -1).view(prompts.shape[:2]).cpu().numpy()

    def snap(self, prompts: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
        """Return the vectors of the nearest words, of the same shape; a vector that is not finite becomes nan."""
        words = self.nearest(prompts)
        rows = self._rows.cpu().numpy()[words]
        rows[words < 0] = np.nan
        return rows

    def write(self, prompt: npt.NDArray[np.floating[Any]]) -> str:
        """Return a prompt, shape (tokens, size), as text: its nearest words with spaces between.

        A space stands before the first, too, where the model would cut it into other tokens without: as it enters here
        it follows other text.
        """
        words = self.nearest(prompt[None])[0].tolist()
        text = " ".join(self.words[i] for i in words)
        ids = self._model.tokenizer(f" {text}", add_special_tokens=False)["input_ids"]
        other = self._model.tokenizer(text, add_special_tokens=False)["input_ids"]
        return f" {text}" if ids == [self._ids[i] for i in words] != other else text


def own_words(model: LanguageModel, *, leading_space: bool = True) -> dict[str, int]:
    """Return the first COMMON words of a model's vocabulary with their tokens.

    A word is two letters or more, and is one token, within a sentence or as it stands: no special or unused token, and
    no piece of a word.
    """
    known = min(len(model.words), len(model.tokenizer))
    special = set(model.tokenizer.all_special_ids)
    found: dict[str, int] = {}
    for begin in range(0, known, COMMON):
        some = [i for i in range(begin, min(begin + COMMON, known)) if i not in special]
        decoded = zip(some, (text.strip() for text in model.tokenizer.batch_decode([[i] for i in some])), strict=True)
        pairs = [(word, i) for i, word in decoded if len(word) > 1 and word.isalpha()]
        cut = zip(pairs, cut_words(model, [word for word, _ in pairs], leading_space=leading_space), strict=True)
        # A piece may have the letters of a word.
        found |= {word: i for (word, i), ids in cut if ids == [i]}
        if len(found) >= COMMON:
            break
    return dict(list(found.items())[:COMMON])


def tokens_of(model: LanguageModel, words: Sequence[str], where: str) -> dict[str, int]:
    """Return the token of each word; raise InputError, which counts and names them, for those that are not one."""
    cut = dict(zip(words, cut_words(model, words), strict=True))
    unknown = [word for word, ids in cut.items() if not ids or model.tokenizer.unk_token_id in ids]
    several = [word for word, ids in cut.items() if len(ids) > 1 and word not in unknown]
    if wrong := [
        f"{count(len(some), 'word')} of {what} ({', '.join(some[:_NAMED])}{', ...' if len(some) > _NAMED else ''})"
        for what, some in (("several tokens", several), ("no token", unknown))
        if some
    ]:
        raise InputError(
            f"{where} has {' and '.join(wrong)}, among {len(cut)}, in model {model.name!r}; mode=words takes words of "
            "one token each"
        )
    model.check([ids[0] for ids in cut.values()], where)
    return {word: ids[0] for word, ids in cut.items()}


def split_words(text: str) -> list[str]:
    """Return the words of a text, each mark of punctuation as one of its own."""
    return re.findall(r"\w+|[^\w\s]", text)


def read_words(path: str) -> list[str]:
    """Return the words of a file, one a line; raise InputError where it cannot be read or holds none."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"vocabulary={path} cannot be read: {error}; it is to hold one word a line, in UTF-8"
        ) from error
    if not (words := list(dict.fromkeys(filter(None, map(str.strip, lines))))):
        raise InputError(f"vocabulary={path} holds no word; write one word a line")
    return words


def digest(words: Sequence[str]) -> str:
    """Return the digest of a list of words."""
    return hashlib.sha256("\n".join(words).encode()).hexdigest()


def telling(words: Collection[str]) -> set[str]:
    """Return the words that tell labels apart, in small letters: those of some label words or texts, and not of all."""
    each: list[set[str]] = [set(split_words(one.casefold())) for one in words]
    return each[0].union(*each) - each[0].intersection(*each)


def find_words(
    model: LanguageModel, mode: Mode, given: Sequence[str], labels: Collection[str], clusters: int | None = None
) -> Vocabulary:
    """Return the vocabulary of the words that are given, or of the model's own without its label words.

    With `clusters` of each cluster only one. Raise InputError for a word that is not one token, for a label word, for a
    model that has no words, and for more clusters than words.
    """
    ids = _listed(model, given, labels)
    return Vocabulary(model, mode, prune(model, ids, clusters) if clusters else ids)


def _listed(model: LanguageModel, given: Sequence[str], labels: Collection[str]) -> dict[str, int]:
    """Return the words with their tokens."""
    taken = telling(labels)
    if given:
        if wrong := [word for word in given if word.casefold() in taken]:
            raise InputError(
                f"vocabulary has {count(len(wrong), 'label word')} ({', '.join(wrong[:_NAMED])}), which answer for the "
                "text; leave them out"
            )
        return tokens_of(model, given, "vocabulary")
    own = {word: i for word, i in own_words(model).items() if word.casefold() not in taken}
    if not own:
        raise InputError(
            f"the vocabulary of model {model.name!r} has no token that is a whole word; pass vocabulary=FILE, one word "
            "a line"
        )
    return own
