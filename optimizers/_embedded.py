"""Helpers of optimizers inside embeddings: the box of a task without bounds, and shares of the budget."""

BOX = 5.0
"""Half its width in units of scale: under a random projection z uniform in [-5, 5]^d moves each coordinate of a
prompt by 2.9 standard deviations of the model's word embeddings; far beyond lies nothing the model has seen."""


def shares(budget: int, parts: int) -> list[int]:
    """Split a budget into at most `parts` whole shares, none of them empty, the larger ones first."""
    parts = min(parts, budget)
    return [budget // parts + (i < budget % parts) for i in range(parts)]
