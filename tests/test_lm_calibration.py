from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax

from dfo_bench.lm import calibration, losses
from dfo_bench.lm.calibration import PRECISION, RIDGE, Calibration, calibrate, fit, pull_back

KINDS: list[Calibration] = ["bias", "affine"]


def _logits(n: int, shots: int, k: int, skew: float = 2.0) -> tuple[Any, Any]:
    """Return logits that know the classes a little and prefer the first, with mean 0 over classes."""
    rng, classes = np.random.default_rng(k), np.repeat(np.arange(k), shots)
    logits = rng.standard_normal((n, len(classes), k))
    logits[:, np.arange(len(classes)), classes] += 1.0
    logits[:, :, 0] += skew
    return logits - logits.mean(axis=2, keepdims=True), classes


def _objective(free: Any, kind: Calibration, logits: Any, classes: Any) -> float:
    """The definition, written without the module: one candidate's cross-entropy and ridge."""
    k = logits.shape[1]
    weight = np.eye(k) if kind == "bias" else free[: k * k].reshape(k, k)
    bias = free[-k:]
    entropy = -log_softmax(logits @ weight + bias, axis=1)[np.arange(len(classes)), classes].mean()
    return float(entropy + RIDGE / 2 * (((weight - np.eye(k)) ** 2).sum() + (bias**2).sum()))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [2, 4, 6])
def test_a_fit_is_the_minimum_that_a_general_minimiser_finds(kind: Calibration, k: int) -> None:
    logits, classes = _logits(3, 8, k)
    for one, candidate in zip(fit(kind, logits, classes), logits, strict=True):
        begin = np.zeros(k) if kind == "bias" else np.concatenate([np.eye(k).ravel(), np.zeros(k)])
        found = minimize(_objective, begin, args=(kind, candidate, classes), tol=1e-10)
        ours = one[k:].ravel() if kind == "bias" else one.ravel()
        assert _objective(ours, kind, candidate, classes) <= found.fun + 1e-12
        assert np.allclose(ours, found.x, atol=1e-4)
        if kind == "bias":
            assert np.array_equal(one[:k], np.eye(k))


@pytest.mark.parametrize("kind", KINDS)
def test_separable_examples_have_a_finite_fit_with_a_vanishing_gradient(kind: Calibration) -> None:
    logits, classes = _logits(2, 8, 3)
    logits[:, np.arange(len(classes)), classes] += 30.0
    for one, candidate in zip(fit(kind, logits, classes), logits, strict=True):
        assert np.isfinite(one).all()
        shares = np.exp(log_softmax(np.hstack([candidate, np.ones((len(candidate), 1))]) @ one, axis=1))
        inputs = (
            np.ones((len(candidate), 1)) if kind == "bias" else np.hstack([candidate, np.ones((len(candidate), 1))])
        )
        offset = (one - np.vstack([np.eye(3), np.zeros(3)]))[3 if kind == "bias" else 0 :]
        gradient = inputs.T @ (shares - np.eye(3)[classes]) / len(classes) + RIDGE * offset
        assert np.linalg.norm(gradient) <= PRECISION


@pytest.mark.parametrize("kind", KINDS)
def test_a_candidate_is_calibrated_as_if_it_were_alone(kind: Calibration) -> None:
    logits, classes = _logits(5, 8, 3)
    together = calibrate(kind, logits, classes, logits[:, :4])
    for i in range(len(logits)):
        alone = calibrate(kind, logits[i : i + 1], classes, logits[i : i + 1, :4])
        for one, other in zip(alone, together, strict=True):
            assert np.allclose(one[0], other[i], atol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_a_constant_added_to_all_classes_of_a_text_changes_nothing(kind: Calibration) -> None:
    logits, classes = _logits(2, 8, 3)
    shifted = logits + np.random.default_rng(0).standard_normal((2, len(classes), 1))
    (one,), (other,) = calibrate(kind, logits, classes), calibrate(kind, shifted, classes)
    assert np.allclose(one, other)


@pytest.mark.parametrize("kind", KINDS)
def test_a_skewed_prior_is_taken_out(kind: Calibration) -> None:
    logits, classes = _logits(2, 50, 2, skew=4.0)
    before = (logits.argmax(axis=2) == classes).mean()
    (after,) = calibrate(kind, logits, classes)
    assert (after.argmax(axis=2) == classes).mean() > before + 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_logits_that_are_not_finite_stay_so_and_harm_no_other_candidate(kind: Calibration) -> None:
    logits, classes = _logits(3, 8, 3)
    broken = logits.copy()
    broken[1, 0, 0] = np.nan
    (one,), (other,) = calibrate(kind, logits, classes), calibrate(kind, broken, classes)
    assert np.isnan(other[1]).any()
    assert np.allclose(one[[0, 2]], other[[0, 2]], atol=1e-7)


def test_without_calibration_logits_are_what_they_were() -> None:
    logits, classes = _logits(2, 4, 2)
    train, test = calibrate("none", logits, classes, logits[:, :3])
    assert train is logits
    assert np.array_equal(test, logits[:, :3])


@pytest.mark.parametrize("loss", losses.LOSSES)
@pytest.mark.parametrize("kind", ["none", *KINDS])
@pytest.mark.parametrize("k", [2, 4])
def test_a_loss_is_differentiated_through_the_fit(
    kind: Calibration, k: int, loss: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A fit that ends at the usual precision is too rough for differences.
    monkeypatch.setattr(calibration, "PRECISION", 1e-14)
    monkeypatch.setattr(calibration, "_MOST_STEPS", 30)
    logits, classes = _logits(3, 6, k)
    logits = logits + np.random.default_rng(1).standard_normal((3, len(classes), 1))
    way = np.random.default_rng(2).standard_normal(logits.shape)

    def moved(step: float) -> Any:
        (after,) = calibrate(kind, logits + step * way, classes)
        return losses.LOSSES[loss](after, classes)

    slopes = pull_back(kind, logits, classes, lambda after: losses.SLOPES[loss](after, classes) / len(classes))
    differences = (moved(1e-5) - moved(-1e-5)) / 2e-5
    np.testing.assert_allclose((slopes * way).sum(axis=(1, 2)), differences, rtol=1e-6)
