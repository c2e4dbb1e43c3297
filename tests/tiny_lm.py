"""Language models of every family, small enough to build in a test, and files of labelled texts for them."""

import json
import string
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import torch
from tokenizers import AddedToken
from transformers import (
    AlbertTokenizer,
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    BertTokenizer,
    CamembertTokenizer,
    DebertaTokenizer,
    DebertaV2Tokenizer,
    GemmaTokenizer,
    GPT2Tokenizer,
    GPTNeoXTokenizer,
    LlamaTokenizer,
    MPNetTokenizer,
    Qwen2Tokenizer,
    RobertaTokenizer,
    T5Tokenizer,
    XLMRobertaTokenizer,
)

from dfo_bench.lm import models
from dfo_bench.lm.models import LanguageModel
from dfo_bench.lm.modes import ModeName

# As a run does it; OpenMP threads stall on a busy machine.
torch.set_num_threads(1)

MODES: tuple[ModeName, ...] = get_args(ModeName)
EVERYWHERE: tuple[ModeName, ...] = ("add", "cat", "inputs_embeds", "deep")
"""The modes that every head offers."""


def modes(head: str) -> tuple[ModeName, ...]:
    """Return the modes that a head offers."""
    return MODES if head == "causal" else EVERYWHERE


SIZE = 1030
"""How many ids a model knows: enough for 30 prompt slots from 1000 on."""

WORDS = ("negative", "positive", "good", "bad", "great", "awful", "film", "it", "was", "the")
CHARACTERS = string.ascii_letters + string.punctuation + string.digits


def _filled(vocabulary: Iterable[str]) -> list[str]:
    known = list(dict.fromkeys(vocabulary))
    return [*known, *(f"filler{i}" for i in range(SIZE - len(known)))]


def _word_piece(cls: Any, specials: Sequence[str]) -> Callable[[], Any]:
    """Return a maker of tokenizers that cut words into their longest known pieces."""
    pieces = [*specials, *CHARACTERS, *(f"##{c}" for c in CHARACTERS), *WORDS, "##ly"]
    return lambda: cls(vocab={token: i for i, token in enumerate(_filled(pieces))})


def _pairs(words: Sequence[str], space: str) -> tuple[list[str], list[tuple[str, str]]]:
    """Return the tokens and merges of byte-pair encoding under which all words, with a space and without, are one."""
    spaced = [word for word in (*(space + word for word in (*words, *"a.?,")), *words) if len(word) > 1]
    merges = list(dict.fromkeys((word[:i], word[i]) for word in spaced for i in range(1, len(word))))
    return [a + b for a, b in merges], merges


def _bytes(cls: Any, specials: Sequence[str], **settings: Any) -> Callable[[], Any]:
    """Return a maker of byte-level byte-pair tokenizers."""

    def make() -> Any:
        from transformers.convert_slow_tokenizer import bytes_to_unicode

        alphabet: Iterable[str] = bytes_to_unicode().values()  # type: ignore[no-untyped-call]
        tokens, merges = _pairs(WORDS, "Ġ")
        vocabulary = _filled([*specials, *alphabet, *tokens])
        return cls(vocab={token: i for i, token in enumerate(vocabulary)}, merges=merges, **settings)

    return make


def _fallback(cls: Any, specials: Sequence[str]) -> Callable[[], Any]:
    """Return a maker of byte-pair tokenizers whose words begin with a mark, and whose other characters are bytes."""

    def make() -> Any:
        tokens, merges = _pairs(WORDS, "▁")
        bytes_ = (f"<0x{i:02X}>" for i in range(256))
        vocabulary = _filled([*specials, *bytes_, "▁", *CHARACTERS, *tokens])
        return cls(vocab={token: i for i, token in enumerate(vocabulary)}, merges=merges, add_bos_token=True)

    return make


def _unigram(cls: Any, specials: Sequence[str], **settings: Any) -> Callable[[], Any]:
    """Return a maker of tokenizers as sentencepiece makes them: words begin with a mark in the place of a space."""

    def make() -> Any:
        scores = dict.fromkeys(specials, 0.0)
        scores |= dict.fromkeys(["▁", *CHARACTERS], -9.0) | {f"▁{c}": -8.0 for c in CHARACTERS}
        scores |= {f"▁{word}": -1.0 for word in WORDS} | dict.fromkeys(WORDS, -2.0)
        return cls(vocab=[(token, scores.get(token, -99.0)) for token in _filled(scores)], **settings)

    return make


@dataclass(frozen=True)
class Tiny:
    """A model as its family builds it, but small."""

    model_type: str
    auto: Any
    tokenizer: Callable[[], Any]
    first: int
    """How many special tokens stand before a text."""
    config: Mapping[str, Any] = field(default_factory=dict)


_SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 64,
    "initializer_range": 0.5,
}
_GROUPED = {**_SMALL, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 4}
_ROBERTA = {**_SMALL, "max_position_embeddings": 66, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
_DEBERTA = {**_SMALL, "relative_attention": True, "pos_att_type": ["p2c", "c2p"]}
_GEMMA = {**_GROUPED, "hidden_activation": "gelu_pytorch_tanh", "tie_word_embeddings": True}
_WINDOWS = {"sliding_window": 4, "layer_types": ["sliding_attention", "full_attention"], "query_pre_attn_scalar": 9}
_OPT = {**_SMALL, "ffn_dim": 32, "word_embed_proj_dim": 16, "activation_function": "relu"}
_GPT2 = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64, "bos_token_id": 0, "eos_token_id": 0}
_T5: dict[str, Any] = {
    "d_model": 16,
    "d_kv": 8,
    "d_ff": 32,
    "num_layers": 2,
    "num_heads": 2,
    "relative_attention_num_buckets": 8,
}
_T5 |= {"relative_attention_max_distance": 12, "decoder_start_token_id": 0, "initializer_factor": 0.6}

_MASKED, _CAUSAL, _SEQ2SEQ = AutoModelForMaskedLM, AutoModelForCausalLM, AutoModelForSeq2SeqLM
_END = ["<|endoftext|>"]
_PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
_FAIRSEQ = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
# Their masks take in the space before them.
_MASK, _BRACKETS = (AddedToken(mask, lstrip=True, special=True, normalized=False) for mask in ("<mask>", "[MASK]"))
_BERT_PIECES = _word_piece(BertTokenizer, _PIECES)
_MPNET_PIECES = _word_piece(MPNetTokenizer, [*_FAIRSEQ, "[UNK]"])
_END_BYTES = _bytes(GPT2Tokenizer, _END)
_LLAMA_PAIRS = _fallback(LlamaTokenizer, ["<unk>", "<s>", "</s>"])
_GEMMA_PAIRS = _fallback(GemmaTokenizer, ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"])
_OPT_BYTES = _bytes(GPT2Tokenizer, _FAIRSEQ, bos_token="</s>", eos_token="</s>", unk_token="</s>", add_bos_token=True)
_ROBERTA_BYTES = _bytes(RobertaTokenizer, _FAIRSEQ, mask_token=_MASK)
_ALBERT_PIECES = _unigram(AlbertTokenizer, _PIECES, mask_token=_BRACKETS)
_T5_PIECES = _unigram(T5Tokenizer, ["<pad>", "</s>", "<unk>", "<extra_id_0>"], extra_ids=1)

TINY = {
    "bert": Tiny("bert", _MASKED, _BERT_PIECES, 1, _SMALL),
    "roberta": Tiny("roberta", _MASKED, _ROBERTA_BYTES, 1, _ROBERTA),
    "xlm-roberta": Tiny("xlm-roberta", _MASKED, _unigram(XLMRobertaTokenizer, _FAIRSEQ, mask_token=_MASK), 1, _ROBERTA),
    "camembert": Tiny("camembert", _MASKED, _unigram(CamembertTokenizer, _FAIRSEQ), 1, _ROBERTA),
    "electra": Tiny("electra", _MASKED, _BERT_PIECES, 1, {**_SMALL, "embedding_size": 8}),
    "deberta": Tiny(
        "deberta", _MASKED, _bytes(DebertaTokenizer, _PIECES), 1, {**_DEBERTA, "max_relative_positions": 8}
    ),
    "deberta-v2": Tiny("deberta-v2", _MASKED, _unigram(DebertaV2Tokenizer, _PIECES), 1, _DEBERTA),
    "deberta-v2 as xlarge": Tiny(
        "deberta-v2",
        _MASKED,
        _unigram(DebertaV2Tokenizer, _PIECES),
        1,
        {
            **_DEBERTA,
            "position_biased_input": False,
            "conv_kernel_size": 3,
            "conv_act": "gelu",
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
            "position_buckets": 8,
            "type_vocab_size": 0,
            "legacy": False,
            "initializer_range": 0.2,
        },
    ),
    "mpnet": Tiny(
        "mpnet", _MASKED, _word_piece(MPNetTokenizer, [*_FAIRSEQ, "[UNK]"]), 1, {**_ROBERTA, "initializer_range": 0.3}
    ),
    "modernbert": Tiny(
        "modernbert",
        _MASKED,
        _BERT_PIECES,
        1,
        {
            **_SMALL,
            "num_hidden_layers": 3,
            "initializer_range": 0.3,
            "layer_types": ["full_attention", "sliding_attention", "sliding_attention"],
            "local_attention": 6,
            "pad_token_id": 0,
            "bos_token_id": 2,
            "cls_token_id": 2,
            "eos_token_id": 3,
            "sep_token_id": 3,
        },
    ),
    "distilbert": Tiny(
        "distilbert",
        _MASKED,
        _BERT_PIECES,
        1,
        {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32, "max_position_embeddings": 64},
    ),
    "albert": Tiny("albert", _MASKED, _ALBERT_PIECES, 1, {**_SMALL, "embedding_size": 8}),
    "gpt2": Tiny("gpt2", _CAUSAL, _END_BYTES, 0, _GPT2),
    "llama": Tiny("llama", _CAUSAL, _LLAMA_PAIRS, 1, _GROUPED),
    "mistral": Tiny("mistral", _CAUSAL, _LLAMA_PAIRS, 1, {**_GROUPED, "sliding_window": None}),
    "mistral with a window": Tiny("mistral", _CAUSAL, _LLAMA_PAIRS, 1, {**_GROUPED, "sliding_window": 6}),
    "qwen2": Tiny("qwen2", _CAUSAL, _bytes(Qwen2Tokenizer, _END), 0, {**_GROUPED, "tie_word_embeddings": True}),
    "qwen3": Tiny("qwen3", _CAUSAL, _bytes(Qwen2Tokenizer, _END), 0, _GROUPED),
    "qwen2 with a window": Tiny(
        "qwen2",
        _CAUSAL,
        _bytes(Qwen2Tokenizer, _END),
        0,
        {**_GROUPED, "use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1},
    ),
    "opt": Tiny("opt", _CAUSAL, _OPT_BYTES, 1, _OPT),
    "opt as 350m": Tiny(
        "opt",
        _CAUSAL,
        _OPT_BYTES,
        1,
        {**_OPT, "word_embed_proj_dim": 8, "do_layer_norm_before": False, "initializer_range": 0.3},
    ),
    "gpt_neox": Tiny("gpt_neox", _CAUSAL, _bytes(GPTNeoXTokenizer, _END), 0, _SMALL),
    "gpt_neox one after the other": Tiny(
        "gpt_neox",
        _CAUSAL,
        _bytes(GPTNeoXTokenizer, _END),
        0,
        {**_SMALL, "use_parallel_residual": False, "tie_word_embeddings": True},
    ),
    "phi3": Tiny(
        "phi3", _CAUSAL, _LLAMA_PAIRS, 1, {**_GROUPED, "sliding_window": 5, "pad_token_id": 0, "eos_token_id": 2}
    ),
    "smollm3": Tiny(
        "smollm3",
        _CAUSAL,
        _END_BYTES,
        0,
        {
            **_GROUPED,
            "no_rope_layers": [1, 0],
            "use_sliding_window": True,
            "sliding_window": 4,
            "pad_token_id": 0,
            "bos_token_id": 0,
            "eos_token_id": 0,
        },
    ),
    "olmo2": Tiny("olmo2", _CAUSAL, _END_BYTES, 0, {**_GROUPED, "pad_token_id": 0, "eos_token_id": 0}),
    "gemma": Tiny("gemma", _CAUSAL, _GEMMA_PAIRS, 1, _GEMMA),
    # The caps are low enough to be felt.
    "gemma2": Tiny(
        "gemma2",
        _CAUSAL,
        _GEMMA_PAIRS,
        1,
        {**_GEMMA, **_WINDOWS, "attn_logit_softcapping": 3.0, "final_logit_softcapping": 5.0},
    ),
    "gemma3_text": Tiny("gemma3_text", _CAUSAL, _GEMMA_PAIRS, 1, {**_GEMMA, **_WINDOWS}),
    "t5": Tiny("t5", _SEQ2SEQ, _T5_PIECES, 0, _T5),
    "t5 as v1.1": Tiny(
        "t5", _SEQ2SEQ, _T5_PIECES, 0, {**_T5, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}
    ),
    "bart": Tiny(
        "bart",
        _SEQ2SEQ,
        _ROBERTA_BYTES,
        1,
        {
            "d_model": 16,
            "encoder_layers": 2,
            "decoder_layers": 2,
            "encoder_attention_heads": 2,
            "decoder_attention_heads": 2,
            "encoder_ffn_dim": 32,
            "decoder_ffn_dim": 32,
            "max_position_embeddings": 64,
            "scale_embedding": True,
            "decoder_start_token_id": 2,
        },
    ),
}
"""By name: that of its family, or of the family and a size that is built otherwise."""


def build(folder: Path, name: str = "bert", auto: Any = None, **config: Any) -> Path:
    """Save a tokenizer and a model with random weights, large enough that a prompt changes the losses.

    `auto` is another class of transformers than the family's own, `config` what is to be otherwise.
    """
    tiny = TINY[name]
    folder.mkdir(parents=True)
    tiny.tokenizer().save_pretrained(folder)
    settings = AutoConfig.for_model(tiny.model_type, **{**tiny.config, "vocab_size": SIZE, **config})
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        model = (auto or tiny.auto).from_config(settings)
        for tensor in (*model.parameters(), *(b for key, b in model.named_buffers() if key == "final_logits_bias")):
            # Biases and norms, too, which a new model has at 0 and 1.
            tensor += 0.2 * torch.randn_like(tensor)
        model.save_pretrained(folder)
    return folder


def configure(folder: Path, file: str = "config.json", **settings: Any) -> Path:
    """Change entries of a file of settings in a model's folder."""
    path = folder / file
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    path.write_text(json.dumps({**before, **settings}), encoding="utf-8")
    return folder


class Zoo:
    """The tiny models, each built when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loaded: dict[tuple[str, ...], LanguageModel] = {}

    def folder(self, name: str = "bert") -> str:
        """Return the folder of a model."""
        folder = self._folder / name
        return str(folder if folder.exists() else build(folder, name))

    def load(self, name: str, head: str, precision: models.Precision = "float32") -> LanguageModel:
        """Return a model with what a head needs."""
        key = name, head, precision
        if key not in self._loaded:
            self._loaded[key] = models.load(self.folder(name), head, precision)
        return self._loaded[key]


def hooks(loaded: LanguageModel) -> list[int]:
    """Return the hooks of a model; transformers has some of its own."""
    return [id(h) for m in loaded.model.modules() for h in (*m._forward_hooks.values(), *m._forward_pre_hooks.values())]


def write(path: Path, rows: Iterable[object]) -> Path:
    """Write JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def reviews(count: int) -> list[dict[str, str]]:
    """Make `count` short texts of each of two classes, of different lengths."""
    return [
        {"text": f"the film was {'very ' * (i % 3)}{word} {string.ascii_lowercase[i % 26]}", "label": label}
        for i in range(count)
        for label, word in [("negative", "awful"), ("positive", "great")]
    ]
