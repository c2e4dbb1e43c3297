"""A genetic algorithm over sequences of words: edits as of GrIPS (arXiv 2203.07281, section 3), and crossover.

Where the space has no words, as under all projections but identity, the letters are levels of each coordinate.
"""

from typing import Annotated, ClassVar, Unpack

import numpy as np
from annotated_types import Ge

from dfo_bench.core import Array, Given, Index, Optimizer, Space

from ._letters import Alphabet

_DRAWS = 10
"""How often a child is drawn again that was there before: it would cost an evaluation and tell nothing."""


class Genetic(Optimizer):
    """A population of sequences; the best of parents and children stay.

    A child is made of two parents, each the better of two drawn ones, cut at one place and joined, or of one; then one
    edit: two letters swapped, one inserted (the last falls off), one deleted (a new one comes last), or one replaced.

    popsize: how many sequences there are, and how many children of them.
    crossover: the probability that a child has two parents.
    """

    of_letters: ClassVar[bool] = True

    def __init__(
        self,
        space: Space,
        *,
        popsize: Annotated[int, Ge(2)] = 20,
        crossover: Annotated[float, Ge(0)] = 0.5,
        **given: Unpack[Given],
    ) -> None:
        super().__init__(space, **given)
        self._popsize, self._crossover, self._alphabet = popsize, crossover, Alphabet(space)
        self._seen: set[bytes] = set()
        self._parents: Index = self._alphabet.start[None]
        self._losses = np.full(1, np.inf)

    def ask(self) -> Array:
        """Return the start and edits of it, later the children."""
        if not self._seen:
            self._seen.add(self._alphabet.start.tobytes())
            edits = [self._new(first=True) for _ in range(self._popsize - 1)]
            self._children = np.array([self._alphabet.start, *edits])
        else:
            self._children = np.array([self._new() for _ in range(self._popsize)])
        return self._alphabet.points(self._children)

    def tell(self, x: Array, losses: Array) -> None:
        """Keep the best."""
        every = np.concatenate([self._parents, self._children]) if np.isfinite(self._losses).any() else self._children
        known = np.concatenate([self._losses, losses]) if len(every) > len(losses) else losses
        best = np.argsort(known, kind="stable")[: self._popsize]
        self._parents, self._losses = every[best], known[best]

    def _new(self, *, first: bool = False) -> Index:
        """Return a sequence that was not there before, if there is one to be found."""
        for _ in range(_DRAWS):
            child = self._edited(self._alphabet.start.copy() if first else self._crossed())
            if child.tobytes() not in self._seen:
                break
        self._seen.add(child.tobytes())
        return child

    def _crossed(self) -> Index:
        one = self._parents[self._drawn()].copy()
        if self.rng.random() < self._crossover:
            cut = self.rng.integers(self._alphabet.length + 1)
            one[cut:] = self._parents[self._drawn()][cut:]
        return one

    def _drawn(self) -> int:
        """Return the better of two parents; they stand in the order of their losses."""
        return int(self.rng.integers(len(self._parents), size=2).min())

    def _edited(self, child: Index) -> Index:
        at, other = self.rng.integers(self._alphabet.length, size=2)
        letter = self.rng.integers(self._alphabet.size)
        match self.rng.integers(4):
            case 0:
                child[[at, other]] = child[[other, at]]
            case 1:
                child[at:] = [letter, *child[at:-1]]
            case 2:
                child[at:] = [*child[at + 1 :], letter]
            case _:
                child[at] = letter
        return child
