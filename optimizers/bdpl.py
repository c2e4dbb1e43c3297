"""Black-box discrete prompt learning (Diao et al., 2023, arXiv 2201.08531), with the steps of its authors' program.

Where the space has no words, as under all projections but identity, the letters are levels of each coordinate.
"""

from typing import Annotated, ClassVar, Unpack

import numpy as np
from annotated_types import Ge
from pydantic import PositiveFloat

from dfo_bench.core import Array, Given, Index, Optimizer, Space

from ._adam import Adam
from ._letters import Alphabet

_MOST = 3.0
"""The largest norm of a gradient: the program cuts it there."""


class Bdpl(Optimizer):
    """A distribution over words for every place of the prompt, moved by a variance-reduced policy gradient.

    choices: how many words may stand at a place, drawn by chance for each, that of the start among them (the paper
        chooses them by how they go together with the texts, which a search does not see).
    samples: how many prompts are drawn for a step.
    rate: Adam's, of the probabilities.
    """

    of_letters: ClassVar[bool] = True

    def __init__(
        self,
        space: Space,
        *,
        choices: Annotated[int, Ge(2)] = 20,
        samples: Annotated[int, Ge(2)] = 20,
        rate: PositiveFloat = 0.01,
        **given: Unpack[Given],
    ) -> None:
        super().__init__(space, **given)
        self._alphabet = Alphabet(space)
        length, size = self._alphabet.length, self._alphabet.size
        self._letters: Index = np.empty((length, min(choices, size)), np.int64)
        for place, start in zip(self._letters, self._alphabet.start, strict=True):
            others = self.rng.choice(size - 1, len(place) - 1, replace=False)
            place[:] = [start, *(others + (others >= start))]
        self._samples, self._begun = samples, False
        self._p: Array = np.full(self._letters.shape, 1 / self._letters.shape[1])
        self._adam, self._rate = Adam(self._p.size), rate

    def ask(self) -> Array:
        """Return prompts, a word drawn for each place; the first of all is the start."""
        uniform = self.rng.random((self._samples, len(self._p), 1))
        drawn = (uniform > self._p.cumsum(axis=1)[:, :-1]).sum(axis=2)
        if not self._begun:
            drawn[0], self._begun = 0, True
        self._drawn = drawn
        return self._alphabet.points(np.take_along_axis(self._letters, drawn.T, axis=1).T)

    def tell(self, x: Array, losses: Array) -> None:
        """Move the probabilities against the gradient, and back onto the simplex."""
        good = np.isfinite(losses)
        if good.sum() < 2:
            return
        drawn, losses = self._drawn[good], losses[good]
        # As in the program: up for the word that was drawn, down for the others of its place.
        signs = np.where(drawn[:, :, None] == np.arange(self._p.shape[1]), 1.0, -1.0)
        weights = (losses - losses.mean()) / (len(losses) - 1)
        with np.errstate(over="ignore"):
            gradient = np.tensordot(weights, signs, 1) / np.maximum(self._p, 1e-6)
        norm = np.linalg.norm(gradient)
        if not 0 < norm < np.inf:
            return
        gradient *= min(1.0, _MOST / norm)
        move = self._rate * self._adam.step(gradient.ravel()).reshape(self._p.shape)
        self._p = onto_simplex(self._p - move)


def onto_simplex(p: Array) -> Array:
    """Return the nearest probabilities to each row of p (Duchi et al., 2008, figure 1)."""
    ordered = np.sort(p, axis=1)[:, ::-1]
    excess = (ordered.cumsum(axis=1) - 1) / np.arange(1, p.shape[1] + 1)
    last = (ordered > excess).sum(axis=1) - 1
    return np.maximum(p - excess[np.arange(len(p)), last][:, None], 0.0)
