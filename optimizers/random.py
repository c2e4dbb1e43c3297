"""Random search: uniform in a box, else normal around the start (Bergstra & Bengio, 2012)."""

from dfo_bench.core import Array, Optimizer


class RandomSearch(Optimizer):
    """Independent points; learns nothing."""

    def ask(self) -> Array:
        """Return 20 points."""
        shape = (20, self.space.dim)
        if self.space.lower is not None and self.space.upper is not None:
            return self.rng.uniform(self.space.lower, self.space.upper, shape)
        return self.space.start.dense() + self.space.scale * self.rng.standard_normal(shape)

    def tell(self, x: Array, losses: Array) -> None:
        """Learn nothing."""
