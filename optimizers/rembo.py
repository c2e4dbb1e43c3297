"""REMBO: Bayesian optimization in random embeddings (Wang, Hutter, Zoghi, Matheson & de Freitas, JAIR 55, 2016)."""

from typing import Unpack

from pydantic import PositiveFloat, PositiveInt

from dfo_bench.core import Anchor, Array, Component, EmbeddingGiven, EmbeddingOptimizer, Points, Space

from ._embedded import BOX, shares


class Rembo(EmbeddingOptimizer):
    """k fixed embeddings, interleaved: if one misses the optimum with probability p, all do with p^k.

    The box is the paper's [-sqrt(d), sqrt(d)]^d under entries N(0, 1), here [-d, d]^d under N(0, 1/d); it is meant
    for tasks whose bounds clip what it sends out of them. Without bounds it reaches 5 scales to each side.

    k: how many embeddings.
    inner: the optimizer in each of them, with an equal share of the budget.
    box: half the width of the search box, in units of z; null is d where the task has bounds, and 5 elsewhere.
    """

    def __init__(
        self,
        space: Space,
        *,
        k: PositiveInt = 4,
        inner: Component = Component("bo"),
        box: PositiveFloat | None = None,
        **given: Unpack[EmbeddingGiven],
    ) -> None:
        super().__init__(space, **given)
        half = box or (float(self.dim) if space.bounded else BOX)
        search = Space(self.dim, -half, half, Anchor.origin(self.dim), 1.0)
        self._left = shares(self.budget, k)
        self._embeddings = [self.embed(i) for i in range(len(self._left))]
        self._inner = [
            self.make(inner, search, share, child)
            for share, child in zip(self._left, self.rng.spawn(len(self._left)), strict=True)
        ]
        self._turn = -1

    def ask(self) -> Points:
        """Return the points of the next embedding whose share is not spent; the last of a share may be fewer."""
        turns = range(self._turn + 1, self._turn + 1 + len(self._left))
        self._turn = next(turn for turn in (i % len(self._left) for i in turns) if self._left[turn])
        self._y = self._inner[self._turn].ask()
        # The paper's f(p_X(A y)): the lift projects onto X by clipping.
        return self._embeddings[self._turn].lift(self._y[: self._left[self._turn]].copy())

    def tell(self, losses: Array) -> None:
        """Tell the embedding's own optimizer, unless its last batch was cut to its share."""
        self._left[self._turn] -= len(losses)
        if len(losses) == len(self._y):
            self._inner[self._turn].tell(self._y, losses)
