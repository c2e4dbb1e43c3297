"""The families of models: the places in the stock classes of transformers that prompts and heads need."""

from dataclasses import dataclass

from dfo_bench.errors import InputError


@dataclass(frozen=True)
class Family:
    """The places in a kind of model, as paths of modules below its base model."""

    heads: tuple[str, ...]
    """The heads that models of the family have."""
    entry: str
    """The module whose output enters the first block, or that block itself; "" where the word embeddings enter it."""
    blocks: str
    """The list of blocks; "" where all layers are one block."""
    tail: str
    """The module of a block from whose input on rows no longer look at each other; "" where there is none."""


_ENCODER = ("embedding", "masked")
_DECODER = ("embedding", "causal")
_BERT = Family(_ENCODER, "embeddings", "encoder.layer", "attention.output")
_LLAMA = Family(_DECODER, "", "layers", "post_attention_layernorm")
_GEMMA2 = Family(_DECODER, "", "layers", "pre_feedforward_layernorm")

FAMILIES = {
    "bert": _BERT,
    "roberta": _BERT,
    "xlm-roberta": _BERT,
    "camembert": _BERT,
    "electra": _BERT,
    "deberta": _BERT,
    "deberta-v2": _BERT,
    "mpnet": Family(_ENCODER, "embeddings", "encoder.layer", "attention.LayerNorm"),
    "modernbert": Family(_ENCODER, "embeddings", "layers", "mlp_norm"),
    "distilbert": Family(_ENCODER, "embeddings", "transformer.layer", "sa_layer_norm"),
    "albert": Family(_ENCODER, "embeddings", "", ""),
    "gpt2": Family(_DECODER, "drop", "h", "ln_2"),
    # Its blocks flatten the rows of all texts into one list.
    "opt": Family(_DECODER, "layers.0", "layers", ""),
    # Where attention and MLP stand side by side, the MLP's rows are still its own.
    "gpt_neox": _LLAMA,
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
    "phi3": _LLAMA,
    "smollm3": _LLAMA,
    "olmo2": Family(_DECODER, "", "layers", "mlp"),
    "gemma": _LLAMA,
    "gemma2": _GEMMA2,
    "gemma3_text": _GEMMA2,
    "t5": Family(("seq2seq",), "", "block", ""),
    "bart": Family(("seq2seq",), "layernorm_embedding", "layers", ""),
}
"""The families by the `model_type` of a configuration."""


def family(model_type: str, head: str, name: str) -> Family:
    """Return the family of a model; raise InputError where it is not known or lacks the head."""
    if model_type not in FAMILIES:
        raise InputError(f"model {name!r} is a {model_type}; offered are: {', '.join(FAMILIES)}")
    found = FAMILIES[model_type]
    if head not in found.heads:
        choice = " or ".join(f"head={other}" for other in found.heads)
        raise InputError(f"model {name!r} is a {model_type}, which has no head={head}; pass {choice}")
    return found
