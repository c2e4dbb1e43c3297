"""The optimizer to take when one does not want to choose, by what the task offers; no method of its own."""

from typing import ClassVar, Unpack

from dfo_bench.core import Array, Component, EmbeddingGiven, EmbeddingOptimizer, Points, Sees, Space


class Auto(EmbeddingOptimizer):
    """composite where the task has outputs, else composite_loss, the same on losses; the run's events say which.

    The choice depends on nothing else but what the run is told, so that a comparison is one of two known methods.
    """

    sees: ClassVar[Sees] = "outputs"

    def __init__(self, space: Space, **given: Unpack[EmbeddingGiven]) -> None:
        super().__init__(space, **given)
        chosen = Component("composite" if self.told == "outputs" else "composite_loss")
        self.events.append(f"auto: {chosen}")
        self._embedding = self.embed(0)
        self._optimizer = self.make(chosen, self._embedding.search_space, self.budget, self.rng)

    def ask(self) -> Points:
        """Lift what the chosen optimizer asks for."""
        self._x = self._optimizer.ask()
        return self._embedding.lift(self._x)

    def tell(self, losses: Array, *told: Array) -> None:
        """Tell it of its own points."""
        self._optimizer.tell(self._x, losses, *told)
