"""The request for a sweep: one record, whether Python, a sweep file or the command line asks."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

from dfo_bench.errors import InputError
from dfo_bench.runs.defaults import BUDGET, DEV_EVERY, MARGIN, MOST_SEEDS, SELECTION, Selection
from dfo_bench.store.prices import check_price

if TYPE_CHECKING:
    from dfo_bench.plugins.component import Component

CLUSTER = r"ray(://(?P<host>[^:/\s]+):(?P<port>\d{1,5}))?"
"""How a cluster is written."""

Written = Union[str, Mapping[str, Any], "Component"]
"""A component as a user may write it."""


@dataclass(frozen=True, kw_only=True)
class SweepRequest:
    """The axes of a sweep, the settings of its runs, and where and how they run; `dfo_bench.sweep` explains each."""

    tasks: Sequence[Written]
    optimizers: Sequence[Written]
    projections: Sequence[Written] = ("normal",)
    dim: int | None = None
    budget: int | Mapping[str, int] = BUDGET
    seeds: Iterable[int] = (0,)
    dev_every: int = DEV_EVERY
    selection: Selection = SELECTION
    references: bool = True
    store: str | Path = "results"
    workers: int | None = None
    cluster: str | None = None
    share_model: bool = False
    price: float | None = None
    until_decided: bool = False
    margin: float = MARGIN
    most_seeds: int = MOST_SEEDS
    opponents: str | Path | None = None

    def __post_init__(self) -> None:
        """Refuse what asks for no sweep; what makes no run is refused by `RunSpec`."""
        for name in ("tasks", "projections", "optimizers"):
            values = getattr(self, name)
            if isinstance(values, str | Mapping) or not values:
                raise InputError(f"{name} must be a list of at least one, got {values!r}")
        workers = self.workers
        if workers is not None and (isinstance(workers, bool) or not isinstance(workers, int) or workers < 1):
            raise InputError(f"workers must be a whole number, at least 1, got {workers!r}")
        if self.cluster is not None and not re.fullmatch(CLUSTER, self.cluster):
            raise InputError(
                f"cluster {self.cluster!r} is neither ray, for one on this machine, nor ray://HOST:PORT; write either"
            )
        if self.cluster is not None and self.share_model:
            raise InputError("share_model is for the workers of one machine, and cluster names others; leave out one")
        if self.price is not None:
            check_price(self.price)
        for name, least, most in (("margin", 0, 1), ("most_seeds", 1, math.inf)):
            value = getattr(self, name)
            if not least <= value < most:
                raise InputError(f"{name} must be from {least} to below {most}, got {value!r}")
            if not self.until_decided and value != getattr(SweepRequest, name):
                raise InputError(f"{name} changes nothing without until_decided; add it, or leave {name} out")
        object.__setattr__(self, "seeds", list(self.seeds))
