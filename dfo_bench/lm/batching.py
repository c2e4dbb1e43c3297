"""Batches: how candidates x texts are parted for the model, and how much it computes for that."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

ENOUGH = 5
"""The rows from which a batch on a CPU is as fast a row as any; fewer take about as long as these."""


@dataclass(frozen=True)
class Batching:
    """How an engine parts candidates x texts: a few candidates at a time, under each of them some texts of one kind."""

    room: int
    """The most rows of a batch."""
    enough: int
    """The rows below which a batch takes no less time."""
    alike: tuple[int, ...]
    """How many texts there are of each kind."""

    @classmethod
    def of(cls, room: int, enough: int, kinds: Sequence[tuple[int, ...]]) -> "Batching":
        """Count the kinds of texts."""
        return cls(room, enough, tuple(Counter(kinds).values()))

    def work(self, count: int) -> int:
        """Return the rows that are computed for so many candidates, a small batch counted as one of enough rows."""
        found = 0
        for begin, end in chunks(count, self.room):
            size = self.room // (end - begin)
            for texts in self.alike:
                full, rest = divmod(texts, size)
                found += full * max(self.enough, (end - begin) * size)
                found += max(self.enough, (end - begin) * rest) if rest else 0
        return found


def chunks(count: int, room: int) -> list[tuple[int, int]]:
    """Return the first and last candidate of each part: as few parts as fit into the room, of about one size."""
    parts = -(-count // room)
    return [(count * i // parts, count * (i + 1) // parts) for i in range(parts)]


def batches(kinds: Sequence[tuple[int, ...]], size: int) -> Iterator[list[int]]:
    """Yield the indices of each batch: at most `size` texts of one kind; the largest come first, at the peak of memory.

    A text's kind is its length, with whatever else the texts of a batch must agree in.
    """
    order = sorted(range(len(kinds)), key=lambda i: kinds[i], reverse=True)
    for _, group in groupby(order, key=lambda i: kinds[i]):
        same = list(group)
        for begin in range(0, len(same), size):
            yield same[begin : begin + size]
