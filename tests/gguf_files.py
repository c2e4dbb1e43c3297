"""GGUF files of tiny models, as llama.cpp's own program would write them."""

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from transformers import AutoModelForCausalLM, AutoTokenizer

SPECIAL, NORMAL, BYTE = 3, 1, 6


def write_gguf(path: Path, folder: Path, *, eight_bits: bool = False, **metadata: str | float) -> Path:
    """Write the model of a folder; `metadata` takes the architecture's name before it, and _ in place of a dot."""
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    config = model.config
    name = config.model_type.removesuffix("_text")
    writer = gguf.GGUFWriter(path, name)
    _write_settings(writer, config)
    _write_tokenizer(writer, tokenizer)
    for key, setting in metadata.items():
        written = f"{name}.{key.replace('_', '.')}"
        if isinstance(setting, str):
            writer.add_string(written, setting)
        else:
            writer.add_float32(written, setting)
    arch = next(arch for arch, known in gguf.MODEL_ARCH_NAMES.items() if known == name)
    names = gguf.get_tensor_name_map(arch, config.num_hidden_layers)
    for key, tensor in model.state_dict().items():
        if key == "lm_head.weight" and config.tie_word_embeddings:
            continue
        module, suffix = key.rsplit(".", 1)
        value = np.ascontiguousarray(_stored(config, key, tensor.numpy()))
        form = gguf.GGMLQuantizationType.Q8_0 if eight_bits and value.ndim == 2 else None
        content = value if form is None else gguf.quantize(value, form)
        writer.add_tensor(f"{names.get_name(module)}.{suffix}", content, raw_dtype=form)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _write_settings(writer: Any, config: Any) -> None:
    writer.add_name("tiny")
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_embedding_length(config.hidden_size)
    writer.add_head_count(config.num_attention_heads)
    if config.model_type == "gpt2":
        writer.add_feed_forward_length(4 * config.hidden_size)
        writer.add_layer_norm_eps(config.layer_norm_epsilon)
        return
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters.get("full_attention", config.rope_parameters)["rope_theta"])
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_key_length(config.hidden_size // config.num_attention_heads)
    if "gemma" in config.model_type:
        writer.add_sliding_window(config.sliding_window)


def _write_tokenizer(writer: Any, tokenizer: Any) -> None:
    tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    special = set(tokenizer.all_special_ids)
    marked = "▁" in tokens
    writer.add_tokenizer_model("llama" if marked else "gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types(
        [SPECIAL if i in special else BYTE if token.startswith("<0x") else NORMAL for i, token in enumerate(tokens)]
    )
    if marked:
        # The earlier a pair was merged, the better its score.
        writer.add_token_scores([-float(i) for i in range(len(tokens))])
        writer.add_add_bos_token(True)
    else:
        writer.add_tokenizer_pre("qwen2" if "Qwen2" in type(tokenizer).__name__ else "gpt-2")
        merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
        writer.add_token_merges([" ".join(merge) for merge in merges])
    for role in ("bos", "eos", "unk", "pad"):
        if (token := getattr(tokenizer, f"{role}_token_id")) is not None:
            getattr(writer, f"add_{role}_token_id")(token)


def _stored(config: Any, key: str, value: Any) -> Any:
    """Return a weight as llama.cpp keeps it."""
    kind = config.model_type
    if "gemma" in kind and "norm" in key:
        return value + 1
    if kind == "gpt2" and value.ndim == 2 and "wte" not in key and "wpe" not in key:
        return value.T
    if kind == "llama" and ("q_proj" in key or "k_proj" in key):
        # Each head's halves, which rotate together, are interleaved.
        heads = config.num_attention_heads if "q_proj" in key else config.num_key_value_heads
        return value.reshape(heads, 2, -1, value.shape[1]).swapaxes(1, 2).reshape(value.shape)
    return value
