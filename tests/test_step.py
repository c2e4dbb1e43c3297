"""Under alpha=auto the first evaluations of a run find its step; tasks whose step is known have 1."""

from pathlib import Path

import numpy as np
import pytest

from dfo_bench.embedding import Lifted
from dfo_bench.plugins.component import parse
from dfo_bench.runs.assembly import assemble
from dfo_bench.runs.spec import RunSpec
from dfo_bench.runs.step import DIRECTIONS, RADII, choose_step
from dfo_bench.store.store import Store
from dfo_bench.sweeps.execute import execute

FIRST = 1 + len(RADII) * DIRECTIONS
"""The start, and every step along every direction."""


@pytest.fixture
def store(tmp_path: Path, toys: Path) -> Store:
    return Store.create(tmp_path / "store")


def _spec(
    task: str = "toy:steps=true", optimizer: str = "odd", projection: str = "normal", budget: int = 40
) -> RunSpec:
    return RunSpec(parse(task), parse(optimizer), parse(projection), dim=3, budget=budget)


@pytest.mark.parametrize(
    ("means", "step"),
    [
        ([1.0, 1.0, 1.0, 1.0], 16.0),
        ([1.0, 1.02, 1.04, 1.06], 8.0),
        ([0.8, 0.7, 2.0, 2.0], 4.0),
        ([2.0, 1.0, np.inf, np.inf], 4.0),
        ([2.0, 2.0, 2.0, np.inf], 2.0),
    ],
)
def test_the_step_is_the_longest_that_costs_a_twentieth_of_the_loss_at_most(means: list[float], step: float) -> None:
    assert choose_step(1.0, np.tile(np.array(means)[:, None], DIRECTIONS)) == step


def test_a_start_that_fails_leaves_the_shortest_step() -> None:
    assert choose_step(np.inf, np.ones((len(RADII), DIRECTIONS))) == RADII[0]
    assert choose_step(np.inf, np.full((len(RADII), DIRECTIONS), np.inf)) == RADII[0]


def test_a_twentieth_of_a_negative_loss_is_a_loss_above_it() -> None:
    assert choose_step(-1.0, np.full((len(RADII), DIRECTIONS), -0.96)) == RADII[-1]


def test_all_optimizers_of_a_seed_find_their_step_at_the_same_points(store: Store) -> None:
    runs = [execute(_spec(optimizer=name), store.path) for name in ("odd", "cma", "sre", "rembo", "random")]
    keys = [run.key for run in runs]
    first = {key: store.curves([key])["digest"].tolist()[:FIRST] for key in keys}
    assert len({tuple(digests) for digests in first.values()}) == 1
    assert len({store.curves([key])["digest"].iloc[FIRST] for key in keys}) > 1
    found = {next(event for event in run.events if "alpha" in event) for run in runs}
    assert len(found) == 1


def test_the_optimizer_begins_after_the_step_is_found_with_what_is_left_of_the_budget(store: Store) -> None:
    summary = execute(_spec(optimizer="cma"), store.path)
    assert summary.evaluations == 40
    (step,) = (float(event.split()[1]) for event in summary.events if event.startswith("alpha=auto"))
    search = assemble(_spec(optimizer="cma")).search(step, 40 - FIRST, [])
    assert store.curves([summary.key])["digest"].tolist()[FIRST : FIRST + 20] == search.ask().digests()


def test_what_is_searched_is_stretched_by_the_step(store: Store) -> None:
    parts = assemble(_spec())
    plain, stretched = (parts.search(step, 20, []).ask().dense() for step in (1.0, 4.0))
    assert np.allclose(stretched, 4 * plain)
    by_hand = assemble(_spec(projection="normal:alpha=4")).optimizer().ask().dense()
    assert np.allclose(stretched, by_hand)


def test_gradients_are_those_in_the_z_that_the_optimizer_asked_for(store: Store) -> None:
    parts, z, gradient = assemble(_spec(optimizer="adam")), np.ones((1, 3)), np.ones((1, 12))
    stretched, plain = parts.embed(0), parts.embed(0)
    stretched.stretch = 4.0
    points, others = stretched.lift(z), plain.lift(z)
    assert isinstance(points, Lifted)
    assert isinstance(others, Lifted)
    assert np.allclose(points.pull_back(gradient), 4 * others.pull_back(gradient))


def test_a_run_that_stopped_after_its_step_was_found_goes_on_as_if_it_had_not(store: Store, tmp_path: Path) -> None:
    whole = execute(_spec(), store.path)
    other = Store.create(tmp_path / "other")
    broken = _spec(f"toy:steps=true,down={tmp_path / 'down'}")
    (tmp_path / "down").write_text("evaluate")
    with pytest.raises(Exception, match="no evaluate"):
        execute(broken, other.path)
    (tmp_path / "down").unlink()
    resumed = execute(broken, other.path)
    exact = ["evaluation", "loss", "digest"]
    assert other.curves([resumed.key])[exact].equals(store.curves([whole.key])[exact])


def test_where_the_step_is_known_alpha_is_1_in_spec_and_key(store: Store) -> None:
    known, said = (assemble(_spec("toy", projection=text)) for text in ("normal", "normal:alpha=1"))
    assert known.key == said.key
    assert known.spec.projection.params["alpha"] == 1.0
    assert known.shown()["projection"] == "normal"
    found = assemble(_spec())
    assert found.spec.projection.params["alpha"] == "auto"
    assert found.shown()["projection"] == "normal"
    assert assemble(_spec(projection="normal:alpha=1")).shown()["projection"] == "normal:alpha=1.0"


def test_who_evaluates_the_start_alone_needs_no_step(store: Store) -> None:
    summary = execute(_spec(optimizer="start"), store.path)
    assert summary.evaluations == 1
    assert summary.spec.projection.params["alpha"] == 1.0
