"""Every reference keeps its contract and is what its library, or a plain program, makes of the same numbers."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from sklearn.linear_model import LogisticRegression

from dfo_bench.core import Array, Classifier, InputError, LabelledTexts, Reference, Sizes
from dfo_bench.errors import RunError
from dfo_bench.lm.calibration import RIDGE
from dfo_bench.plugins.component import parse
from dfo_bench.plugins.plugin import resolve
from dfo_bench.plugins.registry import REFERENCES
from dfo_bench.references._select import select
from dfo_bench.references.feature_bilstm import FeatureBilstm
from dfo_bench.references.feature_linear import GRID, FeatureLinear
from dfo_bench.testing.blobs import Blobs
from tests.texts_of import texts_of
from tests.tiny_lm import Zoo


def fitted(written: str, texts: LabelledTexts, seed: int = 0) -> Classifier:
    reference: Reference = resolve(REFERENCES, parse(written)).construct(rng=np.random.default_rng(seed))
    return reference.fit(reference.view(texts), lambda share: None)


@pytest.mark.parametrize("name", [name for name in REFERENCES.names() if name != "model_tuning"])
def test_the_lines_of_a_reference_make_its_logits_of_what_it_reads(name: str) -> None:
    blobs = Blobs()
    rows, classifier = blobs.rows("test"), fitted(name, blobs)
    learned = classifier.learned()
    given: dict[str, Any] = {"torch": torch, "setting": {"labels": blobs.labels}}
    given["tensors"] = {name: torch.from_numpy(np.asarray(array)) for name, array in learned.arrays.items()}
    asked = zip(blobs.logits(rows), blobs.features(rows), blobs.states(rows), classifier.logits(rows), strict=True)
    with torch.no_grad():
        for scores, feature, states, expected in asked:
            read = {"scores": scores, "feature": feature, "states": states}
            scope = given | {name: torch.from_numpy(array) for name, array in read.items()}
            exec(learned.lines, scope)
            np.testing.assert_allclose(scope["scores"], expected, atol=1e-5)


class NoChoice(Blobs):
    """Blobs of which dev says of everything the same."""

    def scores(self, logits: Array, split: str) -> dict[str, float]:
        return {"accuracy": 0.5, "loss": 1.0}


class Said(Classifier):
    def logits(self, rows: Sequence[Any]) -> Array:
        return np.zeros((len(rows), 3))


def test_among_equals_on_dev_the_first_of_the_grid_is_selected() -> None:
    first, second = Said(place=1), Said(place=2)
    assert select([(first, np.zeros((24, 3))), (second, np.ones((24, 3)))], NoChoice()) is first
    assert fitted("knn", NoChoice()).chosen == {"k": 1}
    assert fitted("feature_linear", NoChoice()).chosen == {"C": GRID[0]}


def test_a_candidate_that_is_not_finite_is_never_selected() -> None:
    with pytest.raises(RunError, match="no candidate of the grid gives finite outputs"):
        select([(Said(), np.full((24, 3), np.nan))], Blobs())
    good = Said()
    assert select([(Said(), np.full((24, 3), np.inf)), (good, np.zeros((24, 3)))], Blobs()) is good


@pytest.mark.parametrize(("model", "head"), [("bert", "embedding"), ("gpt2", "causal")])
def test_the_linear_layer_is_scikit_learns_on_the_same_features(
    tmp_path: Path, zoo: Zoo, model: str, head: str
) -> None:
    texts = texts_of(tmp_path, zoo.folder(model), head=head)
    found = fitted("feature_linear", texts)
    train, test = (texts.features(texts.rows(split)) for split in ("train", "test"))
    theirs = LogisticRegression(C=found.chosen["C"], max_iter=10_000).fit(train, texts.classes("train"))
    ours = log_softmax(found.logits(texts.rows("test")), axis=1)
    np.testing.assert_allclose(ours, theirs.predict_log_proba(test), atol=1e-12)


def test_the_linear_layer_of_three_classes_is_scikit_learns() -> None:
    blobs = Blobs()
    found = fitted("feature_linear", blobs)
    train, test = (blobs.features(blobs.rows(split)) for split in ("train", "test"))
    theirs = LogisticRegression(C=found.chosen["C"], max_iter=10_000).fit(train, blobs.classes("train"))
    np.testing.assert_allclose(
        softmax(found.logits(blobs.rows("test")), axis=1), theirs.predict_proba(test), atol=1e-12
    )


def test_neighbours_are_nearest_by_kl_and_equal_votes_go_to_the_nearer() -> None:
    blobs = Blobs()
    found = fitted("knn", blobs)
    k = found.chosen["k"]
    assert isinstance(k, int)
    anchors, classes = softmax(blobs.logits(blobs.rows("train")), axis=1), blobs.classes("train")
    for row, logits in zip(blobs.rows("test"), found.logits(blobs.rows("test")), strict=True):
        asked = softmax(blobs.logits([row])[0])
        distance = [float((p * np.log(p / asked)).sum()) for p in anchors]
        nearest = classes[np.argsort(distance)[:k]].tolist()
        votes = [nearest.count(c) for c in range(3)]
        best = min((c for c in range(3) if votes[c] == max(votes)), key=lambda c: nearest.index(c))
        assert logits.argmax() == best
        np.testing.assert_allclose(np.exp(logits), (np.array(votes) + 1) / (k + 3), atol=1e-4)


@pytest.mark.parametrize("kind", ["bias", "scale", "affine"])
def test_a_calibration_is_at_the_minimum_of_its_objective(kind: str) -> None:
    blobs = Blobs()
    train, classes = blobs.logits(blobs.rows("train")), blobs.classes("train")
    found = fitted(f"calibration:kind={kind}", blobs)
    centred = torch.from_numpy(train - train.mean(axis=1, keepdims=True))
    free = {"bias": torch.zeros(3, 3), "scale": torch.eye(3), "affine": torch.ones(3, 3)}[kind].double()
    weights = torch.eye(3, dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(3, dtype=torch.float64, requires_grad=True)

    def mapped() -> torch.Tensor:
        return centred @ (torch.eye(3) + (weights - torch.eye(3)) * free) + bias

    lbfgs = torch.optim.LBFGS([weights, bias], max_iter=500, tolerance_grad=1e-12, tolerance_change=0.0)

    def closure() -> Any:
        lbfgs.zero_grad()
        apart = (((weights - torch.eye(3)) * free) ** 2).sum() + (bias**2).sum()
        value: Any = torch.nn.functional.cross_entropy(mapped(), torch.from_numpy(classes)) + RIDGE / 2 * apart
        value.backward()
        return value

    lbfgs.step(closure)  # type: ignore[no-untyped-call]
    np.testing.assert_allclose(found.logits(blobs.rows("train")), mapped().detach(), atol=1e-5)


def test_the_bias_that_is_fitted_is_that_of_the_calibrated_scores_of_the_manual_prompt(
    tmp_path: Path, zoo: Zoo
) -> None:
    texts = texts_of(tmp_path, zoo.folder(), head="masked")
    test, train = (texts.logits(texts.rows(split)) for split in ("test", "train"))
    found = fitted("calibration", texts).logits(texts.rows("test"))
    np.testing.assert_allclose(found, texts.calibrated(test, train))


@pytest.mark.parametrize(("model", "head"), [("bert", "masked"), ("gpt2", "causal"), ("bert", "embedding")])
def test_model_tuning_is_a_plain_training_loop(tmp_path: Path, zoo: Zoo, model: str, head: str) -> None:
    texts = texts_of(tmp_path, zoo.folder(model), head=head)
    found = fitted("model_tuning:rates=[0.001],epochs=3", texts)
    rows, classes = texts.rows("train"), torch.from_numpy(texts.classes("train"))
    plain = copy.deepcopy(texts.local.model.model).requires_grad_(True)
    words = ["bad", "good"] if head == "masked" else ["a bad", "a good"]
    tokens = [texts.local.model.tokenizer(word, add_special_tokens=False)["input_ids"][-1] for word in words]
    with torch.no_grad():
        ids = [texts.local.model.tokenizer(text)["input_ids"] for text in ("bad", "good")]
        reader = texts.local.model.model.base_model
        means = [reader(input_ids=torch.tensor([own])).last_hidden_state.mean(dim=1) for own in ids]
        labels = torch.nn.functional.normalize(torch.cat(means), dim=1)

    def one(row: Any) -> torch.Tensor:
        encoded = texts.local.template.encode(row)
        ids = torch.tensor([encoded.ids])
        if head == "embedding":
            embedded = torch.nn.functional.normalize(plain(input_ids=ids).last_hidden_state.mean(dim=1), dim=1)
            return 20 * embedded @ labels.T
        logits: torch.Tensor = plain(input_ids=ids).logits[:, -1 if encoded.mask is None else encoded.mask]
        return logits[:, tokens]

    adam, rng = torch.optim.AdamW(plain.parameters(), lr=0.001), np.random.default_rng(0)
    for _ in range(3):
        order = rng.permutation(len(rows))
        loss: Any = torch.nn.functional.cross_entropy(torch.cat([one(rows[i]) for i in order]), classes[order])
        adam.zero_grad()
        loss.backward()
        adam.step()
    with torch.no_grad():
        theirs = torch.cat([one(row) for row in texts.rows("test")])
    ours = found.logits(texts.rows("test"))
    assert np.abs(ours - texts.logits(texts.rows("test"))).max() > 1e-2
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_states_are_read_in_their_order_whatever_their_lengths() -> None:
    """An LSTM over each text alone ends where it ends in a batch of different lengths."""
    blobs = Blobs()
    found = fitted("feature_bilstm", blobs)
    assert (found.logits(blobs.rows("train")).argmax(axis=1) == blobs.classes("train")).mean() > 0.9
    assert set(found.chosen) == {"rate", "epochs"}


def test_the_bytes_are_those_of_the_papers_table_of_costs() -> None:
    """RoBERTa-large: 1,024 numbers a state; SST-2 with 32 texts of up to 47 tokens, AG News with 64 of up to 107."""
    sst2 = Sizes(texts=32, classes=2, width=1024, longest=47)
    agnews = Sizes(texts=64, classes=4, width=1024, longest=107)
    kib = 1024
    assert [FeatureLinear.bytes_down(sizes) for sizes in (sst2, agnews)] == [128 * kib, 256 * kib]
    assert [FeatureBilstm.bytes_down(sizes) for sizes in (sst2, agnews)] == [6_016 * kib, 27_392 * kib]
    outputs = REFERENCES.load("calibration")
    assert [outputs.bytes_down(sizes) for sizes in (sst2, agnews)] == [kib // 4, kib]
    assert REFERENCES.load("model_tuning").bytes_down(sst2) == 0


def test_model_tuning_without_a_rate_is_refused() -> None:
    with pytest.raises(InputError, match=r"rates=\[\]"):
        resolve(REFERENCES, parse("model_tuning:rates=[]"))


def test_examples_in_context_stand_before_every_text(tmp_path: Path, zoo: Zoo) -> None:
    texts = texts_of(tmp_path, zoo.folder(), head="masked")
    with_one, with_two = (fitted(f"in_context:demonstrations={n}", texts) for n in (1, 2))
    rows = texts.rows("test")
    np.testing.assert_allclose(with_one.logits(rows), texts.shown(1).logits(rows))
    assert np.abs(with_one.logits(rows) - with_two.logits(rows)).max() > 1e-3
    with pytest.raises(InputError, match="pass demonstrations=3 or shots=9"):
        fitted("in_context:demonstrations=9", texts)
