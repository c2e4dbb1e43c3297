"""From a stored recipe back to its point: the inverse of `expand`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from reprlib import repr as shortened
from typing import Any

import numpy as np

from dfo_bench.composed import Blend, Blocks
from dfo_bench.embedding import Embedding, Lifted
from dfo_bench.errors import StoreError
from dfo_bench.points import Anchor, Array, Dense, Points, Space, expand


def rebuild(recipe: Mapping[str, Any], space: Space, embed: Callable[[int], Embedding]) -> Points:
    """Return the single candidate whose `expand` is `recipe`, its coordinates the same to the bit.

    `space` is the task's, and `embed` draws the run's embeddings. Raise StoreError for what does not fit them.
    """
    try:
        point = _Builder(space, embed).single(recipe)
        if point.dim != space.dim:
            raise ValueError(f"it has dimension {point.dim}, the task {space.dim}")
        if expand(point) != recipe:
            raise ValueError("it says more than is known here")
    except (LookupError, TypeError, ValueError) as error:
        raise StoreError(
            f"the recipe {shortened(recipe)} cannot be rebuilt: {error}; it is of another task, or of a newer dfo-bench"
        ) from error
    return point


@dataclass(frozen=True)
class _Builder:
    """Makes Points of their parts, from the inside out."""

    space: Space
    embed: Callable[[int], Embedding]

    def single(self, recipe: Mapping[str, Any]) -> Points:
        """Build from an expanded recipe, which holds its own numbers."""
        plain = {key: value for key, value in recipe.items() if key != "z"}
        return self.points(plain, np.array([recipe["z"]], dtype=float))

    def points(self, plain: Mapping[str, Any], z: Array) -> Points:
        """Build from the two halves of `Points.recipe`."""
        match plain:
            case {"anchor": name}:
                return self.anchor(name)
            case {"dense": _}:
                return Dense(z)
            case {"origin": origin, "target": target}:
                return Blend(self.single(origin), self.single(target), z[:, 0])
            case {"blocks": blocks}:
                moving = ["z" in block for block in blocks].index(False)
                parts = [self.points(b, z) if i == moving else self.single(b) for i, b in enumerate(blocks)]
                return Blocks(parts, moving)
            case {"embedding": index, "base": {"z": _} as base}:
                return Lifted(self.embed(index), z, self.single(base))
            case {"embedding": index, "base": base}:
                embedding = self.embed(index)
                split = z.shape[1] - embedding.dim
                return Lifted(embedding, z[:, split:], self.points(base, z[:, :split]), paired=True)
            case {"embedding": index}:
                return Lifted(self.embed(index), z, None)
        raise LookupError(f"no kind of point has {', '.join(plain) or 'nothing'}")

    def anchor(self, name: str) -> Points:
        """Return the point that the task, or everybody, knows by this name."""
        known: list[Points] = [self.space.start, Anchor.origin(self.space.dim)]
        if self.space.bounded:
            known.append(Anchor.middle(self.space))
        for point in known:
            if isinstance(point, Anchor) and point.name == name:
                return point
        raise LookupError(f"no point of this task is called {name!r}")
