"""The doors to whole libraries: nevergrad, optuna, evosax, optimagic, and COBYQA, which calls a function."""

import runpy
import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dfo_bench.core import Anchor, Array, Dense, InputError, Optimizer, Space
from dfo_bench.plugins.component import component
from dfo_bench.plugins.plugin import resolve
from dfo_bench.plugins.registry import OPTIMIZERS
from dfo_bench.testing.checks import results
from dfo_bench.testing.optimizers import CHECKS, repeats_in_another_process, survives_huge_losses
from dfo_bench.threads import single_threaded

FREE = Space(3, None, None, Dense(np.array([[1.0, -2.0, 0.5]])), 0.5)
BOX = Space(3, -1.0, 3.0, Dense(np.array([[0.0, 2.5, 1.0]])), 1.0)


def bowl(x: Array) -> Array:
    return ((x - 0.7) ** 2).sum(axis=1)


def fails_on_the_left(x: Array) -> Array:
    return np.where(x[:, 0] < 0.7, np.inf, bowl(x))


def build(name: str, space: Space = FREE, *, budget: int = 60, seed: int = 0, **params: Any) -> Optimizer:
    cls = OPTIMIZERS.load(name)
    assert issubclass(cls, Optimizer)
    return cls(space, budget=budget, rng=np.random.default_rng(seed), **params)


def drive(optimizer: Optimizer, loss: Callable[[Array], Array] = bowl) -> list[Array]:
    batches: list[Array] = []
    with single_threaded():
        while sum(map(len, batches)) < optimizer.budget:
            batches.append(optimizer.ask())
            optimizer.tell(batches[-1], loss(batches[-1]))
    return batches


# One of every kind nevergrad has: steps, populations, designs, minimisers in threads, chains, those that draw from
# NumPy's global generator, and those that a NumPy too new for nevergrad breaks.
METHODS = [
    "CMA",
    "ChainCMAPowell",
    "Cobyla",
    "HugeLognormalDiscreteOnePlusOne",
    "NGOptF",
    "OnePlusOne",
    "PSO",
    "Powell",
    "ScrHammersleySearch",
    "TwoPointsDE",
]
SAMPLERS = ["CmaEsSampler", "NSGAIISampler", "QMCSampler", "RandomSampler", "TPESampler"]
# A distribution and a population; steps side by side and one after another.
OTHERS = [("evosax", "HillClimbing"), ("evosax", "MR15_GA")]
OTHERS += [("optimagic", "neldermead_parallel"), ("optimagic", "scipy_powell")]
CASES = [("nevergrad", {"method": name}) for name in METHODS] + [("optuna", {"sampler": name}) for name in SAMPLERS]
CASES += [(door, {"method": name}) for door, name in OTHERS]


@pytest.mark.parametrize("space", [FREE, BOX], ids=["free", "box"])
@pytest.mark.parametrize(("name", "params"), CASES, ids=[*METHODS, *SAMPLERS, *(name for _, name in OTHERS)])
def test_a_seed_asks_the_same_finite_points_of_the_space_though_evaluations_fail(
    name: str, params: dict[str, Any], space: Space
) -> None:
    np.random.seed(1)  # noqa: NPY002
    first = drive(build(name, space, **params), fails_on_the_left)
    np.random.seed(2)  # noqa: NPY002
    again = drive(build(name, space, **params), fails_on_the_left)
    assert all(map(np.array_equal, first, again))
    x = np.concatenate(first)
    assert np.isfinite(x).all()
    assert np.array_equal(space.clip(x), x)


@pytest.mark.parametrize("name", ["evosax:method=HillClimbing", "optimagic"])
def test_doors_that_are_slow_to_open_keep_the_contract(name: str) -> None:
    checked = [check for check in CHECKS if check is not repeats_in_another_process]
    assert not [problem for _, problem in results(checked, resolve(OPTIMIZERS, component(name))) if problem]


def test_a_minimiser_of_slopes_goes_on_when_losses_are_as_large_as_floats_get() -> None:
    assert not survives_huge_losses(resolve(OPTIMIZERS, component("nevergrad:method=BFGS")))


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("nevergrad", {"method": "TwoPointDE"}, "no method of nevergrad named 'TwoPointDE'; did you mean TwoPointsDE"),
        ("evosax", {"method": "CMAES"}, "no method of evosax named 'CMAES'; did you mean CMA_ES"),
        ("optimagic", {"method": "scipy_lbfgsb"}, "no gradient-free method of optimagic named 'scipy_lbfgsb'"),
        ("optimagic", {"method": "nlopt_bobyqa"}, "another package's, which is not installed"),
        ("optimagic", {"options": {"seed": 3}}, "no option of neldermead_parallel named 'seed'"),
        ("optuna", {"sampler": "TPESample"}, "no sampler of optuna named 'TPESample'; did you mean TPESampler"),
        (
            "optuna",
            {"options": {"multivarite": True}},
            "no option of TPESampler named 'multivarite'; did you mean mult",
        ),
        ("optuna", {"options": {"seed": 3}}, "no option of TPESampler named 'seed'"),
        ("optuna", {"sampler": "GridSampler"}, "GridSampler needs search_space"),
    ],
)
def test_what_the_library_does_not_have_is_refused_with_the_nearest_names(
    name: str, params: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        build(name, **params)


def test_a_package_that_a_method_misses_is_found_before_a_sweep_begins(tmp_path: Path) -> None:
    command = ["run", "-t", "sphere", "-o", "nevergrad:method=SMAC3", "-d", "3", "-b", "20", "--store", "demo"]
    done = subprocess.run(
        [sys.executable, "-m", "dfo_bench", *command],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).resolve().parents[1])},
    )
    assert done.returncode == 2
    assert done.stderr.startswith(
        "dfo-bench: optimizer nevergrad:method=SMAC3 cannot be asked: it needs the Python module"
    )
    assert not list(tmp_path.iterdir())


# nevergrad


@pytest.mark.parametrize(("method", "size"), [("TwoPointsDE", 20), ("Cobyla", 1)])
def test_nevergrad_is_asked_for_twenty_points_where_it_works_in_parallel(method: str, size: int) -> None:
    assert {len(batch) for batch in drive(build("nevergrad", method=method))} == {size}


def test_a_numpy_that_is_too_new_for_nevergrad_is_named_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(np, "__version__", "2.4.6")
    monkeypatch.setattr("importlib.metadata.version", lambda name: "1.0.12")
    monkeypatch.delitem(sys.modules, "dfo_bench.optimizers.nevergrad", raising=False)
    runpy.run_module("dfo_bench.optimizers.nevergrad")
    assert "does not work with NumPy 2.4.6" in caplog.text
    assert "pip install 'numpy<2.4'" in caplog.text


def test_the_last_batch_of_nevergrad_is_as_short_as_the_budget_leaves_it() -> None:
    assert [len(batch) for batch in drive(build("nevergrad", budget=50))] == [20, 20, 10]


def test_nevergrad_starts_at_the_start_with_a_mutation_of_one_scale() -> None:
    assert build("nevergrad", method="OnePlusOne").ask()[0].tolist() == [1.0, -2.0, 0.5]
    x = np.concatenate(drive(build("nevergrad", method="RandomSearch", budget=2_000)))
    assert np.allclose(x.mean(axis=0), [1.0, -2.0, 0.5], atol=0.05)
    assert np.allclose(x.std(axis=0), 0.5, rtol=0.1)


def test_a_minimiser_of_nevergrad_that_has_converged_starts_again_elsewhere_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recastlib = sys.modules["nevergrad.optimization.recastlib"]

    def three_evaluations(_: object, loss: Callable[[Array], float]) -> Array:
        return min((np.full(3, float(i)) for i in range(3)), key=loss)

    monkeypatch.setattr(recastlib._NonObjectMinimizeBase, "_optimization_function", staticmethod(three_evaluations))
    optimizer = build("nevergrad", method="Powell", budget=7)
    x = np.concatenate(drive(optimizer))
    assert x[0].tolist() == [1.0, -2.0, 0.5]
    assert not np.array_equal(x[3], x[0])
    assert len(optimizer.events) == 2
    assert "stopped after 3; restarted" in optimizer.events[0]


def test_the_global_generator_is_the_callers_own_again_though_a_method_draws_from_one() -> None:
    np.random.seed(7)  # noqa: NPY002
    np.random.standard_normal()  # noqa: NPY002 - leaves the second half of a pair
    before = str(np.random.get_state())  # noqa: NPY002
    drive(build("nevergrad", method="HugeLognormalDiscreteOnePlusOne"))
    assert str(np.random.get_state()) == before  # noqa: NPY002


def test_a_program_ends_though_a_minimiser_still_waits_for_a_loss(tmp_path: Path) -> None:
    program = (
        "import numpy as np\nfrom dfo_bench.plugins.registry import OPTIMIZERS\n"
        "from dfo_bench.core import Anchor, Space\n"
        "space = Space(3, None, None, Anchor.origin(3), 1.0)\n"
        "cls = OPTIMIZERS.load('nevergrad')\n"
        "kept = cls(space, budget=9, rng=np.random.default_rng(0), method='Powell')\nprint(kept.ask().shape)\n"
    )
    environment = {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=300
    )
    assert (done.returncode, done.stdout) == (0, "(1, 3)\n"), done.stderr


# optuna


def test_optuna_without_bounds_searches_a_box_around_the_start() -> None:
    x = np.concatenate(drive(build("optuna", sampler="RandomSampler", box=4.0, budget=300))) - [1.0, -2.0, 0.5]
    assert 1.9 < np.abs(x).max() <= 4.0 * 0.5


@pytest.mark.parametrize(
    ("params", "size"),
    [
        ({"sampler": "TPESampler"}, 1),
        ({"sampler": "RandomSampler"}, 20),
        ({"sampler": "NSGAIISampler"}, 50),
        ({"sampler": "NSGAIISampler", "options": {"population_size": 8}}, 8),
    ],
)
def test_optuna_is_asked_for_the_natural_batch_of_its_sampler(params: dict[str, Any], size: int) -> None:
    assert len(build("optuna", **params).ask()) == size


def test_the_options_of_a_sampler_reach_it() -> None:
    plain = drive(build("optuna", options={"n_startup_trials": 60}))
    assert not np.array_equal(plain[-1], drive(build("optuna", options={"multivariate": True}))[-1])


# evosax


def test_evosax_is_asked_for_twenty_points_and_leaves_the_precision_of_jax() -> None:
    assert {len(batch) for batch in drive(build("evosax", method="HillClimbing"))} == {20}
    assert sys.modules["jax"].numpy.zeros(1).dtype == np.float32


def test_without_the_package_a_door_names_the_extra() -> None:
    code = (
        "import sys\nsys.modules.update(dict.fromkeys(['evosax', 'optimagic']))\n"
        "from dfo_bench.plugins.registry import OPTIMIZERS\n"
        "for name in ('evosax', 'optimagic'):\n    try:\n        OPTIMIZERS.load(name)\n"
        "    except ValueError as error:\n        print(error)"
    )
    environment = {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    first, second = done.stdout.splitlines()
    assert "pip install 'dfo-bench[evosax]'" in first
    assert "pip install 'dfo-bench[optimagic]'" in second


# What calls a function, and is asked


def test_a_minimiser_that_has_converged_starts_again_elsewhere_and_says_so() -> None:
    optimizer = build("cobyqa", budget=80)
    x = np.concatenate(drive(optimizer))
    assert x[0].tolist() == [1.0, -2.0, 0.5]
    assert np.abs(x - 0.7).max(axis=1).min() < 1e-5
    assert "restarted" in optimizer.events[0]


def test_a_minimiser_is_asked_for_what_its_pieces_of_work_wait_for_together() -> None:
    sizes = [
        len(batch) for batch in drive(build("optimagic", Space(30, None, None, Anchor.origin(30), 1.0), budget=90))
    ]
    assert sizes[0] == 20
    assert max(sizes) <= 20


def test_a_minimiser_that_is_dropped_in_the_middle_of_its_work_is_gone() -> None:
    optimizer = build("cobyqa")
    optimizer.ask()
    gone = weakref.ref(optimizer)
    del optimizer
    assert gone() is None


def test_two_minimisers_in_turns_ask_what_each_would_alone() -> None:
    alone = drive(build("cobyqa", budget=12))
    one, other = build("cobyqa", budget=12), build("cobyqa", budget=12)
    for expected in alone[:8]:
        for optimizer in (one, other):
            x = optimizer.ask()
            assert x.tolist() == expected.tolist()
            optimizer.tell(x, bowl(x))
