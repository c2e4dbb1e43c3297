"""What a run has found classifies texts, and scores on the test rows what the run measured there."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dfo_bench.errors import InputError, UnknownNameError
from dfo_bench.lm import models
from dfo_bench.plugins.component import parse
from dfo_bench.runs.spec import RunSpec
from dfo_bench.runs.summary import Summary
from dfo_bench.store.store import Store
from dfo_bench.sweeps.execute import execute
from tests.text_runs import planned, run
from tests.tiny_lm import Zoo, reviews, write

MASKED = {"head": "masked"}
CAUSAL = {"head": "causal"}


def rows(store: Store, split: str = "test") -> list[dict[str, str]]:
    """Return the rows of the runs that `text_runs` makes."""
    lines = (store.path.parent / f"{split}.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize(
    ("model", "optimizer", "params"),
    [
        ("bert", "cma:popsize=6", {}),
        ("bert", "cma:popsize=6", {**MASKED, "demonstrations": 1}),
        ("bert", "random", {**MASKED, "mode": "deep"}),
        ("bert", "random", {**MASKED, "calibrate": "bias"}),
        ("bert", "random", {"calibrate": "affine"}),
        ("gpt2", "random", {**CAUSAL, "mode": "inputs_embeds"}),
        ("llama", "random", {**CAUSAL, "mode": "after", "calibrate": "bias"}),
        ("llama", "random", {**CAUSAL, "mode": "prefix"}),
        ("t5", "random", {"head": "seq2seq", "mode": "cat"}),
        ("bert", "start", {**MASKED, "prompt_tokens": 0}),
        ("bert", "manual", MASKED),
        ("bert", "in_context:demonstrations=1", MASKED),
        ("bert", "calibration:kind=affine", MASKED),
        ("bert", "feature_linear", {}),
        ("gpt2", "knn", CAUSAL),
    ],
)
def test_the_test_rows_score_what_the_run_measured(
    store: Store, zoo: Zoo, model: str, optimizer: str, params: dict[str, Any]
) -> None:
    key = run(store, zoo.folder(model), optimizer, **params).key
    check(store, key, [row["text"] for row in rows(store)])


def check(store: Store, key: str, texts: list[Any]) -> None:
    classifier, scores = store.classifier(key), store.runs().set_index("key").loc[key]
    assert (classifier.key, classifier.labels) == (key, ("negative", "positive"))
    wanted = [row["label"] for row in rows(store)]
    found, shares = classifier.predict(texts), classifier.probabilities(texts)
    assert np.mean([a == b for a, b in zip(found, wanted, strict=True)]) == pytest.approx(scores["test_accuracy"])
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    own = shares[np.arange(len(texts)), [classifier.labels.index(label) for label in wanted]]
    assert -np.log(own).mean() == pytest.approx(scores["test_loss"], abs=1e-5)
    # Whatever stands beside them.
    np.testing.assert_allclose(classifier.probabilities(texts[3:4]), shares[3:4], atol=1e-5)


@pytest.mark.parametrize("optimizer", ["random", "feature_linear"])
def test_pairs_are_classified_as_pairs(store: Store, zoo: Zoo, optimizer: str) -> None:
    spec = planned(store, zoo.folder(), optimizer, head="masked")
    for split in ("train", "test"):
        pairs = [{"text_a": row["text"], "text_b": "it was so", "label": row["label"]} for row in rows(store, split)]
        write(store.path.parent / f"{split}.jsonl", pairs)
    key = execute(spec, store.path).key
    check(store, key, [(row["text_a"], row["text_b"]) for row in rows(store)])
    with pytest.raises(InputError, match=r"texts\[0\] is 'a film'; each must be a pair of strings that are not empty"):
        store.classifier(key).predict(["a film"])


def test_texts_are_read_as_the_train_file_is(store: Store, zoo: Zoo) -> None:
    run(store, zoo.folder())
    classifier = store.classifier()
    plain, spelled = classifier.probabilities(["the film caf\u00e9 was great", "  the film cafe\u0301 was great\n"])
    np.testing.assert_allclose(plain, spelled, atol=1e-5)
    assert classifier.probabilities([]).shape == (0, 2)
    assert classifier.predict([]) == []


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("one text", "texts is one text, 'one text'; pass a list of texts"),
        (["a", " "], r"texts\[1\] is ' '; each must be a string that is not empty"),
        ([None], r"texts\[0\] is None; each must be a string"),
        ([("a", "b")], r"texts\[0\] is \('a', 'b'\); each must be a string"),
        (["\ud800"], r"texts\[0\] is "),
    ],
)
def test_what_is_no_text_is_refused(store: Store, zoo: Zoo, texts: Any, message: str) -> None:
    run(store, zoo.folder())
    with pytest.raises(InputError, match=message):
        store.classifier().predict(texts)


def rate(store: Store, summary: Summary, dev: float) -> None:
    """Write another score into what a run measured on dev."""
    path = store.path / summary.key / "summary.json"
    plain = json.loads(path.read_text())
    for measurement in plain["measurements"]:
        if measurement["split"] == "dev":
            measurement["metrics"]["accuracy"] = dev
    path.write_text(json.dumps(plain))


def loss(store: Store, summary: Summary) -> float:
    assert summary.selected
    return float(store.curves([summary.key])["loss"].iloc[summary.selected.evaluation - 1])


def test_the_best_is_the_search_with_the_best_dev_and_then_the_lowest_train_loss(store: Store, zoo: Zoo) -> None:
    first, second, third = (run(store, zoo.folder(), optimizer) for optimizer in ("cma:popsize=6", "random", "sobol"))
    for one, dev in [(first, 0.5), (second, 0.5), (third, 0.6), (run(store, zoo.folder(), "start"), 0.9)]:
        rate(store, one, dev)
    assert store.classifier().key == third.key
    rate(store, third, 0.4)
    best = min((first, second), key=lambda one: loss(store, one))
    assert store.classifier().key == best.key


def test_which_run_it_is_and_a_reference_that_is_better_on_dev_are_said(store: Store, zoo: Zoo) -> None:
    search, reference, worse = (run(store, zoo.folder(), method) for method in ("random", "knn", "manual"))
    for one, dev in [(search, 0.5), (reference, 0.75), (worse, 0.6)]:
        rate(store, one, dev)
    which, better = store.classifier().notes
    test = float(store.runs().set_index("key")["test_accuracy"][search.key])
    assert which.startswith(f"run {search.key} (random on text:")
    assert which.endswith(f", normal, seed 0; dev accuracy 0.5, test accuracy {test:.4g})")
    assert better.startswith(f"a reference is better on dev: run {reference.key} (knn on text:")
    assert len(store.classifier(search.key).notes) == 1
    rate(store, search, 0.75)
    assert len(store.classifier().notes) == 1


def test_searches_of_several_tasks_are_told_apart(store: Store, zoo: Zoo) -> None:
    short, long = (run(store, zoo.folder(), "random", prompt_tokens=tokens) for tokens in (2, 3))
    with pytest.raises(InputError, match=r"searches of 2 tasks; choose one: --task 'text:.*_tokens=2,.*; --task"):
        store.classifier()
    assert store.classifier(task=short.shown["task"]).key == short.key
    assert store.classifier(task=str(long.spec.task)).key == long.key
    with pytest.raises(UnknownNameError, match=r"no searched task in .* named 'helpdesk'"):
        store.classifier(task="helpdesk")
    with pytest.raises(InputError, match=f"task 'text' changes nothing beside run {long.key}"):
        store.classifier(long.key, task="text")


def test_what_classifies_no_texts_is_refused(store: Store, zoo: Zoo) -> None:
    with pytest.raises(InputError, match="has no finished run of a text task; make one with: dfo-bench run -t help"):
        store.classifier()
    sphere = execute(RunSpec(parse("sphere"), parse("random"), parse("normal"), dim=5, budget=20), store.path)
    reference = run(store, zoo.folder(), "knn")
    with pytest.raises(InputError, match=f"no finished search; take another run: --run {reference.key} "):
        store.classifier()
    with pytest.raises(InputError, match=f"run {sphere.key} classifies no texts: its task is no text task"):
        store.classifier(sphere.key)
    with pytest.raises(UnknownNameError, match=f"no run in .* named .*; did you mean {reference.key}"):
        store.classifier(reference.key[:-1])
    path = store.path / reference.key / "summary.json"
    path.write_text(path.read_text().replace('"finished"', '"failed"'))
    run(store, zoo.folder())
    with pytest.raises(InputError, match=f"run {reference.key} classifies no texts: it failed"):
        store.classifier(reference.key)


def test_another_model_or_other_data_than_the_run_used_is_refused(store: Store, zoo: Zoo, tmp_path: Path) -> None:
    key = run(store, zoo.folder()).key
    train = tmp_path / "train.jsonl"
    write(train, reviews(7))
    with pytest.raises(InputError, match=f"run {key} used another train than text:.* put it back, or take another run"):
        store.classifier()
    train.unlink()
    with pytest.raises(InputError, match=f"run {key} cannot be built again: no data file {train}"):
        store.classifier()
    write(train, reviews(6))
    model = Path(zoo.folder()).rename(tmp_path / "gone")
    models._load.cache_clear()
    with pytest.raises(InputError, match=f"run {key} cannot be built again: .*{model.parent.name}|bert"):
        store.classifier()
    model.rename(zoo._folder / "bert")


def test_a_run_that_cannot_be_read_hides_no_other(store: Store, zoo: Zoo, caplog: pytest.LogCaptureFixture) -> None:
    key, other = run(store, zoo.folder()).key, run(store, zoo.folder(), "random").key
    (store.path / other / "summary.json").write_text("{")
    with caplog.at_level(logging.WARNING, "dfo_bench"):
        assert store.classifier().key == key
    assert f"run {other} is left out: " in caplog.text


def test_outputs_that_are_not_finite_are_no_labels(store: Store, zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    run(store, zoo.folder())
    classifier = store.classifier()
    monkeypatch.setattr(type(classifier.learned), "logits", lambda self, rows: np.full((len(rows), 2), np.nan))
    with pytest.raises(InputError, match=rf"texts\[0\]: the model's outputs are not finite under run {classifier.key}"):
        classifier.predict(["a film"])
