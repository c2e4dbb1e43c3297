"""Sentence encoders as their own library saves and computes them, and the settings that are refused."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dfo_bench.core import Array, InputError
from dfo_bench.lm import folders, models
from dfo_bench.lm.data import Row
from dfo_bench.lm.engine import Engine
from dfo_bench.lm.heads import EmbeddingHead
from dfo_bench.lm.models import LanguageModel
from dfo_bench.lm.modes import Mode
from dfo_bench.lm.templates import Template
from tests.tiny_lm import build

LABELS = ("great film", "it was bad", "awful")
TEXTS = ("the film", "A GREAT film", "it was " + "bad " * 30)

OLD = "sentence_transformers.models."
MODULES = [
    {"idx": i, "name": str(i), "path": f"{i}_{kind}" if i else "", "type": f"{OLD}{kind}"}
    for i, kind in enumerate(("Transformer", "Pooling", "Normalize", "Dense"))
]
DENSE = {"in_features": 16, "out_features": 4, "bias": True, "activation_function": "torch.nn.modules.linear.Identity"}


def write(folder: Path, name: str, content: Any) -> None:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def encoder(folder: Path, count: int = 4, **settings: Any) -> Path:
    """Build a sentence encoder of the first `count` modules, in the layout that the library had for years.

    `settings` are those of its sentence_bert_config.json.
    """
    build(folder, max_position_embeddings=64)
    write(folder, "modules.json", MODULES[:count])
    write(folder, "sentence_bert_config.json", {"max_seq_length": 12, "do_lower_case": False, **settings})
    write(folder, "1_Pooling/config.json", {"word_embedding_dimension": 16, "pooling_mode_mean_tokens": True})
    write(folder, "3_Dense/config.json", DENSE)
    weights = {"linear.weight": torch.randn(4, 16, generator=torch.Generator().manual_seed(0))}
    save_file({**weights, "linear.bias": torch.arange(4.0)}, folder / "3_Dense" / "model.safetensors")
    return folder


def cosines(loaded: LanguageModel, texts: Sequence[str]) -> Array:
    """Return the logits of texts without a prompt, over the temperature, shape (texts, labels)."""
    template = Template(loaded, "{text}", head="embedding", slots=0, lead="", limit=loaded.max_tokens)
    engine = Engine(loaded, EmbeddingHead(loaded, LABELS), Mode(loaded, "add", 0))
    rows = [template.encode(Row("x", (text,))) for text in texts]
    logits: Array = engine.logits(np.zeros((1, 0, 16), np.float32), rows)[0] / 20
    return logits


def by_the_library(folder: Path, texts: Sequence[str]) -> Array:
    """Return the same cosines as the sentence-transformers library computes them."""
    library = pytest.importorskip("sentence_transformers")
    model = library.SentenceTransformer(str(folder), device="cpu")
    own, labels = (model.encode(list(some), normalize_embeddings=True) for some in (texts, LABELS))
    cosine: Array = own @ labels.T
    return cosine


@pytest.mark.parametrize(
    ("count", "settings"), [(2, {}), (3, {"max_seq_length": None}), (4, {}), (4, {"do_lower_case": True})]
)
def test_an_encoder_computes_what_its_library_does(tmp_path: Path, count: int, settings: dict[str, Any]) -> None:
    folder = encoder(tmp_path / "encoder", count, **settings)
    found = cosines(models.load(str(folder), "embedding"), TEXTS)
    np.testing.assert_allclose(found, by_the_library(folder, TEXTS), rtol=0, atol=1e-6)


@pytest.mark.parametrize("activation", ["Tanh", "GELU"])
def test_an_encoder_that_the_library_saved_anew_is_read(tmp_path: Path, activation: str) -> None:
    library = pytest.importorskip("sentence_transformers")
    from sentence_transformers.sentence_transformer.modules import Dense

    model = library.SentenceTransformer(str(encoder(tmp_path / "old", 2)), device="cpu")
    model.append(Dense(16, 8, bias=False, activation_function=getattr(torch.nn, activation)()))
    model.save(str(tmp_path / "new"))
    found = cosines(models.load(str(tmp_path / "new"), "embedding"), TEXTS)
    np.testing.assert_allclose(found, by_the_library(tmp_path / "new", TEXTS), rtol=0, atol=1e-6)


def test_the_default_model_takes_256_tokens_as_its_own_file_says() -> None:
    loaded = models.load("", "embedding")
    assert (loaded.max_tokens, loaded.sentence.layers) == (256, ())
    template = Template(loaded, "{text}", head="embedding", slots=0, lead="", limit=loaded.max_tokens)
    encoded = template.encode(Row("x", ("film " * 300,)))
    assert (len(encoded.ids), encoded.cut) == (256, 300 + 2 - 256)
    long = "good " * 200 + "bad " * 200
    logits = np.zeros((1, 0, 384), np.float32), [template.encode(Row("x", (long,)))]
    found = Engine(loaded, EmbeddingHead(loaded, LABELS), Mode(loaded, "add", 0)).logits(*logits)[0] / 20
    np.testing.assert_allclose(found, by_the_library(models.find(""), [long]), rtol=0, atol=1e-5)


@pytest.mark.parametrize("file", ["modules.json", "sentence_bert_config.json", "3_Dense/config.json"])
def test_the_digest_covers_what_an_encoder_is_made_of(tmp_path: Path, file: str) -> None:
    folder = encoder(tmp_path / "encoder")
    digest = folders.digest(folder)
    assert digest == folders.digest(encoder(tmp_path / "again"))
    (folder / file).write_text((folder / file).read_text(encoding="utf-8") + " ", encoding="utf-8")
    assert folders.digest(folder) != digest
    (folder / file).unlink()
    assert folders.digest(folder) != digest


def test_the_digest_covers_the_weights_of_a_dense_layer(tmp_path: Path) -> None:
    folder = encoder(tmp_path / "encoder")
    digest = folders.digest(folder)
    save_file({"linear.weight": torch.ones(4, 16)}, folder / "3_Dense" / "model.safetensors")
    assert folders.digest(folder) != digest


def test_the_default_model_keeps_the_digest_that_stores_were_made_with_and_no_other_has_it(tmp_path: Path) -> None:
    known = "9a361101322597fc6c6970f1d6ac5d0abe8eb4a81c80d0d282aab42e1c941ad9"
    copy = tmp_path / "copy"
    shutil.copytree(models.find(""), copy)
    assert folders.digest(copy) == known == folders.digest(models.find(""))
    write(copy, "sentence_bert_config.json", {"max_seq_length": 128})
    other = folders.digest(copy)
    (copy / "sentence_bert_config.json").unlink()
    (copy / "modules.json").unlink()
    assert len({known, other, folders.digest(copy)}) == 3


@pytest.mark.parametrize(
    ("settings", "pooling"),
    [
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}, "mean"),
        ({"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}, "cls"),
        ({"pooling_mode_lasttoken": True, "include_prompt": True}, "last"),
        ({"pooling_mode": "mean"}, "mean"),
        ({"pooling_mode": "cls"}, "cls"),
        ({"pooling_mode": "lasttoken"}, "last"),
    ],
)
def test_how_a_sentence_encoder_pools_is_read(tmp_path: Path, settings: dict[str, Any], pooling: str) -> None:
    write(build(tmp_path / "encoder"), "1_Pooling/config.json", settings)
    assert models.load(str(tmp_path / "encoder"), "embedding").sentence.pooling == pooling


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"pooling_mode_max_tokens": True}, "pooling_mode_max_tokens"),
        (
            {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True},
            "pooling_mode_mean.* and pooling_mode_cls.*",
        ),
        ({"pooling_mode": "weightedmean"}, "weightedmean"),
        ({}, "nothing known"),
    ],
)
def test_pooling_that_is_not_offered_is_refused_with_what_is(
    tmp_path: Path, settings: dict[str, Any], what: str
) -> None:
    write(build(tmp_path / "encoder"), "1_Pooling/config.json", settings)
    with pytest.raises(InputError, match=rf"1_Pooling/config\.json pools by {what}; offered are: mean, cls, last"):
        models.load(str(tmp_path / "encoder"), "embedding")


@pytest.mark.parametrize("file", ["1_Pooling/config.json", "modules.json", "sentence_bert_config.json"])
@pytest.mark.parametrize("content", ["", "{", '"x"', "3"])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, file: str, content: str) -> None:
    (encoder(tmp_path / "encoder") / file).write_text(content)
    with pytest.raises(InputError, match=rf"{file} cannot be read: .*; copy the model again"):
        models.load(str(tmp_path / "encoder"), "embedding")


def test_a_folder_that_says_nothing_of_pooling_pools_by_the_mean(tmp_path: Path) -> None:
    assert models.load(str(build(tmp_path / "bert")), "embedding").sentence.pooling == "mean"


def listing(*modules: tuple[str, str]) -> list[dict[str, str]]:
    return [{"type": kind, "path": path} for kind, path in modules]


TRANSFORMER, POOLING = (f"{OLD}Transformer", ""), (f"{OLD}Pooling", "1_Pooling")


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("modules.json", listing(TRANSFORMER), "modules.json has no module Pooling"),
        ("modules.json", [], "modules.json has no module Pooling"),
        ("modules.json", listing(TRANSFORMER, (f"{OLD}WeightedLayerPooling", "1_W")), "the module .*WeightedLayerP"),
        ("modules.json", listing(TRANSFORMER, POOLING, (f"{OLD}LayerNorm", "2_LayerNorm")), "has the module .*LayerNo"),
        ("modules.json", listing((f"{OLD}BoW", "0_BoW")), "has the module sentence_transformers.models.BoW, which is"),
        ("modules.json", listing(("custom_st.Transformer", ""), POOLING), "the module custom_st.Transformer, which is"),
        (
            "modules.json",
            listing((TRANSFORMER[0], "0_Transformer"), POOLING),
            "Transformer in '0_Transformer', not in ",
        ),
        ("modules.json", listing(TRANSFORMER, (POOLING[0], "../1_Pooling")), r"the module Pooling in '\.\./1_Pooling'"),
        ("sentence_bert_config.json", {"max_seq_length": "many"}, "max_seq_length='many'; it must be a whole number"),
        ("sentence_bert_config.json", {"transformer_task": "fill-mask"}, "says transformer_task='fill-mask', which is"),
        ("sentence_bert_config.json", {"query_length": 32}, "says query_length=32, which is not followed; choose"),
        ("sentence_xlnet_config.json", {}, "sentence_bert_config.json and sentence_xlnet_config.json say the same"),
        ("1_Pooling/config.json", {"pooling_mode": "mean", "weights": [1]}, r"says weights=\[1\], which is not"),
        ("2_Normalize/config.json", {"module_input_name": "token_embeddings"}, "says module_input_name='token_"),
        ("3_Dense/config.json", {**DENSE, "use_residual": True}, "says use_residual=True, which is not followed"),
        (
            "3_Dense/config.json",
            {**DENSE, "activation_function": "torch.nn.modules.activation.Softplus"},
            "offered are",
        ),
        ("3_Dense/config.json", {**DENSE, "activation_function": "own.Tanh"}, "has the activation own.Tanh; offered"),
        ("config_sentence_transformers.json", {"similarity_fn_name": "dot"}, "says similarity_fn_name='dot', which is"),
        ("config_sentence_transformers.json", {"default_prompt_name": "query"}, "says default_prompt_name='query', wh"),
        ("config_sentence_transformers.json", {"model_type": "SparseEncoder"}, "says model_type='SparseEncoder', whi"),
    ],
)
def test_what_is_not_followed_is_refused_by_name(tmp_path: Path, file: str, content: Any, message: str) -> None:
    write(encoder(tmp_path / "encoder"), file, content)
    with pytest.raises(InputError, match=message) as refusal:
        models.load(str(tmp_path / "encoder"), "embedding")
    assert "\n" not in str(refusal.value)
    # Other heads read none of it.
    assert models.load(str(tmp_path / "encoder"), "masked").max_tokens == 64


def test_a_dense_layer_is_never_unpickled(tmp_path: Path) -> None:
    dense = encoder(tmp_path / "encoder") / "3_Dense"
    (dense / "model.safetensors").rename(dense / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"3_Dense/model\.safetensors cannot be read: .*; save it as safetensors"):
        models.load(str(tmp_path / "encoder"), "embedding")
