"""The gradients of text tasks against finite differences, on tiny models in fp64."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode

from dfo_bench.core import Array, Dense, InputError
from dfo_bench.lm import calibration, losses
from dfo_bench.lm.engine import Engine
from dfo_bench.lm.heads import EmbeddingHead, WordsHead
from dfo_bench.lm.models import LanguageModel
from dfo_bench.lm.modes import Mode, ModeName
from dfo_bench.lm.problem import Candidates
from tests import test_lm_task
from tests.test_lm_engine import CASES, LABEL_TEXTS, LABELS, ONE_OF_A_KIND, TOKENS, texts
from tests.test_lm_task import points, small
from tests.tiny_lm import Zoo

folder = test_lm_task.folder

CLASSES = np.array([0, 2, 1, 0])


class Double(TorchFunctionMode):
    """Lets models compute in fp64 where they ask for fp32, as in their norms."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is torch.Tensor.float:
            return args[0].double()

        def wide(value: Any) -> Any:
            return torch.float64 if value is torch.float32 else value

        return func(*map(wide, args), **{key: wide(value) for key, value in (kwargs or {}).items()})


def double(loaded: LanguageModel) -> LanguageModel:
    """Return a copy of a model in fp64."""
    return replace(loaded, model=copy.deepcopy(loaded.model).double())


# Every mode of one model of a kind, and of every other the two that differ most: all rows, and a cache before them.
@pytest.mark.parametrize(
    ("name", "head", "mode"),
    [case for case in CASES if case[:2] in ONE_OF_A_KIND or case[2] in ("inputs_embeds", "after")],
)
def test_gradients_are_the_differences_of_the_loss(zoo: Zoo, name: str, head: str, mode: ModeName) -> None:
    loaded = double(zoo.load(name, head))
    with Double():
        way = Mode(loaded, mode, TOKENS)
        reader = EmbeddingHead(loaded, LABEL_TEXTS, way.before) if head == "embedding" else WordsHead(loaded, LABELS)
        engine, some = Engine(loaded, reader, way), texts(name, head, mode)
        rng = np.random.default_rng(0)
        x: Any
        x, move = (rng.standard_normal((2, *way.shape)) for _ in range(2))

        def slopes(logits: Array, indices: Sequence[int]) -> Array:
            return losses.ce_slopes(logits, CLASSES[list(indices)]) / len(CLASSES)

        logits, gradients = engine.gradients(x, some, slopes, whole=False)
        ahead, behind = (losses.ce(engine.logits(x + step * move, some), CLASSES) for step in (1e-5, -1e-5))
        np.testing.assert_allclose(logits, engine.logits(x, some), rtol=0, atol=1e-10)
        found = (gradients * move).reshape(2, -1).sum(axis=1)
        assert np.abs(found).max() > 1e-4
        np.testing.assert_allclose(found, (ahead - behind) / 2e-5, rtol=1e-5, atol=1e-8)
        again, same = engine.gradients(x, some, slopes, whole=True)
        np.testing.assert_allclose(again, logits, rtol=0, atol=1e-10)
        np.testing.assert_allclose(same, gradients, rtol=0, atol=1e-10)


@pytest.mark.parametrize("calibrate", ["none", "bias", "affine"])
@pytest.mark.parametrize("loss", losses.LOSSES)
@pytest.mark.parametrize("mode", ["add", "deep"])
def test_a_task_returns_the_losses_of_evaluate_and_the_gradients_of_these(
    folder: Path,
    zoo: Zoo,
    monkeypatch: pytest.MonkeyPatch,
    mode: ModeName,
    loss: str,
    calibrate: str,
) -> None:
    task = small(folder, zoo.folder(), head="masked", mode=mode, loss=loss, calibrate=calibrate)
    x = points(23, task.space.dim)
    values, single = task.gradients(x)
    np.testing.assert_allclose(values, task.evaluate(x), rtol=0, atol=1e-5)
    assert single.shape == (23, task.space.dim)

    # Differences need fp64 throughout, and a fit that ends nearer to its optimum.
    loaded, steps = double(zoo.load("bert", "masked")), task._prompts.steps
    way = Mode(loaded, mode, TOKENS)
    head = task.local.head
    assert isinstance(head, WordsHead)
    task.local.engine = Engine(loaded, WordsHead(loaded, head.tokens), way)
    scales = np.ones(1) if steps is None else steps.astype(float)
    monkeypatch.setattr(Candidates, "prompts", lambda some: some.points.dense().reshape(-1, *way.shape) * scales)
    monkeypatch.setattr(calibration, "PRECISION", 1e-14)
    monkeypatch.setattr(calibration, "_MOST_STEPS", 30)
    move = np.random.default_rng(5).standard_normal(x.dense().shape)
    ahead, behind = (task.evaluate(Dense(x.dense() + step * move)) for step in (1e-6, -1e-6))
    _, gradients = task.gradients(x)
    np.testing.assert_allclose((gradients * move).sum(axis=1), (ahead - behind) / 2e-6, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(single, gradients, rtol=0, atol=1e-3 * np.abs(gradients).max())


@pytest.mark.parametrize(("name", "head"), ONE_OF_A_KIND)
def test_gradients_of_a_batch_are_those_of_one_candidate_at_a_time(
    folder: Path,
    zoo: Zoo,
    name: str,
    head: str,
) -> None:
    task = small(folder, zoo.folder(name), head=head, mode="inputs_embeds")
    x = points(5)
    _, together = task.gradients(x)
    for i in range(5):
        np.testing.assert_allclose(task.gradients(x[i : i + 1])[1][0], together[i], rtol=0, atol=1e-5)


def test_half_precision_comes_near_the_gradients_of_full_precision(folder: Path, zoo: Zoo) -> None:
    x = Dense(0.1 * points(3).dense())
    full, half = (
        small(folder, zoo.folder("gpt2"), head="causal", mode="after", precision=precision).gradients(x)[1]
        for precision in ("float32", "bfloat16")
    )
    assert np.abs(half - full).mean() < 0.1 * full.std()


def test_weights_get_no_gradient_and_stay_as_they_are(folder: Path, zoo: Zoo) -> None:
    task, loaded = small(folder, zoo.folder("gpt2"), head="causal"), zoo.load("gpt2", "causal")
    before = [weight.clone() for weight in loaded.model.parameters()]
    task.gradients(points(2))
    for weight, then in zip(task.local.engine._model.model.parameters(), before, strict=True):
        assert not weight.requires_grad
        assert weight.grad is None
        assert torch.equal(weight, then)


def test_a_candidate_that_is_not_finite_has_no_gradient_and_the_others_their_own(
    folder: Path,
    zoo: Zoo,
) -> None:
    for calibrate in ("none", "affine"):
        task = small(folder, zoo.folder(), calibrate=calibrate)
        x = points(3).dense()
        x[1, -1] = np.inf
        values, gradients = task.gradients(Dense(x))
        assert np.isnan(values).tolist() == [False, True, False]
        assert np.isnan(gradients).all(axis=1).tolist() == np.isnan(gradients).any(axis=1).tolist()
        assert np.isnan(gradients[:, 0]).tolist() == [False, True, False]
        np.testing.assert_allclose(gradients[::2], task.gradients(points(3))[1][::2], rtol=0, atol=1e-6)


def test_a_task_without_a_prompt_has_an_empty_gradient(folder: Path, zoo: Zoo) -> None:
    task = small(folder, zoo.folder(), prompt_tokens=0)
    values, gradients = task.gradients(points(2, 0))
    assert gradients.shape == (2, 0)
    np.testing.assert_array_equal(values, task.evaluate(points(2, 0)))


def test_a_share_of_hits_has_no_gradient(folder: Path, zoo: Zoo) -> None:
    with pytest.raises(InputError, match="loss=perf counts hits; pass loss=ce, hinge or confidence"):
        small(folder, zoo.folder(), loss="perf").gradients(points(1))
