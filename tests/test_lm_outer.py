"""The outer function of text tasks: the loss of label logits, after any calibration, and its gradient."""

from pathlib import Path

import numpy as np
import pytest

from dfo_bench.core import InputError
from dfo_bench.lm import calibration, losses
from dfo_bench.lm.calibration import Calibration
from dfo_bench.lm.losses import LossName
from dfo_bench.lm.outer import TrainLoss
from tests import test_lm_task
from tests.test_lm_task import points, small
from tests.tiny_lm import Zoo

folder = test_lm_task.folder

CLASSES = np.array([0, 1, 2, 2, 1, 0])


def outer(loss: LossName, kind: Calibration) -> TrainLoss:
    return TrainLoss(loss, kind, CLASSES, 3, lambda logits: losses.LOSSES[loss](logits, CLASSES))


@pytest.mark.parametrize("kind", ["none", "bias", "affine"])
@pytest.mark.parametrize("loss", losses.LOSSES)
def test_its_gradient_is_that_of_its_differences(
    monkeypatch: pytest.MonkeyPatch, loss: LossName, kind: Calibration
) -> None:
    monkeypatch.setattr(calibration, "PRECISION", 1e-13)
    rng = np.random.default_rng(0)
    logits, move = (rng.standard_normal((4, *outer(loss, kind).shape)) for _ in range(2))
    ahead, behind = (outer(loss, kind).loss(logits + step * move) for step in (1e-6, -1e-6))
    slopes = (outer(loss, kind).gradient(logits) * move).sum(axis=(1, 2))
    np.testing.assert_allclose(slopes, (ahead - behind) / 2e-6, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("kind", ["none", "bias", "affine"])
def test_a_shift_of_all_logits_of_a_text_changes_nothing(kind: Calibration) -> None:
    logits = np.random.default_rng(1).standard_normal((3, 6, 3))
    shifted = logits + np.arange(6)[:, None]
    one = outer("ce", kind)
    np.testing.assert_allclose(one.canonical(shifted), one.canonical(logits), atol=1e-12)
    np.testing.assert_allclose(one.loss(one.canonical(logits)), one.loss(logits), atol=1e-7)


def test_a_logit_that_is_not_finite_has_no_loss() -> None:
    logits = np.zeros((2, 6, 3))
    logits[1, 0, 0] = np.inf
    assert np.isnan(outer("hinge", "bias").loss(logits)).tolist() == [False, True]
    assert np.isnan(outer("hinge", "bias").gradient(logits)[1]).all()


@pytest.mark.parametrize("calibrate", ["none", "bias"])
def test_the_loss_of_a_task_is_that_of_its_outputs_to_the_bit_as_optimizers_see_them(
    folder: Path, zoo: Zoo, calibrate: str
) -> None:
    task = small(folder, zoo.folder(), head="masked", calibrate=calibrate)
    x = points(3, task.space.dim)
    assert task.outer is not None
    seen = task.outputs(x).astype(np.float32).astype(float)
    assert seen.shape == (3, *task.outer.shape)
    np.testing.assert_array_equal(task.outer.loss(seen), task.evaluate(x))


def test_a_share_of_hits_has_no_outputs_for_an_optimizer(folder: Path, zoo: Zoo) -> None:
    task = small(folder, zoo.folder(), head="masked", loss="perf")
    assert task.outer is None
    assert "pass loss=ce, hinge or confidence" in task.no_outputs
    with pytest.raises(InputError, match="pass loss=ce"):
        task.gradients(points(1, task.space.dim))
