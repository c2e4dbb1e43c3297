"""Inputs: the texts of a task's splits as they enter its model, each cut into tokens once."""

from collections.abc import Mapping, Sequence

from dfo_bench.core import Cost, Rows
from dfo_bench.lm.data import Row
from dfo_bench.lm.templates import Encoded, Template

SAMPLE = 500
"""The texts of a split from which its cost is guessed before it is read."""

PART = "part of train"
"""How the name of a split begins that is some of the train texts; it is made when it is first asked for."""


def split_of(splits: Mapping[str, Rows], rows: Rows) -> str:
    """Return the split whose very rows these are; "" for any others."""
    return next((name for name, own in splits.items() if own is rows), "")


class Inputs:
    """The splits of a task under its template; `before` is how many positions its prompt takes beside a text's own."""

    def __init__(self, splits: Mapping[str, Sequence[Row]], template: Template, before: int = 0) -> None:
        self.splits, self.template, self.before = splits, template, before
        self._encoded: dict[str, list[Encoded]] = {}

    def of(self, split: str) -> list[Encoded]:
        """Return the texts of a split, without the prompt's vectors."""
        if split not in self._encoded:
            self._encoded[split] = [self.template.encode(row) for row in self.splits[split]]
        return self._encoded[split]

    def encode(self, rows: Rows) -> list[Encoded]:
        """Return any rows as they enter the model."""
        split = split_of(self.splits, rows)
        return self.of(split) if split else [self.template.encode(row) for row in rows]

    @property
    def events(self) -> list[str]:
        """The number of texts that are cut, per split that was read."""
        counts = {
            split: (sum(text.cut > 0 for text in texts), len(texts))
            for split, texts in self._encoded.items()
            if not split.startswith(PART)
        }
        return [say_cut(cut, n, split, self.template.limit) for split, (cut, n) in counts.items() if cut]

    def cost(self, split: str, classes: int, dim: int = 0) -> Cost:
        """Return what a call costs under a prompt of `dim` numbers.

        Tokens are all positions, also those that an engine keeps or never computes.
        """
        return self._cost(self.of(split), len(self.splits[split]), classes, dim)

    def expected_cost(self, split: str, classes: int, dim: int = 0) -> Cost:
        """Return the same as SAMPLE texts have it, evenly spread: to encode all of a large split takes a minute."""
        rows = self.splits[split]
        some = [self.template.encode(row) for row in rows[:: -(-len(rows) // SAMPLE)]]
        return self._cost(some, len(rows), classes, dim)

    def _cost(self, some: Sequence[Encoded], count: int, classes: int, dim: int) -> Cost:
        """Return what a call on `count` texts costs, of which these are some, or all."""
        return count_cost(len(some), self.tokens(some), sum(text.text_bytes for text in some), count, classes, dim)

    def tokens(self, texts: Sequence[Encoded]) -> int:
        """Return the number of all positions, a prompt's included."""
        return sum(len(text.ids) + self.before for text in texts)


def count_cost(some: int, tokens: int, text_bytes: int, count: int, classes: int, dim: int) -> Cost:
    """Return what a call on `count` texts costs, of which `some` have so many tokens and bytes in all."""
    up = text_bytes * count // some
    return Cost(
        examples=count,
        tokens=tokens * count // some,
        bytes_up_z=up,
        bytes_up_prompt=up + 4 * dim,
        bytes_down=4 * classes * count,
    )


def say_cut(cut: int, count: int, split: str, limit: int) -> str:
    """Say how many texts of a split are cut."""
    return f"{cut} of {count} {split} texts are cut to {limit} tokens"
