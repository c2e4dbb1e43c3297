"""The spec of a run: a frozen record of plain values, its seeded streams, and the key that names it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np

from dfo_bench.core import Rngs
from dfo_bench.errors import InputError, UnknownNameError
from dfo_bench.plugins.component import Component, component
from dfo_bench.runs.defaults import BUDGET, DEV_EVERY, SELECTION, Selection
from dfo_bench.runs.titles import entitle


@dataclass(frozen=True)
class RunSpec:
    """One run: task x projection x optimizer x seed x budget.

    `dim` None is DIM, or D where that is smaller; `dev_every` is the evaluations between two scores on dev, and
    `selection` says of which candidate.
    """

    task: Component
    optimizer: Component
    projection: Component
    dim: int | None = None
    budget: int = BUDGET
    seed: int = 0
    dev_every: int = DEV_EVERY
    selection: Selection = SELECTION

    def __post_init__(self) -> None:
        """Refuse what makes no run."""
        # Where a task has no dimension, neither has its search.
        for name, least in {"dim": 0, "budget": 1, "seed": 0, "dev_every": 1}.items():
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
                raise InputError(f"{name} must be a whole number, got {value!r}")
            if value is not None and value < least:
                raise InputError(f"{name} must be at least {least}, got {value}")
            if value is not None and value >= 2**63:
                raise InputError(f"{name} must be below 2^63, got {value}")
        if self.selection not in get_args(Selection):
            raise UnknownNameError("selection", str(self.selection), get_args(Selection))

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON, from which `from_json` makes an equal spec."""
        return {name: str(v) if isinstance(v, Component) else v for name, v in vars(self).items()}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "RunSpec":
        """Read what `to_json` made."""
        kinds = {name: component(plain[name]) for name in ("task", "optimizer", "projection")}
        return cls(**{**plain, **kinds})

    @property
    def backend(self) -> str:
        """The value of its task's parameter `backend`, "" where it has none."""
        return str(self.task.params.get("backend", ""))

    def on(self, backend: str) -> "RunSpec":
        """Return the same run with another value of that parameter, which changes no key."""
        return replace(self, task=Component(self.task.name, {**self.task.params, "backend": backend}))

    def key(self) -> str:
        """Return the 16-digit digest that names a run; its components are as `Plugin.keyed` returns them."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()[:16]


def streams(seed: int) -> Rngs:
    """Return one independent stream a purpose, the same at every call."""

    def stream(purpose: str) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=tuple(purpose.encode())))

    return stream


def describe(named: Mapping[Any, Any]) -> str:
    """Name a run in a line, from its spec's fields or its row of `runs`."""
    task = entitle(str(named["task"]))
    return "{optimizer} on {task}, {projection}, seed {seed}".format(**{**named, "task": task})
