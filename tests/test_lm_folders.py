"""Folders as they are on disks and hubs: what makes a model, what is refused by name, what is left aside."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForMaskedLM

from dfo_bench.core import InputError
from dfo_bench.lm import folders, models
from dfo_bench.lm import hub as hub_module
from dfo_bench.lm.engine import Engine
from dfo_bench.lm.heads import WordsHead
from dfo_bench.lm.modes import Mode
from dfo_bench.lm.templates import Encoded
from tests.tiny_lm import TINY, Zoo, build, configure

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 133466304\n"


def refused(folder: Path, message: str, head: str = "masked") -> None:
    with pytest.raises(InputError, match=message) as refusal:
        models.load(str(folder), head)
    assert "\n" not in str(refusal.value)


def logits(folder: Path) -> list[float]:
    loaded = models.load(str(folder), "masked")
    engine = Engine(loaded, WordsHead(loaded, [301, 512]), Mode(loaded, "add", 0))
    scores: list[float] = engine.logits(np.zeros((1, 0, 16), np.float32), [Encoded((2, 77, 4, 3), 2, 0, 0)])[
        0, 0
    ].tolist()
    return scores


def lora(base: Path, folder: Path) -> Path:
    """Save an adapter that changes what a model computes."""
    torch.manual_seed(0)
    config = LoraConfig(r=2, target_modules=["query"], init_lora_weights=False)
    get_peft_model(AutoModelForMaskedLM.from_pretrained(base), config).save_pretrained(str(folder))
    return folder


def test_an_adapter_beside_a_model_is_refused_and_without_it_the_model_is_as_before(tmp_path: Path) -> None:
    folder = build(tmp_path / "model")
    before, digest = logits(folder), folders.digest(folder)
    models._load.cache_clear()
    lora(folder, folder)
    refused(folder, r"holds an adapter beside the model \(adapter_config\.json\).*; merge it into the weights")
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (folder / name).unlink()
    assert (logits(folder), folders.digest(folder)) == (before, digest)


def test_an_adapter_in_the_place_of_a_model_is_refused_with_its_base(tmp_path: Path) -> None:
    base = build(tmp_path / "model")
    refused(lora(base, tmp_path / "adapter"), rf"adapter is an adapter of {base}; pass the base model, or merge")
    (tmp_path / "adapter" / "adapter_config.json").write_text("{}")
    refused(tmp_path / "adapter", r"is an adapter of another model; pass the base model")


@pytest.mark.parametrize(
    ("file", "settings", "message"),
    [
        ("config.json", {"auto_map": {"AutoModel": "odd.Odd"}}, r"comes with code of its own, .* \(auto_map in config"),
        ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["odd.Odd", None]}}, r"auto_map in tokenizer_config"),
        (
            "config.json",
            {"quantization_config": {"quant_method": "bitsandbytes"}},
            "is quantized, .*; pass the model t",
        ),
        ("config.json", {"quantization_config": {"quant_method": "unheard of"}}, r"\(quantization_config in config"),
        ("config.json", {"configuration_files": ["config.4.0.0.json"]}, "has other configurations for other versions"),
        ("config.json", {"attn_implementation": "flash_attention_2"}, "asks for attention that other packages compute"),
        ("config.json", {"_attn_implementation": "kernels-community/attn"}, "asks for attention that other packages"),
    ],
)
def test_a_setting_that_is_not_followed_is_refused_by_name(
    tmp_path: Path, file: str, settings: dict[str, Any], message: str
) -> None:
    refused(configure(build(tmp_path / "model"), file, **settings), message)


@pytest.mark.parametrize(
    "settings", [{"quantization_config": None, "auto_map": {}}, {"attn_implementation": "eager"}, {"use_cache": False}]
)
def test_a_setting_that_is_followed_or_says_nothing_is_taken(
    tmp_path: Path, zoo: Zoo, settings: dict[str, Any]
) -> None:
    folder = configure(build(tmp_path / "model"), **settings)
    assert logits(folder) == pytest.approx(logits(Path(zoo.folder())), abs=1e-5)
    assert models.load(str(folder), "masked").digest != zoo.load("bert", "masked").digest


def test_what_no_logit_depends_on_is_left_aside_whatever_is_in_it(tmp_path: Path, zoo: Zoo) -> None:
    folder = build(tmp_path / "model")
    for name in (
        *("README.md", "LICENSE", ".gitattributes", "picture.png", "tokenizer/notes.txt", "onnx/model.onnx"),
        *("openvino/openvino_model.xml", "pytorch_model.bin", "pytorch_model.bin.index.json", "tf_model.h5"),
        *(
            "model.gguf",
            "training_args.bin",
            "optimizer.pt",
            "trainer_state.json",
            "tekken.json",
            "chat_template.jinja",
        ),
        *("generation_config.json", "custom_generate/generate.py", "preprocessor_config.json", "odd.py", ".metadata"),
        *("additional_chat_templates/a.jinja", "adapter_model.bin", "model.fp16/model.safetensors", "eval/config.json"),
    ):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("{ no part of the model")
    assert models.load(str(folder), "masked").digest == zoo.load("bert", "masked").digest
    assert logits(folder) == logits(Path(zoo.folder()))


def test_the_libraries_are_shown_nothing_but_what_is_digested(tmp_path: Path) -> None:
    folder = build(tmp_path / "model")
    for name in ("adapter_config.json", "generation_config.json", "odd.py"):
        (folder / name).write_text("{}")
    with folders.staged(folder) as staged:
        assert {path.name for path in staged.iterdir()} == {
            *("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
        }
        assert (staged / "config.json").read_bytes() == (folder / "config.json").read_bytes()
    assert not staged.exists()


def test_the_digest_follows_the_content_not_the_path(tmp_path: Path, zoo: Zoo) -> None:
    digest = zoo.load("bert", "masked").digest
    again = build(tmp_path / "elsewhere")
    assert models.load(str(again), "masked").digest == models.load(str(again), "embedding").digest == digest
    other = build(tmp_path / "other", max_position_embeddings=32)
    assert models.load(str(other), "masked").digest != digest
    for file, content in {
        "added_tokens.json": '{"filmy": 900}',
        "special_tokens_map.json": "{}",
        "1_Pooling/config.json": '{"pooling_mode": "cls"}',
    }.items():
        (again / file).parent.mkdir(exist_ok=True)
        (again / file).write_text(content)
        assert folders.digest(again) != digest
        (again / file).unlink()
    assert folders.digest(again) == digest


@pytest.mark.parametrize(("name", "head"), [("roberta", "masked"), ("llama", "causal"), ("t5", "seq2seq")])
def test_weights_in_pieces_are_read_and_fetched_from_the_hub_with_all_it_takes(
    tmp_path: Path, zoo: Zoo, monkeypatch: pytest.MonkeyPatch, name: str, head: str
) -> None:
    whole, pieces, fetched = Path(zoo.folder(name)), tmp_path / "pieces", tmp_path / "fetched"
    shutil.copytree(whole, pieces, ignore=shutil.ignore_patterns("*.safetensors"))
    TINY[name].auto.from_pretrained(whole).save_pretrained(pieces, max_shard_size="40KB")
    (pieces / "pytorch_model.bin").write_text("a pickle")

    def snapshot(repository: str, allow_patterns: list[str]) -> str:
        fetched.mkdir()
        for path in {path for pattern in allow_patterns for path in pieces.glob(pattern)}:
            shutil.copy(path, fetched)
        return str(fetched)

    monkeypatch.setattr(hub_module, "snapshot_download", snapshot)
    hub_module.download.cache_clear()
    loaded, expected = models.load(f"somebody/{name}", head), zoo.load(name, head)
    assert len(list(fetched.glob("*.safetensors"))) > 1
    assert not list(fetched.glob("*.bin"))
    assert torch.equal(loaded.words, expected.words)
    assert loaded.tokenizer("the film").input_ids == expected.tokenizer("the film").input_ids
    (pieces / "adapter_config.json").write_text('{"base_model_name_or_path": "somebody/else"}')
    shutil.rmtree(fetched)
    hub_module.download.cache_clear()
    models._load.cache_clear()
    with pytest.raises(InputError, match="holds an adapter beside the model"):
        models.load(f"somebody/{name}", head)


def test_weights_that_the_configuration_names_are_read_and_digested(tmp_path: Path, zoo: Zoo) -> None:
    folder = build(tmp_path / "named")
    other = {key: 2 * value for key, value in load_file(folder / "model.safetensors").items()}
    save_file(other, folder / "best.safetensors", {"format": "pt"})
    configure(folder, transformers_weights="best.safetensors")
    assert torch.equal(models.load(str(folder), "masked").words, 2 * zoo.load("bert", "masked").words)
    configure(folder, transformers_weights="../named/best.safetensors")
    models._load.cache_clear()
    refused(folder, "cannot be loaded for head=masked: ")
    configure(folder, transformers_weights="adapter_model.bin")
    refused(folder, "cannot be loaded for head=masked: ")


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_git_lfs_pointer_is_refused_as_what_it_is(tmp_path: Path, file: str) -> None:
    folder = build(tmp_path / "cloned")
    (folder / file).write_text(POINTER)
    refused(folder, f"cloned/{file} is a Git LFS pointer, not the file itself; run git lfs pull in its folder$")


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, opened = build(tmp_path / "locked"), Path.open

    def locked(path: Path, *args: Any, **options: Any) -> Any:
        if path.name == "tokenizer.json":
            raise PermissionError(13, "Permission denied")
        return opened(path, *args, **options)

    # Tests may run as root, who may read all.
    monkeypatch.setattr(Path, "open", locked)
    refused(folder, r"tokenizer\.json cannot be read: Permission denied; it must be a file you may read")


@pytest.mark.parametrize(
    ("instead", "message"),
    [
        ("pytorch_model.bin", "pytorch_model.bin, a pickle, which is never read; convert it to safetensors$"),
        ("consolidated.00.pt", "consolidated.00.pt, a pickle, which is never read; convert it to safetensors$"),
        ("q4.gguf", "q4.gguf, a GGUF file; pass its path as the model$"),
        ("tf_model.h5", "tf_model.h5, weights for TensorFlow; convert them to safetensors$"),
        ("flax_model.msgpack", "flax_model.msgpack, weights for Flax; convert them to safetensors$"),
        ("model.onnx", "model.onnx, a graph for ONNX; pass the model that it was made of$"),
        ("onnx/model.onnx", "onnx/model.onnx, a graph for ONNX; pass the model that it was made of$"),
        ("openvino/openvino_model.xml", "openvino/openvino_model.xml, a graph for OpenVINO; pass the model that"),
    ],
)
@pytest.mark.parametrize("configured", [True, False])
def test_a_folder_of_another_kind_of_model_is_refused_as_what_it_is(
    tmp_path: Path, instead: str, message: str, configured: bool
) -> None:
    folder = build(tmp_path / "other")
    (folder / instead).parent.mkdir(exist_ok=True)
    (folder / "model.safetensors").rename(folder / instead)
    if not configured:
        (folder / "config.json").unlink()
    refused(folder, f"holds no {'model.safetensors' if configured else 'config.json'}, but {message}")


def test_a_sentence_encoder_of_the_old_layout_is_refused_as_that(tmp_path: Path) -> None:
    build(tmp_path / "old" / "0_Transformer")
    refused(tmp_path / "old", r"holds no config\.json, but 0_Transformer/config\.json, a sentence encoder of the old")


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_folder_that_lacks_a_file_is_refused(tmp_path: Path, file: str) -> None:
    folder = build(tmp_path / "bare")
    (folder / file).unlink()
    refused(folder, f"model folder .*bare holds no {file}; copy the model again$")


def test_a_git_lfs_pointer_in_the_place_of_a_gguf_is_refused_as_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "small.gguf").write_text(POINTER)
    refused(tmp_path / "small.gguf", r"small\.gguf is a Git LFS pointer, not the file itself; run git lfs pull")


def test_a_file_that_is_no_gguf_is_refused(zoo: Zoo) -> None:
    refused(Path(zoo.folder()) / "model.safetensors", r"model\.safetensors' cannot be read as a GGUF")


def test_weights_of_another_name_are_refused_though_there_is_a_pickle(tmp_path: Path) -> None:
    folder = build(tmp_path / "pickled")
    torch.save({}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").rename(folder / "other.safetensors")
    refused(folder, rf"cannot be loaded for head=masked: .*no file named model\.safetensors .*{folder}")
