"""A bundle predicts what its run did, without store and data; so does its program of plain transformers."""

import io
import json
import runpy
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

import dfo_bench
from dfo_bench.cli import app
from dfo_bench.errors import InputError
from dfo_bench.exchange.bundles import export_bundle
from dfo_bench.lm import models
from dfo_bench.references import feature_bilstm
from dfo_bench.store.store import Store
from dfo_bench.sweeps.execute import execute
from tests.text_runs import planned, run
from tests.tiny_lm import Zoo, configure, reviews, write

MASKED, CAUSAL, SEQ2SEQ = ({"head": head} for head in ("masked", "causal", "seq2seq"))
TEXTS = ["the film was great", "it was very awful ", "a caf\u0065\u0301 [MASK] <mask> film", "very " * 60 + "bad"]


def bundled(store: Store, key: str, texts: Sequence[Any]) -> Path:
    """Make the bundle of a run; then neither the store nor the data is there any more, and it predicts the same."""
    expected = store.classifier(key).probabilities(texts)
    out = store.path.parent / "bundle"
    export_bundle(store, out, key)
    shutil.rmtree(store.path)
    for name in ("train", "test"):
        (store.path.parent / f"{name}.jsonl").unlink()
    np.testing.assert_allclose(dfo_bench.load(out).probabilities(texts), expected, atol=1e-5)
    return out


def plainly(bundle: Path, texts: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Return the labels and probabilities that the program of a bundle prints."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{text}\n" for text in texts)))
    capsys.readouterr()
    runpy.run_path(str(bundle / "predict.py"))
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    return [row[0] for row in rows], np.array([[float(share) for share in row[1:]] for row in rows])


@pytest.mark.parametrize(
    ("model", "optimizer", "params"),
    [
        ("bert", "random", {}),
        ("bert", "random", {**MASKED, "demonstrations": 1, "calibrate": "bias"}),
        ("roberta", "random", {**MASKED, "mode": "cat"}),
        ("electra", "random", {**MASKED, "mode": "deep"}),
        ("gpt2", "random", {**CAUSAL, "mode": "cat", "calibrate": "affine"}),
        ("opt as 350m", "random", {**CAUSAL, "mode": "add"}),
        ("opt as 350m", "random", {**CAUSAL, "mode": "cat"}),
        ("gemma3_text", "random", {**CAUSAL, "mode": "inputs_embeds"}),
        ("llama", "random", {**CAUSAL, "mode": "after"}),
        ("bert", "random", {"mode": "words"}),
        ("bert", "random", {**MASKED, "words": {"negative": ["bad", "awful"], "positive": "good"}}),
        ("roberta", "random", {**MASKED, "mode": "words", "demonstrations": 1}),
        ("gpt2", "random", {**CAUSAL, "mode": "words"}),
        ("qwen3", "random", {**CAUSAL, "mode": "prefix"}),
        ("t5", "random", {**SEQ2SEQ, "mode": "add"}),
        ("bart", "random", {**SEQ2SEQ, "mode": "cat"}),
        ("bert", "manual", MASKED),
        ("bert", "in_context:demonstrations=1", MASKED),
        ("gpt2", "knn", CAUSAL),
        ("bert", "feature_linear", {}),
        ("bert", "feature_linear", MASKED),
        ("t5", "feature_linear", SEQ2SEQ),
        ("gpt2", "feature_bilstm:hidden=4", CAUSAL),
        ("bert", "model_tuning:epochs=1,rates=[0.01]", {}),
    ],
)
def test_a_bundle_and_its_plain_lines_predict_what_the_run_did(
    store: Store,
    zoo: Zoo,
    model: str,
    optimizer: str,
    params: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(feature_bilstm, "ROUNDS", (1,))
    bundle = bundled(store, run(store, zoo.folder(model), optimizer, **params).key, TEXTS)
    # Of a line that holds nothing the program says something, too, and goes on.
    labels, shares = plainly(bundle, ["", *TEXTS], monkeypatch, capsys)
    loaded = dfo_bench.load(bundle)
    assert labels[1:] == loaded.predict(TEXTS)
    np.testing.assert_allclose(shares[1:], loaded.probabilities(TEXTS), atol=1e-5)


def test_pairs_are_read_as_pairs(
    store: Store, zoo: Zoo, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = planned(store, zoo.folder(), "manual", head="masked")
    for split in ("train", "test"):
        rows = [{"text_a": row["text"], "text_b": "it was so", "label": row["label"]} for row in reviews(6)]
        write(store.path.parent / f"{split}.jsonl", rows)
    pairs = [("a film", "it was good"), ("very " * 30, "so " * 40), ("a", "it " * 70)]
    bundle = bundled(store, execute(spec, store.path).key, pairs)
    _, shares = plainly(bundle, ["\t".join(pair) for pair in pairs], monkeypatch, capsys)
    np.testing.assert_allclose(shares, dfo_bench.load(bundle).probabilities(pairs), atol=1e-5)


def test_an_encoder_in_lower_case_that_pools_its_first_token_has_plain_lines_too(
    store: Store, zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = Path(shutil.copytree(zoo.folder(), tmp_path / "encoder"))
    configure(model, "sentence_bert_config.json", do_lower_case=True)
    (model / "1_Pooling").mkdir()
    configure(model, "1_Pooling/config.json", pooling_mode_cls_token=True)
    texts = ["the FILM was Great", "it was awful"]
    bundle = bundled(store, run(store, str(model), "random", mode="inputs_embeds").key, texts)
    _, shares = plainly(bundle, texts, monkeypatch, capsys)
    np.testing.assert_allclose(shares, dfo_bench.load(bundle).probabilities(texts), atol=1e-5)


@pytest.fixture
def made(store: Store, zoo: Zoo, tmp_path: Path) -> Path:
    """Return the bundle of the best search beside a reference, of a model that stands in a folder of its own."""
    model = shutil.copytree(zoo.folder(), tmp_path / "model")
    run(store, str(model), "random")
    assert call("export", "bundle", tmp_path / "out", "--store", store.path).exit_code == 0
    return tmp_path / "out"


def call(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def test_the_command_line_says_what_it_took_and_what_is_better(store: Store, zoo: Zoo, tmp_path: Path) -> None:
    key = run(store, zoo.folder(), "random", head="masked").key
    other = run(store, zoo.folder(), "feature_linear", head="masked").key
    done = call("export", "bundle", tmp_path / "out", "--store", store.path)
    assert (done.exit_code, done.stdout) == (0, f"{tmp_path / 'out'}\n")
    scores = store.runs().set_index("key")
    better = f"a reference is better on dev: run {other}" in done.stderr
    assert f"run {key} (" in done.stderr
    assert better == (scores["dev_accuracy"][other] > scores["dev_accuracy"][key])
    done = call("export", "bundle", tmp_path / "linear", "--store", store.path, "--run", other)
    assert f"run {other} (feature_linear" in done.stderr
    readme = (tmp_path / "linear" / "README.md").read_text(encoding="utf-8")
    assert f"Run {other}, " in readme
    assert f"| test | 12 | {scores['test_accuracy'][other]:.4f} |" in readme


def test_predict_takes_a_bundle_and_scores_where_there_are_labels(store: Store, made: Path, tmp_path: Path) -> None:
    done = call("predict", tmp_path / "test.jsonl", "--bundle", made)
    assert done.exit_code == 0, done.output
    assert f"accuracy {store.runs()['test_accuracy'].iloc[0]:.4f} on 12 rows" in done.stderr
    assert f"bundle {made} of run " in done.stderr
    assert len(done.stdout.splitlines()) == 13


def test_a_model_that_has_moved_is_named_in_the_bundle(made: Path, tmp_path: Path) -> None:
    expected = dfo_bench.load(made).probabilities(["a film"])
    (tmp_path / "model").rename(tmp_path / "moved")
    with pytest.raises(InputError, match=r"out: model .*model' is neither .*; the model is named in bundle.json"):
        dfo_bench.load(made)
    settings = json.loads((made / "bundle.json").read_text())
    settings["setting"]["model"] = str(tmp_path / "moved")
    (made / "bundle.json").write_text(json.dumps(settings))
    np.testing.assert_array_equal(dfo_bench.load(made).probabilities(["a film"]), expected)


def damaged(bundle: Path, what: str) -> None:
    """Spoil a bundle in one way."""
    settings = json.loads((bundle / "bundle.json").read_text())
    match what:
        case "version":
            (bundle / "bundle.json").write_text(json.dumps({**settings, "format": 2}))
        case "field":
            del settings["setting"]["labels"]
            (bundle / "bundle.json").write_text(json.dumps(settings))
        case "json":
            (bundle / "bundle.json").write_text("{")
        case "tensors":
            (bundle / "tensors.safetensors").write_bytes(b"x")
        case "model":
            configure(bundle.parent / "model", note="another")
        case _:
            (bundle / what).unlink()


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("version", "is a bundle of format 2, and this dfo-bench .* reads format 1; use the version that wrote it"),
        ("field", "bundle.json is damaged: setting.labels: Field required; copy the bundle again"),
        ("json", "bundle.json is damaged: it: Invalid JSON"),
        ("bundle.json", "is no bundle: bundle.json: No such file or directory; make one with: dfo-bench export bundle"),
        ("tensors.safetensors", "is no bundle: tensors.safetensors: No such file"),
        ("tensors", "tensors.safetensors is not what was written; copy the bundle again"),
        ("model", "model' is not the one that was used: its digest is .*, not .*; name a folder that holds that one"),
    ],
)
def test_a_bundle_that_is_not_what_was_written_is_refused(made: Path, what: str, message: str) -> None:
    damaged(made, what)
    models._load.cache_clear()
    done = call("predict", "-", "--bundle", made)
    with pytest.raises(InputError, match=message):
        dfo_bench.load(made)
    assert isinstance(done.exception, InputError)


def test_what_cannot_be_exported_or_asked_is_refused(store: Store, made: Path, tmp_path: Path) -> None:
    for words, message in {
        ("export", "bundle", made, "--store", store.path): "is not empty; name another place",
        ("export", "csv", "a.csv", "--store", store.path, "--run", "best"): "--run changes nothing in csv",
        ("export", "bundle", tmp_path / "b", "--store", store.path, "--run", "none"): "no run in ",
        ("predict", "-", "--bundle", made, "--store", store.path): "--store changes nothing beside --bundle",
        ("predict", "-", "--bundle", tmp_path): "standard input holds no texts",
        ("predict", tmp_path / "test.jsonl", "--bundle", tmp_path): "is no bundle: bundle.json",
    }.items():
        assert message in str(call(*words).exception), words
