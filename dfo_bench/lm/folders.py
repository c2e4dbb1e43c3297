"""A model's folder: the files that make the model, the files and settings refused by name, and the digest."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dfo_bench.errors import InputError

FILES = (
    "config.json",
    "1_Pooling/config.json",
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "*.model",
    "*.safetensors",
    "*.safetensors.index.json",
)
"""The files that make a model: those that the libraries read, and a sentence encoder's pooling; never a pickle.

The libraries are shown these alone (`staged`), so a model is what is digested, whatever else lies beside it and
whatever packages are installed. Files that would change logits are refused (`check`). All others are harmless:
generation_config.json, custom_generate/ and chat templates, which only generation reads; pytorch_model.bin, onnx/,
openvino/ and a tekken.json beside a tokenizer.json, which stand for the same model in other programs; what training
left, such as training_args.bin; README.md, LICENSE and images. Vocabularies of other names belong to tokenizers
without offsets, which are refused.
"""

SENTENCE_FILES = ("modules.json", "sentence_*_config.json", "[0-9]*_*/config.json", "[0-9]*_*/*.safetensors")
"""The files of a sentence encoder beside its transformer (`dfo_bench.lm.sentence`)."""

ADAPTER = "adapter_config.json"

REFUSED = (ADAPTER, "config_sentence_transformers.json")
"""Files for whose sake a model may be refused: they are fetched from the hub, but are no part of the digest."""

_SETTINGS = {
    "auto_map": "comes with code of its own, which is never run; choose a model of transformers' own classes",
    "quantization_config": "is quantized, which other packages compute; pass the model that it was made of",
    "configuration_files": "has other configurations for other versions; copy the one that is meant over config.json",
    "attn_implementation": "asks for attention that other packages compute; write sdpa or eager",
    "_attn_implementation": "asks for attention that other packages compute; write sdpa or eager",
}
"""Settings of config.json and tokenizer_config.json that are refused, unless they are empty, "sdpa" or "eager"."""

_NEEDED = {
    "config.json": ("config.json",),
    "model.safetensors": ("*.safetensors",),
    "tokenizer.json": ("tokenizer.json", "vocab.*", "*.model"),
}
"""Files that must be there, in any of these forms: without its own files a tokenizer would be made up."""

_INSTEAD = {
    "*.gguf": "a GGUF file; pass its path as the model",
    "*.bin": "a pickle, which is never read; convert it to safetensors",
    "*.pt": "a pickle, which is never read; convert it to safetensors",
    "*.h5": "weights for TensorFlow; convert them to safetensors",
    "*.msgpack": "weights for Flax; convert them to safetensors",
    "*.onnx": "a graph for ONNX; pass the model that it was made of",
    "onnx/*.onnx": "a graph for ONNX; pass the model that it was made of",
    "*openvino*.xml": "a graph for OpenVINO; pass the model that it was made of",
    "openvino/*.xml": "a graph for OpenVINO; pass the model that it was made of",
    "tekken.json": "a tokenizer for mistral-common; convert it to a tokenizer.json",
    "0_*/config.json": "a sentence encoder of the old layout; save it anew with sentence-transformers",
}
"""Files that a folder may hold in the place of those needed: what they are, and the remedy."""

_POINTER = b"version https://git-lfs.github.com/spec/"

_DEFAULT_MODEL = "9a361101322597fc6c6970f1d6ac5d0abe8eb4a81c80d0d282aab42e1c941ad9"
_DEFAULT_SENTENCE = "2c01963f7ee1a5008755a5eaf46b7372abe947ce859d93412fe676a541a641e9"
"""The digests of the default model's FILES and SENTENCE_FILES."""


def check(folder: Path) -> None:
    """Raise InputError for a folder that is no model, or that holds what would be left out in silence."""
    _refuse_adapter(folder)
    for needed, patterns in _NEEDED.items():
        if not _files(folder, patterns):
            raise InputError(f"model folder {folder} holds no {needed}{_instead(folder)}")
    for path in _files(folder, (*FILES, *SENTENCE_FILES)):
        try:
            refuse_pointer(path)
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}; it must be a file you may read") from error
    for name in ("config.json", "tokenizer_config.json"):
        settings = read_json(folder / name)
        for key, why in _SETTINGS.items():
            if settings.get(key) and settings[key] not in ("sdpa", "eager"):
                raise InputError(f"model folder {folder} {why} ({key} in {name})")


def refuse_pointer(path: Path) -> None:
    """Raise InputError for what Git LFS leaves in the place of a file that it has not fetched."""
    with path.open("rb") as file:
        if file.read(len(_POINTER)) == _POINTER:
            raise InputError(f"{path} is a Git LFS pointer, not the file itself; run git lfs pull in its folder")


def _refuse_adapter(folder: Path) -> None:
    """Refuse an adapter, which transformers attaches to a model where PEFT is installed, and elsewhere not."""
    if not (folder / ADAPTER).is_file():
        return
    if (folder / "config.json").is_file():
        raise InputError(
            f"model folder {folder} holds an adapter beside the model ({ADAPTER}), which is not attached; merge it "
            "into the weights (PEFT: merge_and_unload), or move it elsewhere"
        )
    settings = read_json(folder / ADAPTER)
    # AdapterHub's adapters have the latter.
    base = settings.get("base_model_name_or_path") or settings.get("model_name") or "another model"
    raise InputError(
        f"model folder {folder} is an adapter of {base}; pass the base model, or merge the adapter into it (PEFT: "
        "merge_and_unload) and pass the folder of the result"
    )


def _instead(folder: Path) -> str:
    """Return what a folder holds in the place of a file that is needed, and the remedy."""
    for pattern, what in _INSTEAD.items():
        if found := _files(folder, (pattern,)):
            return f", but {found[0].relative_to(folder)}, {what}"
    return "; copy the model again"


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """Give a folder that holds links to FILES and nothing else, as long as it lasts."""
    with TemporaryDirectory(prefix="dfo-bench-") as name:
        for path in _files(folder, FILES):
            link = Path(name) / path.relative_to(folder)
            link.parent.mkdir(exist_ok=True)
            link.symlink_to(path)
        yield Path(name)


def digest(folder: Path) -> str:
    """Digest configuration, tokenizer, weights and the files of a sentence encoder, by name and content."""
    own = _files(folder, FILES)
    model, sentence = _digest(folder, own), _digest(folder, [p for p in _files(folder, SENTENCE_FILES) if p not in own])
    # Digests once covered FILES alone, and stores are named by them. They still do where a folder has no other files,
    # and for the default model as its package has it: its stores keep their keys, although texts of more than the 256
    # tokens of its sentence_bert_config.json were cut at 512 then.
    former = _DEFAULT_SENTENCE if model == _DEFAULT_MODEL else hashlib.sha256().hexdigest()
    return model if sentence == former else hashlib.sha256(f"{model}{sentence}".encode()).hexdigest()


def _digest(folder: Path, paths: Sequence[Path]) -> str:
    total = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            total.update(f"{path.relative_to(folder)} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()


def _files(folder: Path, patterns: Sequence[str]) -> list[Path]:
    return sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()})


def read_json(path: Path) -> dict[str, Any]:
    """Return the settings that a file holds; none where there is no such file, or no such settings in it."""
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return settings if isinstance(settings, dict) else {}
