"""What a run gives the constructors of plugins, beside their own parameters."""

from collections.abc import Callable
from typing import Annotated, Literal, TypedDict

import numpy as np
from annotated_types import Gt

from dfo_bench.outer import Outer

Rngs = Callable[[str], np.random.Generator]
"""One independent stream per purpose: rngs("split"), rngs("start"), the same for every run of a seed."""


class Given(TypedDict):
    """What a run gives an optimizer: a constructor hands it on as `**given: Unpack[Given]`."""

    budget: int
    """The number of evaluations to plan for, at least 1."""
    rng: np.random.Generator
    """The only source of randomness."""


class VectorGiven(Given):
    """What a run gives a VectorOptimizer: a constructor hands it on as `**given: Unpack[VectorGiven]`."""

    outer: Outer
    """The known function of the outputs that is the loss."""


# Pydantic's PositiveFloat, whose module takes a tenth of a second to import.
Positive = Annotated[float, Gt(0)]


class Step(TypedDict, total=False):
    """The parameters of every projection: a constructor hands them on as `**step: Unpack[Step]`."""

    alpha: Positive | Literal["auto"]
    scale: Positive | None
