"""The task's start, asked once: with a written prompt, or examples in it, a baseline for all that search."""

from dfo_bench.core import Array, EmbeddingOptimizer, Points


class Start(EmbeddingOptimizer):
    """One evaluation, whatever the budget; draws no embedding, so the task's space may have no dimension at all."""

    evaluations = 1

    def ask(self) -> Points:
        """Return the start."""
        return self.space.start

    def tell(self, losses: Array) -> None:
        """Learn nothing."""
