"""The optimizers: what all of them keep, and what each of them does."""

import importlib
import inspect
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import approx_fprime
from scipy.stats import mannwhitneyu

from dfo_bench.core import (
    Anchor,
    Array,
    Component,
    Dense,
    Embedding,
    EmbeddingGiven,
    EmbeddingOptimizer,
    ExampleOptimizer,
    Index,
    InputError,
    Optimizer,
    Points,
    Sees,
    Space,
)
from dfo_bench.plugins.plugin import resolve
from dfo_bench.plugins.registry import OPTIMIZERS, PROJECTIONS
from dfo_bench.testing import race
from dfo_bench.testing.observations import seeds_differ, stays_inside
from dfo_bench.threads import single_threaded

# Few points of the Gaussian process: each costs a tenth of a second.
QUICK: dict[str, dict[str, Any]] = {
    "bo": {"points": 10},
    "rembo": {"inner": Component("bo", {"points": 10}), "k": 2},
    "turbo": {"points": 40, "batch": 20},
}
# Doors to libraries that take seconds to import and to compile: tests/test_adapters.py.
SLOW = {"evosax", "optimagic"}
CLASSES = {name: OPTIMIZERS.load(name) for name in OPTIMIZERS.names() if name not in SLOW}
PLAIN = [
    name
    for name, cls in CLASSES.items()
    if issubclass(cls, Optimizer) and not issubclass(cls, ExampleOptimizer) and cls.sees == "losses"
]
SPACES = {
    "free": Space(3, None, None, Dense(np.array([[1.0, -2.0, 0.5]])), 0.5),
    "box": Space(3, -1.0, 3.0, Dense(np.array([[0.0, 3.0, 1.0]])), 1.0),
}

Loss = Callable[[Array], Array]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As in a run; and two threads that share a core make a Gaussian process slow."""
    with single_threaded():
        yield


def bowl(x: Array) -> Array:
    return ((x - 0.7) ** 2).sum(axis=1)


def plain(
    name: str, space: Space, *, budget: int = 60, seed: int = 0, rng: np.random.Generator | None = None, **params: Any
) -> Optimizer:
    cls = OPTIMIZERS.load(name)
    assert issubclass(cls, Optimizer)
    return cls(space, budget=budget, rng=rng or np.random.default_rng(seed), **{**QUICK.get(name, {}), **params})


def drive(optimizer: Optimizer, loss: Loss = bowl, budget: int = 60) -> list[Array]:
    """Ask and tell until the budget is spent; return the batches."""
    batches: list[Array] = []
    while sum(map(len, batches)) < budget:
        x = optimizer.ask()
        batches.append(x.copy())
        optimizer.tell(x, loss(x))
    return batches


class Embeddings:
    """What a run gives an EmbeddingOptimizer, with a note of what it did with it."""

    def __init__(self, space: Space, dim: int, seed: int = 0) -> None:
        self.space, self.dim, self.seed = space, dim, seed
        self.drawn: list[int] = []
        self.made: list[tuple[Optimizer, Space, int]] = []

    def embed(self, index: int) -> Embedding:
        self.drawn.append(index)
        return PROJECTIONS.load("normal")().draw(self.space, self.dim, self.seed, index)

    def make(self, component: Component, space: Space, budget: int, rng: np.random.Generator) -> Optimizer:
        inner = resolve(OPTIMIZERS, component).construct(space, budget=budget, rng=rng)
        assert isinstance(inner, Optimizer)
        self.made.append((inner, space, budget))
        return inner

    def build(
        self, name: str, *, budget: int, seed: int = 0, told: Sees = "losses", **params: Any
    ) -> EmbeddingOptimizer:
        cls = OPTIMIZERS.load(name)
        assert issubclass(cls, EmbeddingOptimizer)
        rng = np.random.default_rng(seed)
        given = EmbeddingGiven(dim=self.dim, budget=budget, rng=rng, told=told, embed=self.embed, make=self.make)
        return cls(self.space, **given, **params)


def wide(dim: int = 30, bound: float | None = 1.0, start: float = 0.1, scale: float = 1.0, blocks: int = 1) -> Space:
    lower = None if bound is None else -bound
    return Space(dim, lower, bound, Anchor(dim, "start", lambda index: np.full(len(index), start)), scale, blocks)


def drive_points(optimizer: EmbeddingOptimizer, budget: int, loss: Loss = bowl) -> list[Points]:
    """Ask and tell until the budget is spent; return the batches."""
    batches: list[Points] = []
    while sum(map(len, batches)) < budget:
        batches.append(optimizer.ask())
        optimizer.tell(loss(batches[-1].dense()))
    return batches


# What all of them keep: `tests/test_plugins.py` checks the contract, and here is what the built-in ones keep besides.


@pytest.mark.parametrize("name", PLAIN)
def test_a_built_in_asks_nothing_outside_the_box(name: str) -> None:
    assert stays_inside(resolve(OPTIMIZERS, Component(name, QUICK.get(name, {})))) == "0%"


@pytest.mark.parametrize("name", [name for name in CLASSES if name != "start"])
def test_another_seed_asks_other_points(name: str) -> None:
    assert seeds_differ(resolve(OPTIMIZERS, Component(name, QUICK.get(name, {})))) == "yes"


def fail_all(x: Array) -> Array:
    return np.full(len(x), np.inf)


def plateau(x: Array) -> Array:
    return np.ones(len(x))


@pytest.mark.parametrize("loss", [bowl, fail_all, plateau])
@pytest.mark.parametrize("bound", [None, 1.0])
@pytest.mark.parametrize("name", [name for name in PLAIN if name != "xnes"])
def test_a_single_dimension_is_searched_to_the_end_of_the_budget(name: str, bound: float | None, loss: Loss) -> None:
    space = wide(dim=1, bound=bound)
    x = np.concatenate(drive(plain(name, space, budget=120), loss, 120))
    assert x.shape[1] == 1
    assert np.isfinite(x).all()
    assert np.array_equal(space.clip(x), x)


@pytest.mark.parametrize("name", PLAIN)
def test_parameters_have_defaults(name: str) -> None:
    for parameter in OPTIMIZERS.parameters(OPTIMIZERS.load(name)).values():
        assert parameter.default is not inspect.Parameter.empty


@pytest.mark.parametrize("name", PLAIN)
def test_nothing_is_printed_or_written(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    drive(plain(name, SPACES["box"]), plateau)
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("outer", ["rembo", "sre"])
@pytest.mark.parametrize("name", PLAIN)
def test_any_plain_optimizer_stands_inside_another(name: str, outer: str) -> None:
    run = Embeddings(wide(), 3)
    share = {"rembo": "k", "sre": "stages"}[outer]
    optimizer = run.build(outer, budget=24, inner=Component(name, QUICK.get(name, {})), **{share: 2})  # type: ignore[arg-type]
    batches = drive_points(optimizer, 24)
    assert sum(map(len, batches)) == 24
    assert all(np.isfinite(batch.dense()).all() for batch in batches)


NO_CLAIM = {
    # They learn nothing, and say so.
    *("random", "sobol", "start"),
    # What they do is their method's; docs/optimizers.md compares all of them.
    *("nevergrad", "optuna"),
    # Its claim is for many variables of which few matter, and is tested below.
    "rembo",
    # It is composite or cma.
    "auto",
    # They search words; of numbers they try 32 levels.
    *("genetic", "bdpl"),
    # Theirs is for many variables: tests/test_large_scale.py.
    *("lbo", "lm_ma_es", "mmes", "cr_fm_nes"),
}
RACERS = [
    *(Component(name) for name in CLASSES if name not in NO_CLAIM),
    Component("openai_es", {"step": "plain"}),
    *(Component("cma", {"variant": variant}) for variant in ("sep", "vkd")),
]
# Those that need few evaluations to be better, and much time for many.
BUDGETS = {"bo": 16, "turbo": 40, "composite_loss": 100, "secant": 100}
BUDGETS |= dict.fromkeys(["composite", "prox_linear", "surrogate", "gradient_distillation", "cobyqa"], 60)


@pytest.mark.parametrize("dim", [2, 10])
@pytest.mark.parametrize("racer", RACERS, ids=str)
def test_a_built_in_that_learns_is_better_than_random_search(racer: Component, dim: int) -> None:
    assert race(resolve(OPTIMIZERS, racer), dim, BUDGETS.get(racer.name, 400)) == "better"


@pytest.mark.parametrize("dim", [2, 10])
@pytest.mark.parametrize("racer", [racer for racer in RACERS if racer.name in PLAIN], ids=str)
def test_who_learns_beats_random_search_without_bounds_too(racer: Component, dim: int) -> None:
    # Where these have a hundred points, their processes take seconds for the next ones.
    budget = 100 if racer.name in ("turbo", "composite_loss", "secant", "surrogate", "cobyqa") else 400
    space = Space(dim, None, None, Anchor.origin(dim), 1.0)

    def median(name: str, **params: Any) -> float:
        runs = (drive(plain(name, space, budget=budget, seed=seed, **params), budget=budget) for seed in range(3))
        return float(np.median([bowl(np.concatenate(batches)[:budget]).min() for batches in runs]))

    assert median(racer.name, **racer.params) < median("random")


# sobol


def test_each_batch_of_sobol_has_one_point_in_every_sixteenth_of_a_coordinate() -> None:
    for batch in drive(plain("sobol", SPACES["box"]), budget=64):
        assert np.array_equal(np.sort(np.floor((batch + 1.0) / 4.0 * 16), axis=0), np.tile(np.arange(16)[:, None], 3))


def test_sobol_without_bounds_is_normal_around_the_start() -> None:
    x = np.concatenate(drive(plain("sobol", SPACES["free"]), budget=1_024))
    assert np.allclose(x.mean(axis=0), [1.0, -2.0, 0.5], atol=0.01)
    assert np.allclose(x.std(axis=0), 0.5, rtol=0.02)


# one_plus_one


def test_the_step_of_one_plus_one_is_at_rest_with_one_success_in_five() -> None:
    optimizer = plain("one_plus_one", SPACES["free"])
    parent = optimizer.ask()
    assert parent.tolist() == [[1.0, -2.0, 0.5]]
    optimizer.tell(parent, np.array([0.0]))
    draws = np.random.default_rng(0)
    steps = []
    for turn in range(11):
        x = optimizer.ask()
        steps.append(((x - parent) / draws.standard_normal(3)).mean())
        success = turn % 5 == 0
        parent = x if success else parent
        optimizer.tell(x, np.array([-turn if success else 1.0]))
    assert steps[0] == pytest.approx(0.5)
    assert steps[1] == pytest.approx(0.5 * np.exp(1 / 2))
    assert steps[2] < steps[1]
    assert steps[5] == pytest.approx(0.5)
    assert steps[10] == pytest.approx(0.5)


def test_one_plus_one_that_never_succeeds_begins_again_with_its_first_step() -> None:
    optimizer = plain("one_plus_one", SPACES["free"])
    start = optimizer.ask()
    optimizer.tell(start, np.array([0.0]))
    batches = drive(optimizer, lambda x: np.ones(len(x)), 300)
    assert len(optimizer.events) == 1
    assert np.abs(batches[-1] - start).max() > 1e-8


# spsa


def test_spsa_asks_ten_pairs_around_the_start_and_then_pairs() -> None:
    first, *pairs = drive(plain("spsa", SPACES["free"], c=0.2), budget=30)
    assert [len(first), *map(len, pairs)] == [20, 2, 2, 2, 2, 2]
    assert np.allclose(first[:10] + first[10:], [2.0, -4.0, 1.0])
    assert np.allclose(np.abs(first - [1.0, -2.0, 0.5]), 0.2 * 0.5)


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_the_first_step_of_spsa_is_as_long_as_asked_in_any_unit_of_the_losses(unit: float) -> None:
    space = Space(1, None, None, Anchor.origin(1), 4.0)
    _, pair = drive(plain("spsa", space, step=0.25), lambda x: unit * x[:, 0], 22)
    assert pair.mean() == pytest.approx(-0.25 * 4.0)


def test_the_perturbation_and_the_steps_of_spsa_fall_as_its_equations_say() -> None:
    space = Space(1, None, None, Anchor.origin(1), 2.0)
    _, *pairs = drive(plain("spsa", space, budget=100, c=0.1, step=0.25), lambda x: 3 * x[:, 0], 40)
    k = np.arange(1, 11)
    assert [abs(float(pair[0, 0] - pair[1, 0])) / 2 for pair in pairs] == pytest.approx(2.0 * 0.1 / (k + 1) ** 0.101)
    # A is a tenth of 50 iterations, and a makes the first step 0.25 scales long.
    steps = -np.diff([0.0, *(pair.mean() for pair in pairs)])
    assert steps == pytest.approx(2.0 * 0.25 * (6 / (5 + k)) ** 0.602)


def test_spsa_stays_near_where_the_loss_grows_faster_than_it_can_follow() -> None:
    x = np.concatenate(drive(plain("spsa", SPACES["free"], step=2.0), lambda x: (x**4).sum(axis=1) ** 2, 400))
    assert np.abs(x).max() < 10


# openai_es


def test_openai_es_follows_its_equation_from_mirrored_points_and_ranks() -> None:
    optimizer = plain("openai_es", SPACES["free"], popsize=6, sigma=0.3, lr=0.2, step="plain")
    x = optimizer.ask()
    start = np.array([1.0, -2.0, 0.5])
    epsilon = (x - start) / (0.3 * 0.5)
    assert np.allclose(epsilon[:3], -epsilon[3:])
    optimizer.tell(x, np.array([5.0, np.inf, 0.0, 7.0, 5.0, -90.0]))
    shaped = np.array([0.0, 0.5, -0.3, 0.3, 0.0, -0.5])  # the middle ranks are shared by the two equal losses
    expected = start - 0.2 * 0.5 * shaped @ epsilon / (6 * 0.3)
    again = optimizer.ask()
    assert np.allclose((again[:3] + again[3:]) / 2, expected)


def test_openai_es_sees_only_ranks() -> None:
    losses: list[Loss] = [bowl, lambda x: np.exp(3 * bowl(x))]
    first, again = (drive(plain("openai_es", SPACES["free"]), loss, 200) for loss in losses)
    assert all(map(np.array_equal, first, again))


# zo_adam


def test_the_first_step_of_zo_adam_is_the_learning_rate_in_every_coordinate() -> None:
    first, second = drive(plain("zo_adam", SPACES["free"], lr=0.25), budget=4)
    move = second.mean(axis=0) - first.mean(axis=0)
    assert np.allclose(first.mean(axis=0), [1.0, -2.0, 0.5])
    assert np.allclose(np.abs(move), 0.25 * 0.5)
    uphill = (first[0] - first[1]) * (bowl(first)[0] - bowl(first)[1])
    assert np.array_equal(np.sign(move), -np.sign(uphill))


def test_zo_adam_takes_the_steps_of_torch() -> None:
    theirs = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64, requires_grad=True)
    reference = torch.optim.Adam([theirs], lr=0.25 * 0.5)
    units = np.logspace(-6, 6, 20)
    optimizer = plain("zo_adam", SPACES["free"], eps=0.1, lr=0.25)
    for unit in units:
        pair = optimizer.ask()
        assert pair.mean(axis=0) == pytest.approx(theirs.detach().numpy(), rel=1e-9)
        losses = unit * bowl(pair)
        optimizer.tell(pair, losses)
        z = (pair[0] - pair[1]) / (2 * 0.1 * 0.5)
        theirs.grad = torch.from_numpy((losses[0] - losses[1]) / (2 * 0.1) * z)
        reference.step()


# xnes


def test_xnes_converges_and_goes_on_from_the_incumbent() -> None:
    optimizer = plain("xnes", SPACES["free"])
    x = np.concatenate(drive(optimizer, budget=6_000))
    assert bowl(x).min() < 1e-12
    assert any("restarted" in event for event in optimizer.events)
    assert np.linalg.norm(x[-20:] - 0.7, axis=1).max() < 5 * 0.3 * 0.5


def test_xnes_refuses_a_single_dimension() -> None:
    with pytest.raises(InputError, match="at least 2 dimensions"):
        plain("xnes", Space(1, None, None, Anchor.origin(1), 1.0))


# turbo


def test_turbo_asks_the_start_and_a_hypercube_of_two_points_a_dimension_then_batches() -> None:
    batches = drive(plain("turbo", SPACES["free"], batch=4, box=3.0), budget=26)
    assert [len(batch) for batch in batches] == [6, 4, 4, 4, 4, 4]
    assert np.allclose(batches[0][0], [1.0, -2.0, 0.5])
    assert 1.0 < np.abs(np.concatenate(batches) - [1.0, -2.0, 0.5]).max() <= 3.0 * 0.5
    assert all(len(np.unique(batch, axis=0)) == len(batch) for batch in batches)


def test_turbo_spends_at_most_a_quarter_of_the_budget_on_its_start_up() -> None:
    space = Space(40, -1.0, 1.0, Anchor.origin(40), 1.0)
    assert len(plain("turbo", space, budget=100, batch=5).ask()) == 25


@pytest.mark.parametrize("name", ["sobol", "turbo"])
def test_more_dimensions_than_a_sobol_sequence_has_are_refused_before_the_first_point(name: str) -> None:
    with pytest.raises(InputError, match="at most 21201 dimensions, not 21202"):
        plain(name, wide(dim=21_202))


def test_the_trust_region_of_turbo_shrinks_without_success_until_it_begins_anew() -> None:
    optimizer = plain("turbo", SPACES["box"], batch=5, points=15)
    best = SPACES["box"].start.dense()
    start, *rest = drive(optimizer, lambda x: np.where((x == best).all(axis=1), 0.0, 1.0), 60)
    spread = [np.abs(batch - start[0]).max() for batch in rest[:7]]
    assert spread[6] < 0.1 * spread[0]
    assert optimizer.events == ["the trust region vanished after 41 evaluations; restarted"]
    assert np.abs(rest[7] - start[0]).max() > spread[0]


@pytest.mark.parametrize(("successes", "evaluations"), [(2, 6 + 10 + 7 * 5), (3, 6 + 15 + 8 * 5), (6, 6 + 30 + 8 * 5)])
def test_the_trust_region_of_turbo_doubles_after_three_successes_in_a_row_up_to_twice_its_first_length(
    successes: int, evaluations: int
) -> None:
    # With a batch above the dimension every failure halves it: 7 times from 0.8 to below 2^-7, 8 times from 1.6.
    losses = iter([*range(100, 99 - successes, -1), *[1_000] * 20])
    optimizer = plain("turbo", SPACES["box"], batch=5, points=15)
    drive(optimizer, lambda x: np.full(len(x), float(next(losses))), evaluations)
    assert optimizer.events == [f"the trust region vanished after {evaluations} evaluations; restarted"]


def test_a_candidate_of_turbo_differs_from_the_incumbent_in_about_twenty_coordinates() -> None:
    optimizer = plain("turbo", wide(dim=100, start=0.1), budget=40, batch=10, points=40)
    _, *batches = drive(optimizer, lambda x: np.where((x == 0.1).all(axis=1), 0.0, 1.0), 60)
    moved = np.concatenate([~np.isclose(batch, 0.1, rtol=0, atol=1e-12) for batch in batches])
    assert moved.any(axis=1).all()
    assert moved.sum(axis=1).mean() == pytest.approx(20, abs=4)


def test_the_gradients_of_a_process_are_those_of_its_differences() -> None:
    gp = importlib.import_module("dfo_bench.optimizers._gp")
    rng = np.random.default_rng(0)
    x = rng.random((12, 3))
    process = gp.GaussianProcess(x, np.sin(5 * x).sum(axis=1))

    def posterior(at: Array) -> float:
        return float(process._posterior(at)[0])

    def improvement(at: Array) -> float:
        return float(process.log_improvement(at[None])[0][0])

    logs = rng.normal(-1, 0.3, 4)
    differences = approx_fprime(logs, posterior, 1e-6)
    assert process._posterior(logs)[1] == pytest.approx(differences, rel=1e-3, abs=1e-4)
    for at in (x[0] + 0.02, x[0] + 0.3):
        differences = approx_fprime(at, improvement, 1e-7)
        assert process.log_improvement(at[None])[1][0] == pytest.approx(differences, rel=1e-3, abs=1e-3)


def test_two_random_points_of_a_cube_of_500_dimensions_are_not_independent_to_a_process() -> None:
    gp = importlib.import_module("dfo_bench.optimizers._gp")
    rng = np.random.default_rng(0)
    x = rng.random((20, 500))
    process = gp.GaussianProcess(x, gp.standardized(bowl(x)))
    assert np.median(process._covariance(x, x)) > 0.05


def test_draws_of_a_process_pass_by_what_it_has_seen_and_differ_far_from_it() -> None:
    gp = importlib.import_module("dfo_bench.optimizers._gp")
    rng = np.random.default_rng(0)
    x = rng.random((40, 2)) * 0.5
    y = np.sin(6 * x[:, 0]) + x[:, 1]
    y = (y - y.mean()) / y.std()
    process = gp.GaussianProcess(x, y)
    draws = process.sample(np.concatenate([x, [[1.0, 1.0]]]), 200, rng)
    assert np.abs(draws[:, :-1].mean(axis=0) - y).max() < 0.1
    assert draws[:, :-1].std(axis=0).max() < 0.1 < draws[:, -1].std()


# cma


@pytest.mark.parametrize("variant", ["full", "sep", "vkd"])
def test_every_variant_of_cma_learns_the_axes_of_an_ellipsoid(variant: str) -> None:
    stretch = 10.0 ** np.arange(3)
    optimizer = plain("cma", SPACES["free"], variant=variant, popsize=8)
    x = np.concatenate(drive(optimizer, lambda x: np.asarray(((stretch * (x - 0.7)) ** 2).sum(axis=1)), 1_600))
    assert np.abs(x - 0.7).max(axis=1).min() < 1e-4
    last = np.concatenate([optimizer.ask() for _ in range(50)]).std(axis=0)
    assert last[0] > 20 * last[2]


def test_cma_asks_populations_around_the_start_with_a_first_step_of_sigma_scales() -> None:
    x = plain("cma", SPACES["free"], sigma=2.0, popsize=2_000).ask()
    assert np.allclose(x.mean(axis=0), [1.0, -2.0, 0.5], atol=0.1)
    assert np.allclose(x.std(axis=0), 2.0 * 0.5, rtol=0.1)


def test_the_first_step_of_cma_is_at_most_three_tenths_of_a_box() -> None:
    space = Space(2, -1.0, 1.0, Anchor.origin(2), 100.0)
    assert plain("cma", space, popsize=2_000).ask().std() == pytest.approx(0.58, abs=0.06)


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_cma_converges_and_goes_on_from_the_incumbent(space: Space) -> None:
    optimizer = plain("cma", space)
    batches = drive(optimizer, budget=4_000)
    assert bowl(np.concatenate(batches)).min() < 1e-12
    assert any("restarted" in event for event in optimizer.events)


# bo


def test_bo_asks_a_random_start_up_then_points_one_by_one_then_populations() -> None:
    sizes = [len(batch) for batch in drive(plain("bo", SPACES["box"], points=12))]
    assert sizes == [8, 1, 1, 1, 1, 20, 20, 20]


def test_bo_with_fewer_points_than_its_start_up_takes_as_many() -> None:
    assert [len(batch) for batch in drive(plain("bo", SPACES["box"], points=3), budget=20)] == [3, 20]


def test_bo_without_bounds_searches_a_box_around_the_start() -> None:
    optimizer = plain("bo", SPACES["free"], points=500, box=4.0)
    x = np.concatenate(drive(optimizer, budget=9)) - [1.0, -2.0, 0.5]
    assert 1.0 < np.abs(x).max() <= 4.0 * 0.5


def test_bo_beats_its_start_up_on_a_smooth_function() -> None:
    losses = [bowl(batch).min() for batch in drive(plain("bo", SPACES["box"], points=15), budget=15)]
    assert min(losses[1:]) < 0.2 * losses[0]


def test_bo_hands_its_incumbent_to_cma() -> None:
    batches = drive(plain("bo", Space(3, -50.0, 50.0, Anchor.origin(3), 0.01), points=10), budget=30)
    gp = np.concatenate(batches[:-1])
    assert np.abs(batches[-1] - gp[np.argmin(bowl(gp))]).max() < 0.1


# rembo


def test_rembo_takes_turns_between_k_embeddings_and_spends_the_budget_to_the_last_point() -> None:
    run = Embeddings(wide(), 3)
    batches = drive_points(run.build("rembo", budget=50, k=4, inner=Component("random")), 50)
    assert [budget for _, _, budget in run.made] == [13, 13, 12, 12]
    assert [len(batch) for batch in batches] == [13, 13, 12, 12]
    assert [batch.recipe()[1]["embedding"] for batch in batches] == [0, 1, 2, 3]
    assert run.drawn == [0, 1, 2, 3]


def test_rembo_asks_an_embedding_no_more_when_its_share_is_spent() -> None:
    run = Embeddings(wide(), 3)
    batches = drive_points(run.build("rembo", budget=101, k=2, inner=Component("cma", {"popsize": 17})), 101)
    spent: Counter[int] = Counter()
    for batch in batches:
        spent[batch.recipe()[1]["embedding"]] += len(batch)
    assert spent == {0: 51, 1: 50}
    assert [len(batch) for batch in batches] == [17, 17, 17, 17, 17, 16]


def test_rembo_with_more_embeddings_than_budget_draws_one_a_point() -> None:
    run = Embeddings(wide(), 3)
    assert len(drive_points(run.build("rembo", budget=3, k=10, inner=Component("random")), 3)) == 3
    assert run.drawn == [0, 1, 2]


@pytest.mark.parametrize(("bound", "box", "half"), [(1.0, None, 3.0), (None, None, 5.0), (1.0, 0.5, 0.5)])
def test_the_box_of_rembo_is_d_wide_where_the_task_has_bounds(
    bound: float | None, box: float | None, half: float
) -> None:
    run = Embeddings(wide(bound=bound), 3)
    run.build("rembo", budget=50, inner=Component("random"), box=box)
    assert {(space.lower, space.upper, space.scale) for _, space, _ in run.made} == {(-half, half, 1.0)}


def test_the_embeddings_of_rembo_draw_from_streams_of_their_own() -> None:
    run = Embeddings(wide(), 3)
    batches = drive_points(run.build("rembo", budget=40, k=2, inner=Component("random")), 40)
    assert not np.array_equal(batches[0].recipe()[0], batches[1].recipe()[0])


def test_rembo_beats_random_search_where_ten_of_a_hundred_variables_matter() -> None:
    def ten(x: Array) -> Array:
        return bowl(x[:, 40:50])

    def best(seed: int) -> float:
        run = Embeddings(wide(dim=100, start=0.0), 10, seed)
        optimizer = run.build("rembo", budget=400, seed=seed, k=2, inner=Component("cma"))
        return min(float(ten(batch.dense()).min()) for batch in drive_points(optimizer, 400, ten))

    rng = np.random.default_rng(0)
    draws = [ten(rng.uniform(-1, 1, (400, 100))).min() for _ in range(60)]
    assert mannwhitneyu([best(seed) for seed in range(6)], draws, alternative="less").pvalue < 0.01


# sre


def test_sre_gives_every_stage_an_embedding_and_an_equal_share() -> None:
    run = Embeddings(wide(), 3)
    batches = drive_points(run.build("sre", budget=102, stages=5, inner=Component("random")), 102)
    stages = [batch.recipe()[1]["embedding"] for batch in batches]
    assert stages == [0, 0, 1, 1, 2, 3, 4]
    assert [len(batch) for batch in batches] == [20, 1, 20, 1, 20, 20, 20]
    assert [space.dim for _, space, _ in run.made] == [3, 4, 4, 4, 4]


def test_sre_with_more_stages_than_budget_has_one_a_point() -> None:
    run = Embeddings(wide(), 3)
    assert len(drive_points(run.build("sre", budget=2, inner=Component("random")), 2)) == 2


@pytest.mark.parametrize(("bound", "box"), [(1.0, 1.0), (None, 5.0)])
def test_a_stage_of_sre_is_clip_of_start_plus_alpha_times_the_way_so_far_plus_the_new_step(
    bound: float | None, box: float
) -> None:
    space = wide(dim=8, bound=bound, start=0.1, scale=0.5)
    run = Embeddings(space, 3)
    first, second = drive_points(run.build("sre", budget=40, stages=2, inner=Component("random")), 40)
    x = first.dense()
    previous = x[np.argmin(bowl(x))]
    numbers = second.recipe()[0]
    alpha, z = numbers[:, :1], numbers[:, 1:]
    assert 0.5 * box < np.abs(z).max() <= box
    assert np.abs(alpha).max() <= 1.0
    step = 0.5 * z @ run.embed(1).rows(np.arange(8)).T
    assert np.allclose(second.dense(), space.clip(0.1 + alpha * (previous - 0.1) + step))


def test_every_stage_of_sre_begins_at_the_best_point_so_far() -> None:
    run = Embeddings(wide(dim=6), 3)
    drive_points(run.build("sre", budget=60, stages=3, inner=Component("random")), 60)
    starts = [space.start.dense()[0].tolist() for _, space, _ in run.made]
    assert starts == [[0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 1]]


def test_sre_keeps_a_stage_only_if_it_improved() -> None:
    run = Embeddings(wide(dim=6), 3)
    best = iter([3.0, 9.0, 1.0])
    optimizer = run.build("sre", budget=60, stages=3, inner=Component("random"))
    batches = drive_points(optimizer, 60, lambda x: np.arange(len(x), dtype=float) + next(best))
    origin = batches[2].recipe()[1]["base"]["target"]
    assert origin["embedding"] == 0
    assert np.array_equal(origin["z"], batches[0].recipe()[0][0])


def test_sre_in_which_everything_failed_goes_on_from_the_start() -> None:
    run = Embeddings(wide(dim=6), 3)
    batches = drive_points(run.build("sre", budget=40, stages=2, inner=Component("random")), 40, fail_all)
    assert batches[1].recipe()[1]["base"]["target"]["anchor"] == "start"


# layerwise


def chained(x: Array) -> Array:
    """A bowl whose coordinates pull on those of other blocks, so that what was best becomes worse as others move."""
    return bowl(x) + 3 * ((x - np.roll(x, 5, axis=1)) ** 2).sum(axis=1)


@pytest.mark.parametrize("bound", [None, 0.6])
def test_layerwise_computes_what_bbtv2_does(bound: float | None) -> None:
    space = wide(bound=bound, blocks=3)
    run = Embeddings(space, 4)
    batches = drive_points(run.build("layerwise", budget=300, inner=Component("cma", {"popsize": 6})), 300, chained)
    assert len(batches) == 50

    rng = np.random.default_rng(0)
    free = Space(4, None, None, Anchor.origin(4), 1.0)
    strategies = [plain("cma", free, rng=r, popsize=6) for r in (rng, *rng.spawn(2))]
    best, losses = np.full(30, 0.1), [np.inf] * 3
    outdated = 0
    for turn, batch in enumerate(batches):
        block = turn % 3
        own = np.arange(10 * block, 10 * block + 10)
        z = strategies[block].ask()
        x = np.tile(best, (6, 1))
        x[:, own] = space.clip(0.1 + z @ run.embed(block).rows(own).T)
        np.testing.assert_allclose(batch.dense(), x, atol=1e-12)
        told = chained(x)
        strategies[block].tell(z, told)
        outdated += losses[block] < chained(best[None])[0] - 1e-6
        if told.min() < losses[block]:
            losses[block], best[own] = told.min(), x[np.argmin(told), own]
    assert outdated


def test_layerwise_on_one_block_is_its_inner_optimizer_in_one_embedding() -> None:
    run = Embeddings(wide(), 3)
    batches = drive_points(run.build("layerwise", budget=200), 200)
    inner = plain("cma", run.embed(0).search_space, budget=200)
    for batch in batches:
        z = inner.ask()
        lifted = run.embed(0).lift(z).dense()
        assert np.array_equal(batch.dense(), lifted)
        inner.tell(z, bowl(lifted))


def test_layerwise_gives_every_block_turns_an_embedding_and_an_equal_share() -> None:
    run = Embeddings(wide(blocks=3), 3)
    optimizer = run.build("layerwise", budget=130, inner=Component("random"))
    blocks = [batch.recipe()[1]["blocks"] for batch in drive_points(optimizer, 130)]
    assert [["z" in block for block in turn].index(False) for turn in blocks] == [0, 1, 2, 0, 1, 2, 0]
    assert [block["embedding"] for block in blocks[-1]] == [0, 1, 2]
    assert [budget for _, _, budget in run.made] == [43, 43, 43]
    assert run.drawn == [0, 1, 2]
    assert optimizer.events == []


def test_a_turn_of_layerwise_reads_the_embedding_of_its_block_only(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[tuple[int, int]] = []
    image = Embedding.image

    def noted(self: Embedding, z: Array, index: Index) -> Array:
        read.append((self.number, len(z)))
        return image(self, z, index)

    monkeypatch.setattr(Embedding, "image", noted)
    losses = iter(range(100, 0, -1))
    optimizer = Embeddings(wide(blocks=3), 3).build("layerwise", budget=1_000)
    for _ in range(6):
        points = optimizer.ask()
        for part in (points, points[:10], points[10:]):
            part.dense()
        optimizer.tell(np.full(20, float(next(losses))))
    # The block that was just searched once, for its new best, and the one that moves.
    assert read[-4:] == [(1, 1), (2, 20), (2, 10), (2, 10)]


def test_layerwise_in_which_a_block_failed_leaves_it_at_the_start() -> None:
    run = Embeddings(wide(blocks=3), 3)
    optimizer = run.build("layerwise", budget=100)
    for failed in (True, False, True, False):
        points = optimizer.ask()
        optimizer.tell(np.full(20, np.inf) if failed else bowl(points.dense()))
    assert [block.get("anchor") for block in optimizer.ask().recipe()[1]["blocks"]] == [None, None, "start"]


def test_layerwise_with_a_budget_below_one_cycle_says_so() -> None:
    optimizer = Embeddings(wide(blocks=3), 3).build("layerwise", budget=59)
    drive_points(optimizer, 40)
    assert optimizer.events == [
        "budget 59 is below one cycle of 3 blocks x 20 points: the last blocks stay at the start"
    ]


def test_layerwise_refuses_more_dimensions_than_a_block_has() -> None:
    with pytest.raises(InputError, match="dim 11 is above the 10 coordinates of each of 3 blocks"):
        Embeddings(wide(blocks=3), 11).build("layerwise", budget=100)


def test_layerwise_improves_on_random_search_layer_by_layer_and_of_all_at_once() -> None:
    def best(name: str, **params: Any) -> float:
        run = Embeddings(wide(dim=60, blocks=3), 10)
        return min(
            float(bowl(batch.dense()).min()) for batch in drive_points(run.build(name, budget=1_200, **params), 1_200)
        )

    random_search = Component("random")
    layers = best("layerwise")
    assert layers < best("layerwise", inner=random_search)
    assert layers < best("rembo", k=1, inner=random_search)


@pytest.mark.parametrize("name", ["rembo", "sre", "layerwise"])
def test_embedding_optimizers_replay_bit_for_bit(name: str) -> None:
    def digests(seed: int) -> list[str]:
        run = Embeddings(wide(blocks=3), 3)
        optimizer = run.build(name, budget=80, seed=seed, **QUICK.get(name, {}))
        return [digest for batch in drive_points(optimizer, 80) for digest in batch.digests()]

    first = digests(0)
    assert len(set(first)) == 80
    assert digests(0) == first
    assert not set(digests(1)) & set(first)


def test_sre_improves_on_one_embedding_and_random_search() -> None:
    def best(name: str, **params: Any) -> float:
        run = Embeddings(wide(dim=40), 4)
        batches = drive_points(run.build(name, budget=600, **params), 600)
        return min(float(bowl(batch.dense()).min()) for batch in batches)

    assert best("sre") < best("sre", stages=1) < best("sre", stages=1, inner=Component("random"))


# start


def test_start_asks_the_start_of_a_space_of_any_dimension_and_draws_no_embedding() -> None:
    for dim in (0, 8):
        run = Embeddings(wide(dim=dim), 0)
        (batch,) = drive_points(run.build("start", budget=1), 1)
        assert batch.dense().tolist() == [[0.1] * dim]
        assert not run.drawn
        assert not run.made
