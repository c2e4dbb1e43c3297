"""Losses and metrics against hand-computed cases, plain loops and the original program's record."""

from pathlib import Path

import numpy as np
import pytest

from dfo_bench.core import Array
from dfo_bench.lm import losses


def answers(*predicted: int, classes: int = 2) -> Array:
    """Return the logits of one candidate that answers with these classes, shape (1, examples, classes)."""
    return np.eye(classes)[list(predicted)][None]


@pytest.mark.parametrize(
    ("predicted", "truth", "accuracy", "f1"),
    [
        # Two found, both right; one of three is missed: precision 1, recall 2/3.
        ((1, 1, 0, 0), (1, 1, 1, 0), 3 / 4, 0.8),
        # Three found, one of them right; nothing is missed: precision 1/3, recall 1.
        ((1, 1, 1, 0), (1, 0, 0, 0), 2 / 4, 0.5),
        # Precision 1/2, recall 1/3.
        ((1, 1, 0, 0, 0), (1, 0, 1, 1, 0), 2 / 5, 0.4),
        ((1, 0, 1), (1, 0, 1), 1, 1),
        # No true positive: none found, none there, neither, or all beside the mark.
        ((0, 0, 0), (1, 0, 1), 1 / 3, 0),
        ((1, 0, 0), (0, 0, 0), 2 / 3, 0),
        ((0, 0, 0), (0, 0, 0), 1, 0),
        ((1, 0, 1), (0, 1, 0), 0, 0),
    ],
)
def test_metrics_are_those_computed_by_hand(
    predicted: tuple[int, ...], truth: tuple[int, ...], accuracy: float, f1: float
) -> None:
    metrics = losses.metrics(answers(*predicted), np.array(truth), positive=1)
    assert {name: value.tolist() for name, value in metrics.items()} == {
        "accuracy": pytest.approx([accuracy]),
        "f1": pytest.approx([f1]),
    }


def test_f1_is_of_the_class_it_is_asked_for() -> None:
    logits, truth = answers(0, 0, 2, 1, classes=3), np.array([0, 2, 2, 2])
    assert [losses.f1(logits, truth, positive)[0] for positive in range(3)] == pytest.approx([2 / 3, 0, 1 / 2])
    assert list(losses.metrics(logits, truth)) == ["accuracy"]


def test_every_candidate_has_its_own_metrics() -> None:
    logits = np.concatenate([answers(1, 1, 1), answers(0, 1, 0)])
    metrics = losses.metrics(logits, np.array([1, 1, 0]), positive=1)
    assert metrics["accuracy"].tolist() == pytest.approx([2 / 3, 2 / 3])
    assert metrics["f1"].tolist() == pytest.approx([4 / 5, 2 / 3])


def test_the_first_of_equal_logits_is_the_answer() -> None:
    assert losses.accuracy(np.zeros((1, 2, 3)), np.array([0, 1])).tolist() == [0.5]


def test_losses_of_one_example_by_hand() -> None:
    logits, classes, none = np.log([[[1.0, 2.0, 5.0]]]), np.array([1]), np.zeros(1)
    # The class has 2 of 8; the wrong ones are ln 2 below and ln 2.5 above it, within the margin of 2.
    assert losses.loss("ce", logits, classes, none) == pytest.approx([np.log(4)])
    assert losses.loss("hinge", logits, classes, none) == pytest.approx([4 - np.log(2) + np.log(2.5)])
    assert losses.loss("confidence", logits, classes, none) == pytest.approx([np.log(4) + 3 / 4])
    far = np.array([[[-9.0, 0.0, -9.0]]])
    assert losses.loss("hinge", far, classes, none) == pytest.approx([0.0])


def test_losses_are_their_definitions() -> None:
    logits = np.random.default_rng(0).normal(size=(4, 5, 3))
    classes = np.array([0, 2, 1, 1, 0])
    for i in range(4):
        examples = list(zip(logits[i], classes, strict=True))
        ce = [np.log(np.exp(row).sum()) - row[y] for row, y in examples]
        hinge = [sum(max(0.0, row[j] - row[y] + 2) for j in range(3) if j != y) for row, y in examples]
        own = [np.exp(row[y]) / np.exp(row).sum() for row, y in examples]
        assert losses.ce(logits, classes)[i] == pytest.approx(np.mean(ce))
        assert losses.confidence(logits, classes)[i] == pytest.approx(np.mean(ce) + 1 - np.mean(own))
        assert losses.hinge(logits, classes)[i] == pytest.approx(np.mean(hinge))


def test_cross_entropy_of_large_logits_is_finite() -> None:
    logits = np.array([[[1e4, 0.0]], [[0.0, 1e4]]])
    assert losses.ce(logits, np.array([0])).tolist() == [0.0, 1e4]


@pytest.mark.parametrize("metric", ["accuracy", "f1"])
def test_the_perf_loss_is_minus_the_metric_of_the_task(metric: str) -> None:
    logits, classes = np.random.default_rng(1).normal(size=(6, 9, 2)), np.arange(9) % 2
    values = losses.metrics(logits, classes, positive=1)[metric]
    assert np.array_equal(losses.loss("perf", logits, classes, values), -values)


@pytest.mark.parametrize("mode", ["add", "cat"])
@pytest.mark.parametrize("name", ["ce", "hinge", "perf"])
def test_the_recorded_losses_of_the_original_program_are_met(shared: Path, mode: str, name: str) -> None:
    record = np.load(shared / "parity" / f"{mode}.npz")
    index = {label: i for i, label in enumerate(record["label_ids"].tolist())}
    logits, classes = record["logits2"].astype(float), np.array([index[label] for label in record["labels"].tolist()])
    values = losses.loss(name, logits, classes, losses.accuracy(logits, classes))
    np.testing.assert_allclose(values, record[f"loss_{name}"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", losses.LOSSES)
def test_slopes_are_the_differences_of_the_losses(name: str) -> None:
    rng, classes = np.random.default_rng(0), np.array([0, 2, 1, 2])
    logits, way = rng.standard_normal((3, 4, 3)), rng.standard_normal((3, 4, 3))
    loss, step = losses.LOSSES[name], 1e-6
    differences = (loss(logits + step * way, classes) - loss(logits - step * way, classes)) / (2 * step)
    slopes = losses.SLOPES[name](logits, classes)
    np.testing.assert_allclose((slopes * way).sum(axis=(1, 2)) / len(classes), differences, rtol=1e-6)
