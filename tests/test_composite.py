"""Searches in a trust region on a model of all outputs: `composite`, `prox_linear`, and both on the loss alone."""

import importlib
from typing import Any

import numpy as np
import pytest
from scipy.linalg import cho_factor, cho_solve

from dfo_bench.core import Array, Dense, Optimizer, Outer, Space, Squares, VectorOptimizer
from dfo_bench.plugins.component import parse
from dfo_bench.plugins.registry import OPTIMIZERS
from dfo_bench.runs.assembly import assemble
from dfo_bench.runs.spec import RunSpec
from dfo_bench.testing.bowl import evaluated

_composite, _prox_linear, _trust = (
    importlib.import_module(f"dfo_bench.optimizers.{name}") for name in ("_composite", "_prox_linear", "_trust")
)

VECTOR, SCALAR = ("composite", "prox_linear"), ("composite_loss", "secant")


def free(dim: int = 6, scale: float = 1.0) -> Space:
    return Space(dim, None, None, Dense(np.linspace(-1, 1, dim)[None]), scale)


def build(name: str, space: Space, outer: Outer | None = None, **params: Any) -> Any:
    given: dict[str, Any] = {} if outer is None else {"outer": outer}
    return OPTIMIZERS.load(name)(space, budget=60, rng=np.random.default_rng(0), **given, **params)


def bend(x: Array) -> Array:
    """Eight outputs that are nearly linear, of any number of coordinates."""
    weights = np.random.default_rng(7).standard_normal((x.shape[1], 8))
    return np.tanh(0.3 * x @ weights) + 0.5


def best_of(spec: RunSpec) -> list[float]:
    """Return the losses of a run in the order of its evaluations."""
    assembly = assemble(spec)
    optimizer: Any = assembly.optimizer()
    losses: list[float] = []
    while len(losses) < spec.budget:
        told = evaluated(assembly.oracle, optimizer.ask())
        losses += told[0].tolist()
        optimizer.tell(*told)
    return losses


@pytest.mark.parametrize("name", VECTOR)
def test_outputs_solve_least_squares_in_a_few_times_as_many_points_as_there_are_dimensions(name: str) -> None:
    """The losses alone are a thousandth solved by then."""
    spec = RunSpec(parse("sphere:dim=10"), parse(name), parse("identity"), budget=50)
    assert min(best_of(spec)) < 1e-9


@pytest.mark.parametrize(("name", "outputs"), [("composite_loss", "composite"), ("secant", "prox_linear")])
def test_on_the_loss_alone_it_is_the_same_search_with_one_output(name: str, outputs: str) -> None:
    scalar, vector = build(name, free()), build(outputs, free(), _trust.Itself())
    for _ in range(6):
        x = scalar.ask()
        np.testing.assert_array_equal(vector.ask(), x)
        losses = (bend(x) ** 2).sum(axis=1)
        scalar.tell(x, losses)
        vector.tell(x, losses, losses[:, None])


@pytest.mark.parametrize("name", VECTOR)
@pytest.mark.parametrize("batch", [1, 3, 40])
def test_batches_have_the_size_that_was_asked_for(name: str, batch: int) -> None:
    """Those of composite are the best on the process by itself, where it promises anything, and explorers.

    prox_linear asks for one point at a time once it has a secant more than there are dimensions.
    """
    optimizer = build(name, free(), Squares(8), batch=batch)
    best = np.inf
    for turn in range(2 * (60 // batch + 2)):
        x = optimizer.ask()
        if name == "composite":
            assert len(x) in (1, max(1, batch - 1), batch)
        else:
            assert len(x) == (batch if turn * batch < 7 else 1)
        if not turn:
            np.testing.assert_array_equal(x[0], np.linspace(-1, 1, 6))
            first = (bend(x[:1]) ** 2).sum()
        outputs = bend(x)
        best = min(best, (outputs**2).sum(axis=1).min())
        optimizer.tell(x, (outputs**2).sum(axis=1), outputs)
    assert best < 0.7 * first


@pytest.mark.parametrize("name", VECTOR)
def test_points_that_fail_are_left_out(name: str) -> None:
    """The same search as if they had not been asked for, but for its steps into where points fail."""
    optimizer = build(name, free(), Squares(8))
    assert issubclass(type(optimizer), VectorOptimizer)
    for turn in range(12):
        x = optimizer.ask()
        assert np.isfinite(x).all()
        outputs = bend(x)
        failed = (np.arange(len(x)) == turn % 5) | (turn == 0) | (x[:, 0] > 0)
        outputs[failed] = np.nan
        optimizer.tell(x, np.where(failed, np.inf, (outputs**2).sum(axis=1)), outputs)
        search = optimizer._search
    assert np.isfinite(search._outputs).all()
    assert np.linalg.norm(optimizer.ask() - free().start.dense()) < 100


def test_a_step_too_small_grows() -> None:
    """At a thousandth of the step that the function asks for it is there within some tens of points."""
    optimizer = build("composite", free(scale=1e-3), Squares(8))
    losses: list[float] = []
    while len(losses) < 100:
        x = optimizer.ask()
        outputs = bend(x)
        losses += (outputs**2).sum(axis=1).tolist()
        optimizer.tell(x, (outputs**2).sum(axis=1), outputs)
    assert optimizer._search._steps.step > 100 * 1e-3 * 6**0.5
    assert min(losses) < 0.2 * losses[0]


def test_a_radius_that_was_shrunk_to_the_least_begins_anew() -> None:
    """Outputs that nothing foretells shrink it each time."""
    optimizer = build("composite", free(), Squares(8))
    rng, radii = np.random.default_rng(5), list[float]()
    for _ in range(60):
        x = optimizer.ask()
        outputs = rng.standard_normal((len(x), 8))
        optimizer.tell(x, 9 + (outputs**2).sum(axis=1), outputs)
        radii.append(optimizer._search._radius)
    assert min(radii) < 2 * _trust.LEAST
    assert 1.0 in radii[radii.index(min(radii)) :]
    assert min(radii) > _trust.LEAST


def test_memory_is_flat_in_calls() -> None:
    optimizer = build("composite", free(), Squares(8), points=12)
    for _ in range(30):
        x = optimizer.ask()
        outputs = bend(x)
        optimizer.tell(x, (outputs**2).sum(axis=1), outputs)
    assert len(optimizer._search._x) == len(optimizer._search._losses) == len(optimizer._search._outputs) == 24
    assert optimizer._search._losses.min() < 1


def test_what_promises_nothing_is_not_asked_for() -> None:
    """Where all outputs are equal every point of a batch explores."""
    optimizer = build("composite", free(), Squares(3))
    for _ in range(4):
        x = optimizer.ask()
        optimizer.tell(x, np.full(len(x), 3.0), np.ones((len(x), 3)))
    steps = optimizer._search._steps
    away = steps.read(optimizer.ask()) - optimizer._search._x[0]
    np.testing.assert_allclose(np.linalg.norm(away, axis=1), _composite._EXPLORERS)


def test_a_process_goes_through_its_points_and_knows_its_slope() -> None:
    rng = np.random.default_rng(3)
    x = 0.3 * rng.standard_normal((25, 4))
    outputs = bend(x)
    process = _composite.Process(x, outputs, x[0], np.arange(len(_composite._LENGTHS)))
    np.testing.assert_allclose([process.outputs(one) for one in x], outputs, atol=0.05)
    at, along, slopes = x[1] + 0.1, rng.standard_normal(4), rng.standard_normal(8)
    change = (process.outputs(at + 1e-5 * along) - process.outputs(at - 1e-5 * along)) @ slopes / 2e-5
    assert process.pull_back(at, slopes) @ along == pytest.approx(change, rel=1e-5)


def test_the_likelihood_is_that_of_the_profiled_variance_and_mean() -> None:
    rng = np.random.default_rng(4)
    x, outputs = rng.standard_normal((9, 3)), rng.standard_normal((9, 5))
    kernel = np.exp(-_composite._squares(x) / 2)
    found, inverse = _composite._fit(kernel, outputs @ outputs.T)

    def likelihood(noise: float) -> tuple[float, Array]:
        factor = cho_factor(kernel + noise * np.eye(9))
        ones, solved = cho_solve(factor, np.ones(9)), cho_solve(factor, outputs)
        mean = ones @ outputs / ones.sum()
        trace = np.trace((outputs - mean).T @ (solved - np.outer(ones, mean)))
        return -9 * np.log(trace) - 2 * np.log(np.diag(factor[0])).sum(), cho_solve(factor, np.eye(9))

    best = max((likelihood(noise) for noise in _composite._NOISES), key=lambda one: one[0])
    assert found == pytest.approx(best[0])
    np.testing.assert_allclose(inverse, best[1], rtol=1e-6)


def test_least_squares_take_as_many_points_as_by_the_program_made_for_them() -> None:
    """DFO-LS 1.6.5 takes 17 from the same start, 13 of them before its first step."""
    spec = RunSpec(
        parse("least_squares:function=tridiagonal,effective=12,dim=12"),
        parse("prox_linear"),
        parse("identity"),
        budget=30,
    )
    losses = best_of(spec)
    assert min(losses) < 1e-5 * losses[0]


def test_where_points_fail_on_one_side_of_the_best_the_other_is_asked_for() -> None:
    search = _prox_linear.Search(free(3), Squares(8), np.random.default_rng(0), sigma=0.1, batch=4)
    x = search.ask()
    search.tell(x, np.full(4, 3.0), np.ones((4, 8)))
    asked = [search.ask() for _ in range(8)]
    for x in asked:
        search.tell(x, np.array([np.inf]), np.full((1, 8), np.nan))
    assert len(np.unique(np.concatenate(asked), axis=0)) == 2


def test_the_jacobian_agrees_with_its_secants() -> None:
    search = _prox_linear.Search(free(), Squares(8), np.random.default_rng(0), sigma=0.1, batch=7)
    x = search.ask()
    weights = np.random.default_rng(7).standard_normal((6, 8))
    outputs = x @ weights + 1
    search.tell(x, (outputs**2).sum(axis=1), outputs)
    np.testing.assert_allclose(search._jacobian, search._steps.step * weights.T, atol=1e-9)


@pytest.mark.parametrize("bound", [None, 0.4])
def test_the_least_within_a_radius_is_on_the_sphere_or_in_the_box(bound: float | None) -> None:
    lower = None if bound is None else -bound
    steps = _trust.Steps(Space(3, lower, bound, Dense(np.zeros((1, 3))), 1.0), 0.2)
    slope = np.array([1.0, 2.0, -2.0])
    z, value = _trust.least_within(
        lambda z: (float(slope @ z), slope), steps, np.zeros(3), 2.0, np.random.default_rng(0), iterations=300
    )
    expected = -2.0 * slope / 3 if bound is None else None
    assert value == pytest.approx(slope @ z)
    if expected is not None:
        np.testing.assert_allclose(z, expected, atol=2e-2)
    else:
        x = steps.point(z)
        assert (np.abs(x) <= 0.4).all()
        np.testing.assert_allclose(x[1:], [-0.4, 0.4], atol=1e-3)


@pytest.mark.parametrize("name", SCALAR)
def test_the_scalar_forms_are_told_losses_only(name: str) -> None:
    cls = OPTIMIZERS.load(name)
    assert issubclass(cls, Optimizer)
    assert cls.sees == "losses"


@pytest.mark.parametrize(
    ("task", "chosen", "sees"), [("sphere", "composite", "outputs"), ("ackley", "composite_loss", "losses")]
)
def test_auto_is_composite_and_where_there_are_no_outputs_the_same_on_losses(task: str, chosen: str, sees: str) -> None:
    specs = [RunSpec(parse(task), parse(name), parse("normal"), dim=4, budget=60) for name in ("auto", chosen)]
    assert assemble(specs[0]).sees == sees
    assert best_of(specs[0]) == best_of(specs[1])
