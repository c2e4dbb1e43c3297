"""The optimizers for many dimensions: what they learn, and that their state stays small."""

from typing import Any

import numpy as np
import pytest

from dfo_bench.core import Anchor, Array, Dense, Optimizer, Space
from dfo_bench.plugins.registry import OPTIMIZERS
from dfo_bench.threads import single_threaded

STRATEGIES = ["lm_ma_es", "mmes", "cr_fm_nes"]


def built(name: str, space: Space, budget: int) -> Optimizer:
    cls: Any = OPTIMIZERS.load(name)
    optimizer: Optimizer = cls(space, budget=budget, rng=np.random.default_rng(0))
    return optimizer


def started(name: str, dim: int, budget: int) -> Optimizer:
    start = np.random.default_rng(0).uniform(-5, 5, (1, dim))
    return built(name, Space(dim, None, None, Dense(start), 1.0), budget)


def sphere(x: Array) -> Array:
    return (x**2).sum(axis=1)


def best(optimizer: Optimizer, loss: Any, target: float) -> float:
    lowest, spent = np.inf, 0
    with single_threaded():
        while spent < optimizer.budget and lowest > target:
            x = optimizer.ask()
            losses = loss(x)
            optimizer.tell(x, losses)
            lowest, spent = min(lowest, float(losses.min())), spent + len(x)
    return lowest


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_strategy_of_a_hundred_dimensions_converges_on_the_sphere(name: str) -> None:
    # Measured: 8,700 to 10,200 evaluations.
    assert best(started(name, 100, 15_000), sphere, 1e-8) <= 1e-8


def test_cr_fm_nes_learns_the_axes_of_an_ellipsoid() -> None:
    # Measured: 3,800; a step without a shape needs some 10^6.
    stretch = 1e6 ** np.linspace(0, 1, 20)
    assert best(started("cr_fm_nes", 20, 8_000), lambda x: (stretch * x**2).sum(axis=1), 1e-8) <= 1e-8


def test_mmes_learns_the_long_axis_of_a_cigar() -> None:
    # Measured: 6,300.
    stretch = np.append(1.0, np.full(19, 1e6))
    assert best(started("mmes", 20, 12_000), lambda x: (stretch * x**2).sum(axis=1), 1e-8) <= 1e-8


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_state_of_a_strategy_on_a_whole_prompt_is_a_few_vectors(name: str) -> None:
    optimizer = started(name, 20_000, 100)
    best(optimizer, sphere, 0.0)
    vectors = sum(value.size for value in vars(optimizer).values() if isinstance(value, np.ndarray)) / 20_000
    # Three populations of 33 or so, and at most 33 paths.
    assert vectors < 150


def test_a_strategy_whose_step_vanishes_begins_anew_at_its_incumbent() -> None:
    # Among equals the paired test of mmes sees no success, and the step falls to 0.4 of itself.
    optimizer = started("mmes", 5, 400)
    best(optimizer, lambda x: np.ones(len(x)), 0.0)
    assert optimizer.events[0].endswith("; restarted")


def test_lbo_finds_in_a_hundred_dimensions_what_random_search_does_not() -> None:
    space = Space(100, -1.0, 1.0, Anchor.origin(100), 1.0)

    def loss(x: Array) -> Array:
        return sphere(x - 0.5)

    found, drawn = (best(built(name, space, 60), loss, 0.0) for name in ("lbo", "random"))
    assert found < 0.5 * drawn
