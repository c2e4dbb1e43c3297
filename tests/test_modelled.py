"""What a model foretells: surrogate, gradient_distillation, synthetic_gradient, and the learned rules."""

from typing import Any

import numpy as np
import pytest

from dfo_bench.core import Anchor, Array, Space, Squares
from dfo_bench.plugins.registry import OPTIMIZERS

FREE = Space(6, None, None, Anchor.origin(6), 1.0)
GOAL = np.linspace(-1, 1, 6)


def driven(name: str, budget: int, **given: Any) -> Any:
    """Return an optimizer after a budget on a bowl."""
    optimizer: Any = OPTIMIZERS.load(name)(FREE, budget=budget, rng=np.random.default_rng(0), **given)
    while budget > 0:
        x = optimizer.ask()
        outputs = x - GOAL
        budget -= len(x)
        optimizer.tell(x, (outputs**2).sum(axis=1), *([outputs] if given else []))
    return optimizer


@pytest.mark.parametrize(("name", "given"), [("surrogate", {}), ("gradient_distillation", {"outer": Squares(6)})])
def test_the_gradient_of_a_model_is_that_of_what_it_foretells(name: str, given: dict[str, Any]) -> None:
    model = driven(name, 60, **given)._fit()
    z, step = np.full(6, 0.1), 1e-6
    slopes = [(model(z + step * e)[0] - model(z - step * e)[0]) / (2 * step) for e in np.eye(6)]
    np.testing.assert_allclose(model(z)[1], slopes, rtol=1e-4, atol=1e-6)


def test_a_student_foretells_the_best_point_exactly() -> None:
    optimizer = driven("gradient_distillation", 60, outer=Squares(6))
    model, search = optimizer._fit(), optimizer._search
    assert model(search.centre)[0] == pytest.approx(search.losses[0], rel=1e-9)


def test_a_surrogate_on_a_wall_still_finds_the_way() -> None:
    optimizer: Any = OPTIMIZERS.load("surrogate")(FREE, budget=100, rng=np.random.default_rng(0))  # type: ignore[call-arg]
    best = np.inf
    for _ in range(20):
        x = optimizer.ask()
        losses: Array = ((x - GOAL) ** 2).sum(axis=1)
        best = min(best, losses.min())
        optimizer.tell(x, np.where(x[:, 0] > 0.5, 1e30, losses))
    assert best < 0.1


def test_the_foretold_gradient_agrees_with_every_difference_that_was_just_measured() -> None:
    optimizer = driven("synthetic_gradient", 40)
    theta = optimizer._theta.copy()
    x = optimizer.ask()
    optimizer.tell(x, ((x - GOAL) ** 2).sum(axis=1))
    foretold = optimizer._model @ optimizer._features(theta)
    np.testing.assert_allclose(
        optimizer._directions @ foretold, optimizer._directions @ (2 * (theta - GOAL)), rtol=1e-6
    )


def test_the_learned_rules_are_better_than_those_that_learning_began_with() -> None:
    def left(rules: tuple[float, ...]) -> float:
        found = []
        for seed in range(5):
            optimizer: Any = OPTIMIZERS.load("learned")(FREE, budget=200, rng=np.random.default_rng(seed))  # type: ignore[call-arg]
            optimizer.rules, best = rules, np.inf
            for _ in range(20):
                x = optimizer.ask()
                losses = ((x - GOAL) ** 2).sum(axis=1)
                best = min(best, losses.min())
                optimizer.tell(x, losses)
            found.append(best)
        return float(np.median(found))

    assert left(driven("learned", 10).rules) < 0.1 * left((0.0,) * 6)
