"""The defaults of a run, which are Black-Box Tuning's; apart from `spec` because help texts read them, too."""

from typing import Literal

DIM, BUDGET, DEV_EVERY = 500, 8_000, 100

Selection = Literal["incumbent", "current"]
"""Which candidate dev scores: the best so far, or the last one evaluated, as the original Black-Box Tuning does."""

SELECTION: Selection = "incumbent"

MARGIN, MOST_SEEDS = 0.01, 30
"""Of a race: the share of the larger loss below which a difference is a tie, and the seeds after which it ends."""
