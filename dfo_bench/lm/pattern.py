"""Patterns: an example filled into a template as plain text, with solved examples before it."""

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence

from dfo_bench.errors import InputError
from dfo_bench.lm.data import Row

MASK = "[MASK]"
"""The mask in a template, whatever a model calls its own."""

_FIELDS = {1: ("{text}",), 2: ("{text_a}", "{text_b}")}


class Pattern(ABC):
    """Fills examples into a pattern that holds {text}, or {text_a} and {text_b}.

    For head=masked and head=seq2seq it holds [MASK] once; for head=causal the answer is what comes next.
    """

    mask = ""
    """What stands for [MASK]."""

    def __init__(self, pattern: str, *, head: str, lead: str = "") -> None:
        """`lead` stands before every text."""
        masked = head in ("masked", "seq2seq")
        if pattern.count(MASK) != masked:
            wanted = f"[MASK] exactly once for head={head}" if masked else f"no [MASK] for head={head}"
            raise InputError(f"template {pattern!r} must hold {wanted}")
        self.pattern, self.head, self._lead, self.shown = pattern, head, lead, ""
        self._parts = re.split(r"(\{[^{}]*\}|\[MASK\])", pattern)
        known = [MASK, *(field for fields in _FIELDS.values() for field in fields)]
        if unknown := [part for part in self._parts[1::2] if part not in known]:
            raise InputError(
                f"template {pattern!r} holds {unknown[0]}; the fields are {{text}}, or {{text_a}} and {{text_b}}"
            )

    def demonstrate(self, rows: Sequence[tuple[Row, str]]) -> None:
        """Put solved examples, each with its label word, before every text, as in in-context learning."""
        gap = "\n" if self.head == "causal" else " "
        self.shown = "".join(self._fill(row, "", word)[0] + gap for row, word in rows)

    @property
    @abstractmethod
    def room(self) -> int:
        """The number of tokens of text that fit."""

    @property
    def before(self) -> str:
        """What stands before the filled pattern: what parts it from the prompt, and the demonstrations."""
        return self._lead + self.shown

    @property
    def around(self) -> str:
        """What stands around the texts of the pattern."""
        return "".join(self.mask if part == MASK else part for part in self._parts if not part.startswith("{text"))

    @property
    def fields(self) -> int:
        """How many texts make a row: 1, or 2 for pairs."""
        return 1 if _FIELDS[1][0] in self._parts else 2

    @property
    def cue(self) -> str:
        """What stands after the last field."""
        return self.pattern.rpartition("}")[2]

    def write(self, row: Row) -> str:
        """Return a row as text, with all that stands before it."""
        return self._fill(row, self.before, None)[0]

    def _fill(self, row: Row, text: str, word: str | None) -> tuple[str, list[tuple[int, int]], int | None]:
        """Return `text` and the filled pattern, the span of every field in it, and where the mask begins.

        A `word` stands for the mask, or follows where there is none.
        """
        fields = dict(zip(_FIELDS[len(row.texts)], row.texts, strict=True))
        if missing := [name for name in fields if name not in self._parts]:
            raise InputError(f"template {self.pattern!r} has no {missing[0]}, which {row.where} has")
        spans, mask_at = [], None
        for part in self._parts:
            begin = len(text)
            if part == MASK:
                text, mask_at = text + (self.mask if word is None else word), begin
            elif part.startswith("{text"):
                if part not in fields:
                    raise InputError(f"template {self.pattern!r} has {part}, which {row.where} has not")
                text += fields[part]
                spans.append((begin, len(text)))
            else:
                text += part
        return (text if word is None or mask_at is not None else f"{text} {word.strip()}"), spans, mask_at
