"""Embeddings: rows on demand, and the lift."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from dfo_bench.core import Anchor, Array, Blend, Dense, Embedding, InputError, Lifted, Space
from dfo_bench.plugins.component import Component, parse
from dfo_bench.plugins.plugin import resolve
from dfo_bench.plugins.registry import PROJECTIONS
from dfo_bench.sweeps.sweep import sweep
from dfo_bench.testing import check_plugin

ON_DEMAND = ["hashing", "normal", "uniform"]
RANDOM = [*ON_DEMAND, "orthogonal"]
FREE = ["normal", "orthogonal", "uniform"]
"""Those that start where the task does and leave its bounds to the lift."""
HUGE = 10**9

indices = st.lists(st.integers(0, HUGE - 1), min_size=1, max_size=20)


def space(dim: int, lower: float | None = None, upper: float | None = None, start: float = 0.0) -> Space:
    return Space(dim, lower, upper, Anchor(dim, "here", lambda index: np.full(len(index), start)), 2.0)


def draw(name: str, within: Space, dim: int = 3, seed: int = 0, index: int = 0, **params: Any) -> Embedding:
    return PROJECTIONS.load(name)(**params).draw(within, dim, seed, index)


def normal(*shape: int) -> Array:
    return np.random.default_rng(7).standard_normal(shape)


@pytest.mark.parametrize("name", ON_DEMAND)
@settings(deadline=None)
@given(indices, st.randoms())
def test_a_row_is_the_same_whatever_was_read_before_or_beside_it(name: str, wanted: list[int], random: Random) -> None:
    block = draw(name, space(HUGE)).rows(np.array(wanted))
    embedding = draw(name, space(HUGE))
    order = list(range(len(wanted)))
    random.shuffle(order)
    for i in order:
        assert np.array_equal(embedding.rows(np.array([wanted[i]]))[0], block[i])


@pytest.mark.parametrize("name", RANDOM)
@pytest.mark.parametrize("dim", [1, 4, 5, 17])
def test_consecutive_rows_in_one_call_equal_row_by_row_access(name: str, dim: int) -> None:
    embedding = draw(name, space(50), dim)
    assert np.array_equal(
        embedding.rows(np.arange(10, 40)), np.concatenate([embedding.rows(np.array([i])) for i in range(10, 40)])
    )


@pytest.mark.parametrize("name", RANDOM)
def test_rows_differ_between_seeds_and_between_the_embeddings_of_a_run(name: str) -> None:
    wanted = np.arange(5)
    rows = [draw(name, space(5), seed=seed, index=index).rows(wanted) for seed in (0, 1) for index in (0, 1)]
    assert len({block.tobytes() for block in rows}) == 4


@pytest.mark.parametrize("name", RANDOM)
@pytest.mark.parametrize("dim", [2, 10])
def test_entries_are_uncorrelated_with_mean_0_and_variance_1_over_d(name: str, dim: int) -> None:
    rows = draw(name, space(100_000), dim).rows(np.arange(100_000))
    assert np.abs(rows.mean()) < 0.01
    assert np.allclose(dim * np.cov(rows.T), np.eye(dim), atol=0.03)


def test_uniform_entries_fill_their_interval_and_no_more() -> None:
    rows = draw("uniform", space(10_000), 12).rows(np.arange(10_000))
    assert 0.4999 < np.abs(rows).max() <= 0.5


@pytest.mark.parametrize("name", RANDOM)
def test_z_with_unit_coordinates_moves_every_coordinate_by_one_scale(name: str) -> None:
    moved = draw(name, space(50_000), 8).lift(np.ones((1, 8))).dense()
    assert moved.std() == pytest.approx(2.0, rel=0.03)


@pytest.mark.parametrize("name", RANDOM)
def test_alpha_multiplies_the_step_and_scale_replaces_the_tasks(name: str) -> None:
    plain = draw(name, space(20)).lift(normal(2, 3)).dense()
    assert np.allclose(draw(name, space(20), alpha=0.5).lift(normal(2, 3)).dense(), plain / 2)
    assert np.allclose(draw(name, space(20), scale=1.0).lift(normal(2, 3)).dense(), plain / 2)


@pytest.mark.parametrize("name", PROJECTIONS.names())
def test_every_projection_takes_alpha_and_scale(name: str) -> None:
    assert {"alpha", "scale"} <= set(PROJECTIONS.parameters(PROJECTIONS.load(name)))


def test_alpha_and_scale_of_the_identity_change_its_step_and_not_its_box() -> None:
    z = normal(2, 20)
    moved = draw("identity", space(20)).lift(z).dense()
    assert np.allclose(draw("identity", space(20), alpha=3.0).lift(z).dense(), 3 * moved)
    assert np.allclose(draw("identity", space(20), scale=1.0).lift(z).dense(), moved / 2)
    plain, wider = (draw("identity", space(20, -4.0, 4.0), alpha=alpha) for alpha in (1.0, 3.0))
    assert (wider.search_space.lower, wider.search_space.upper) == (-1.0, 1.0)
    assert wider.search_space.scale == 3 * plain.search_space.scale
    assert np.array_equal(wider.lift(z / 5).dense(), plain.lift(z / 5).dense())


def test_the_key_of_the_identity_is_what_it_was_before_it_had_a_step() -> None:
    keyed = [resolve(PROJECTIONS, parse(text)).keyed() for text in ("identity:alpha=1", "identity:alpha=2")]
    assert [str(component) for component in keyed] == ["identity", "identity:alpha=2.0"]


def test_the_original_uniform_of_black_box_tuning_has_entries_up_to_one_over_root_d() -> None:
    embedding = draw("uniform", space(10_000), 25, scale=1.0, alpha=1 / 3**0.5)
    largest = np.abs(embedding.factor * embedding.rows(np.arange(10_000))).max()
    assert largest == pytest.approx(0.2, rel=1e-3)


@pytest.mark.parametrize("name", [*RANDOM, "identity"])
@pytest.mark.parametrize("bounds", [(None, None), (-0.5, 0.5), (None, 0.3)])
@settings(deadline=None)
@given(st.lists(st.integers(0, 39), min_size=1, max_size=8))
def test_some_coordinates_equal_those_of_all(
    name: str, bounds: tuple[float | None, float | None], wanted: list[int]
) -> None:
    embedding = draw(name, space(40, *bounds, start=0.1), dim=40)
    points = embedding.lift(normal(4, 40))
    dense = points.dense()
    assert np.allclose(points.at(np.array(wanted)), dense[:, wanted], rtol=1e-12, atol=1e-12)
    assert np.array_equal(embedding.space.clip(dense), dense)


@pytest.mark.parametrize("name", FREE)
def test_the_lift_is_clip_of_start_plus_factor_times_a_z(name: str) -> None:
    embedding, z = draw(name, space(30, -1.0, 1.0, start=0.4)), normal(5, 3)
    by_hand = np.clip(0.4 + 2.0 * z @ embedding.rows(np.arange(30)).T, -1, 1)
    assert np.allclose(embedding.lift(z).dense(), by_hand)


@pytest.mark.parametrize("bound", [None, 4.0])
@pytest.mark.parametrize("name", PROJECTIONS.names())
def test_gradients_are_pulled_back_as_differences_say_and_are_0_where_the_lift_clips(
    name: str, bound: float | None, found: str
) -> None:
    within = replace(prompt_space(), lower=None if bound is None else -bound, upper=bound)
    params: dict[str, Any] = {"prompts": found} if name == "pretrained" else {}
    embedding = draw(name, within, 600 if name == "identity" else 4, **params)
    target, z = normal(600), normal(3, embedding.dim)

    def loss(z: Array) -> Array:
        return ((embedding.lift(z).dense() - target) ** 2).sum(axis=1) / 2

    lifted = embedding.lift(z)
    assert isinstance(lifted, Lifted)
    assert (np.abs(lifted.dense()) == bound).any() == (bound is not None)
    steps = 1e-5 * np.eye(embedding.dim)
    differences = np.stack([(loss(z + step) - loss(z - step)) / 2e-5 for step in steps], axis=1)
    np.testing.assert_allclose(lifted.pull_back(lifted.dense() - target), differences, rtol=1e-5, atol=1e-4)


def test_gradients_are_pulled_back_to_points_around_another_base() -> None:
    embedding = draw("normal", space(30, -2.0, 2.0))
    z, base = normal(2, 3), Dense(1.5 * normal(2, 30))
    lifted = embedding.lift(z, base)
    assert isinstance(lifted, Lifted)
    inside = np.abs(base.dense() + embedding.image(z, np.arange(30))) <= 2
    assert inside.any()
    assert not inside.all()
    expected = (inside * 3.0) @ (2.0 * embedding.rows(np.arange(30)))
    np.testing.assert_allclose(lifted.pull_back(np.full((2, 30), 3.0)), expected, rtol=1e-12)


@pytest.mark.parametrize("name", ["normal", "hashing"])
def test_a_matrix_too_large_to_keep_is_pulled_back_in_blocks(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    embedding, gradients = draw(name, space(100), 7), normal(2, 100)
    whole = embedding.pull_back(gradients, np.arange(100))
    monkeypatch.setattr("dfo_bench.embedding.DENSE_LIMIT", 699)
    monkeypatch.setattr("dfo_bench.embedding._BLOCK", 30)
    np.testing.assert_allclose(embedding.pull_back(gradients, np.arange(100)), whole, rtol=1e-12)
    np.testing.assert_allclose(whole, 2.0 * gradients @ embedding.rows(np.arange(100)), rtol=1e-12)


def test_the_lift_adds_to_another_base_of_one_or_of_every_candidate() -> None:
    embedding, z = draw("normal", space(6)), normal(2, 3)
    moved, ones = embedding.lift(z).dense(), Dense(np.ones((1, 6)))
    assert np.allclose(embedding.lift(z, base=ones).dense(), moved + 1)
    blend = Blend(embedding.space.start, ones, np.array([0.5, -1.0]))
    assert np.allclose(embedding.lift(z, base=blend).dense(), moved + np.array([[0.5], [-1.0]]))
    assert np.allclose(embedding.lift(z, base=blend)[1:].dense(), moved[1:] - 1)


@pytest.mark.parametrize("name", ON_DEMAND)
def test_a_billion_coordinates_are_read_where_they_are_asked_for_and_never_written_out(name: str) -> None:
    points = draw(name, space(HUGE), 10).lift(normal(2, 10))
    assert points.at(np.array([0, 123_456_789, HUGE - 1])).shape == (2, 3)
    with pytest.raises(InputError, match="1000000000"):
        points.dense()


def test_identity_maps_minus_one_to_one_onto_the_tasks_box_and_its_start_onto_the_start() -> None:
    embedding = draw("identity", space(4, -3.0, 1.0, start=0.5), dim=4)
    inner = embedding.search_space
    assert (inner.lower, inner.upper, inner.scale) == (-1.0, 1.0, 1.0)
    assert np.allclose(embedding.lift(inner.start.dense()).dense(), 0.5)
    assert np.array_equal(embedding.lift(np.array([[-1.0, 1.0, 0.0, 1.0]])).dense(), [[-3.0, 1.0, -1.0, 1.0]])


@pytest.mark.parametrize("name", FREE)
def test_a_plain_optimizer_sees_no_bounds_and_a_start_of_zero_that_lifts_to_the_tasks(name: str) -> None:
    embedding = draw(name, space(9, -1.0, 1.0, start=0.25))
    inner = embedding.search_space
    assert (inner.dim, inner.bounded, inner.scale) == (3, False, 1.0)
    assert np.array_equal(embedding.lift(inner.start.dense()).dense(), np.full((1, 9), 0.25))


def test_digests_follow_the_recipe() -> None:
    z = normal(2, 3)
    digests = draw("normal", space(HUGE)).lift(z).digests()
    assert len(set(digests)) == 2
    assert digests == draw("normal", space(HUGE)).lift(z.copy()).digests()
    assert digests[1:] == draw("normal", space(HUGE)).lift(z)[1:].digests()
    assert not set(digests) & set(draw("normal", space(HUGE), index=1).lift(z).digests())


def test_a_hashed_coordinate_follows_one_variable_up_to_its_sign() -> None:
    rows = draw("hashing", space(10_000), 8).rows(np.arange(10_000))
    assert np.array_equal(np.count_nonzero(rows, axis=1), np.ones(10_000))
    assert set(np.unique(rows)) == {-1.0, 0.0, 1.0}
    assert (np.abs(np.count_nonzero(rows, axis=0) - 1_250) < 150).all()
    assert np.abs(rows.sum()) < 400


def test_hashing_searches_the_tasks_box_around_its_middle_and_clips_nothing() -> None:
    embedding = draw("hashing", space(500, -3.0, 1.0, start=0.5), dim=6)
    inner = embedding.search_space
    assert (inner.lower, inner.upper, inner.scale) == (-1.0, 1.0, 1.0)
    assert np.array_equal(embedding.lift(inner.start.dense()).dense(), np.full((1, 500), -1.0))
    corner = embedding.lift(np.ones((1, 6))).dense()
    assert set(np.unique(corner)) == {-3.0, 1.0}
    z = np.random.default_rng(0).uniform(-1, 1, (4, 6))
    assert np.allclose(embedding.lift(z).dense(), -1 + 2 * z @ embedding.rows(np.arange(500)).T)


def test_hashing_without_bounds_starts_at_the_start_like_any() -> None:
    embedding, z = draw("hashing", space(30, start=0.25)), normal(2, 3)
    assert not embedding.search_space.bounded
    assert np.allclose(embedding.lift(z).dense(), 0.25 + 2.0 * z @ embedding.rows(np.arange(30)).T)


@pytest.mark.parametrize(("whole", "dim"), [(7, 7), (256, 3), (1_000, 40), (300, 300)])
def test_orthogonal_directions_are_orthogonal_and_of_one_length(whole: int, dim: int) -> None:
    rows = draw("orthogonal", space(whole), dim).rows(np.arange(whole))
    assert np.allclose(rows.T @ rows, whole / dim * np.eye(dim), atol=1e-6)


def test_orthogonal_directions_point_anywhere() -> None:
    firsts = np.array([draw("orthogonal", space(3), 2, seed=seed).rows(np.arange(3))[:, 0] for seed in range(500)])
    assert np.allclose(np.cov(firsts.T), np.eye(3) / 2, atol=0.1)
    assert np.abs(firsts.mean(axis=0)).max() < 0.1


def test_orthogonal_directions_of_a_billion_coordinates_are_refused_with_the_numbers() -> None:
    with pytest.raises(InputError, match=r"1000000000 x 3 numbers .* above 134217728; use -p normal"):
        draw("orthogonal", space(HUGE))


MEANING = "model 0123, mode=add, prompt_tokens=5"


def write(path: Path, prompts: Mapping[str, tuple[Array, str]]) -> str:
    """Write prompts as `dfo-bench export prompts` does, each with what its coordinates mean."""
    tensors = {key: prompt.astype(np.float32).reshape(5, -1) for key, (prompt, _) in prompts.items()}
    save_file(tensors, path, {"dfo-bench": "0", **{k: json.dumps({"space": v[1]}) for k, v in prompts.items()}})
    return str(path)


@pytest.fixture
def found(tmp_path: Path) -> str:
    """Four prompts of 600 numbers, and one of another model."""
    prompts: dict[str, tuple[Array, str]] = {f"run{i}": (row, MEANING) for i, row in enumerate(normal(4, 600) + 3)}
    return write(tmp_path / "prompts.safetensors", {**prompts, "other": (np.ones(600), "model 9")})


def prompt_space(dim: int = 600, meaning: str = MEANING) -> Space:
    return replace(space(dim, start=0.5), meaning=meaning)


@pytest.mark.parametrize("start", ["mean", "none"])
def test_the_prompts_found_are_within_reach_of_the_first_directions(found: str, start: str) -> None:
    embedding = draw("pretrained", prompt_space(), 10, prompts=found, start=start)
    prompts = (normal(4, 600) + 3).astype(np.float32).astype(float)
    about = embedding.lift(np.zeros((1, 10))).dense()[0]
    assert np.allclose(about, prompts.mean(axis=0) if start == "mean" else 0.5)
    base, count = (about, 3) if start == "mean" else (0.0, 4)
    first = embedding.rows(np.arange(600))[:, :count]
    assert np.allclose(first.T @ first, 60 * np.eye(count))
    within = np.linalg.lstsq(first, (prompts - base).T)[0]
    assert np.allclose(first @ within, (prompts - base).T)
    # The most important comes first.
    assert (np.diff((within**2).sum(axis=1)) < 0).all()


def test_the_columns_that_prompts_do_not_fill_are_random_and_the_whole_has_unit_variance(found: str) -> None:
    index = np.arange(600)
    rows = [draw("pretrained", prompt_space(), 10, seed, prompts=found).rows(index) for seed in (0, 1)]
    assert np.array_equal(rows[0][:, :3], rows[1][:, :3])
    assert not (rows[0][:, 3:] == rows[1][:, 3:]).any()
    assert (rows[0] ** 2).sum(axis=1).mean() == pytest.approx(1, abs=0.1)


def test_learned_rows_are_read_in_any_order(found: str) -> None:
    whole = draw("pretrained", prompt_space(), 10, prompts=found).rows(np.arange(600))
    for index in ([599], [7, 3, 4], [5, 5]):
        assert np.array_equal(draw("pretrained", prompt_space(), 10, prompts=found).rows(np.array(index)), whole[index])


def test_fewer_directions_are_the_first_and_without_any_it_is_the_normal_projection_from_the_mean(found: str) -> None:
    index, within = np.arange(600), prompt_space()
    plain = draw("normal", within, 10)
    for count in (0, 2):
        embedding = draw("pretrained", within, 10, prompts=found, directions=count)
        rows = embedding.rows(index)
        assert np.array_equal(rows[:, :count], draw("pretrained", within, 10, prompts=found).rows(index)[:, :count])
        assert np.array_equal(rows[:, count:], plain.rows(index)[:, count:])
        assert embedding.space.start.recipe()[1] == {"anchor": "mean prompt"}


def test_a_learned_projection_is_checked_in_a_space_that_its_prompts_are_of(found: str) -> None:
    check_plugin("projection", Component("pretrained", {"prompts": found}))
    projection = resolve(PROJECTIONS, Component("pretrained", {"prompts": found})).construct()
    assert projection.example
    assert projection.example.meaning == MEANING


def test_more_directions_than_dimensions_are_cut_and_a_single_prompt_is_a_start(found: str, tmp_path: Path) -> None:
    few = draw("pretrained", prompt_space(), 2, prompts=found).rows(np.arange(600))
    assert np.allclose(few.T @ few, 300 * np.eye(2))
    single = write(tmp_path / "one.safetensors", {"run": (np.arange(600, dtype=float), MEANING)})
    embedding = draw("pretrained", prompt_space(), 2, prompts=single)
    assert np.array_equal(embedding.lift(np.zeros((1, 2))).dense(), [np.arange(600, dtype=float)])
    assert np.array_equal(embedding.rows(np.arange(600)), draw("normal", space(600), 2).rows(np.arange(600)))


@pytest.mark.parametrize("content", [None, b"", b"no tensors", "folder", "adapter"])
def test_a_file_without_prompts_is_refused_with_the_command_that_makes_one(tmp_path: Path, content: object) -> None:
    path = tmp_path / "prompts.safetensors"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "folder":
        path.mkdir()
    elif content == "adapter":
        save_file({"prompt_embeddings": np.ones((5, 4))}, path, {"format": "pt"})
    with pytest.raises(InputError, match=r"prompts.safetensors .*make (it|one) with: dfo-bench export prompts"):
        draw("pretrained", prompt_space(), prompts=str(path))


def test_deep_prompts_are_passed_over_and_a_file_of_nothing_else_is_refused(tmp_path: Path) -> None:
    deep = {"small": (np.ones(40), ""), "large": (np.ones(80), "")}
    both = write(tmp_path / "both.safetensors", {**deep, "run": (np.arange(600, dtype=float), MEANING)})
    assert draw("pretrained", prompt_space(), prompts=both).space.start.at(np.array([7])) == 7
    with pytest.raises(
        InputError, match=r"deep.safetensors has no prompts but of mode=deep, .*make one of runs of mode"
    ):
        draw("pretrained", prompt_space(), prompts=write(tmp_path / "deep.safetensors", deep))


def test_prompts_of_another_space_are_refused_with_both_named(found: str) -> None:
    with pytest.raises(InputError, match="no prompts of model 7, but of model 9 and of model 0123, mode=add, prompt_"):
        draw("pretrained", prompt_space(meaning="model 7"), prompts=found)
    with pytest.raises(InputError, match="use a text task of mode=add"):
        draw("pretrained", prompt_space(meaning=""), prompts=found)


def test_a_sweep_on_a_task_that_the_prompts_are_not_of_is_refused_and_nothing_written(
    found: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="has no prompts for this task's space"):
        sweep(
            tasks=["sphere"],
            optimizers=["random"],
            projections=[f"pretrained:prompts={found}"],
            dim=3,
            budget=3,
            store=tmp_path / "store",
        )
    assert not (tmp_path / "store").exists()
