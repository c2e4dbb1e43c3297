"""The plainest computation: one candidate and one text, module by module, no hook, no cache, the whole vocabulary."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache
from transformers.modeling_outputs import BaseModelOutput

from dfo_bench.lm.models import LanguageModel
from dfo_bench.lm.templates import Encoded

LLAMAS = ("llama", "mistral", "qwen2", "qwen3", "phi3", "smollm3", "olmo2")
GEMMAS = ("gemma", "gemma2", "gemma3_text")

Labels = Sequence[Any]
"""What is scored: tokens, or for head=embedding the embeddings of label texts."""


@torch.inference_mode()
def logits(
    loaded: LanguageModel, head: str, mode: str, prompt: torch.Tensor, text: Encoded, labels: Labels, first: int
) -> list[float]:
    """Return the logits of the labels.

    `prompt` has the shape (tokens, size), with mode=deep (blocks, tokens, size); `first` special tokens stand before
    a text.
    """
    model, base = loaded.model, loaded.base
    if mode == "inputs_embeds":
        embeds = torch.cat([prompt, base.get_input_embeddings()(torch.tensor(text.ids))])[None]
        last = base(inputs_embeds=embeds).last_hidden_state
    elif mode == "words":
        words = base.get_input_embeddings()(torch.tensor(text.ids))
        last = base(inputs_embeds=torch.cat([words[:first], prompt, words[first:]])[None]).last_hidden_state
    elif mode == "prefix":
        last = base(
            inputs_embeds=base.get_input_embeddings()(torch.tensor([text.ids])), past_key_values=past(base, prompt)
        )
        last = last.last_hidden_state
    elif mode == "after":
        words = base.get_input_embeddings()(torch.tensor(text.ids))
        last = base(inputs_embeds=torch.cat([words[: text.end], prompt, words[text.end :]])[None]).last_hidden_state
    else:
        rows = entering(base, text.ids)
        if mode == "add":
            rows[0, first : first + len(prompt)] += prompt
        elif mode == "cat":
            rows = torch.cat([prompt[None], rows], dim=1)
        last = through(base, rows, prompt if mode == "deep" else None, first)
    before = len(prompt) if mode in ("cat", "inputs_embeds", "words") else 0
    if head == "embedding":
        embedded = pooled(loaded, last, 0 if mode == "words" else before)
        return [20 * float(torch.cosine_similarity(embedded, label, dim=0)) for label in labels]
    if head == "seq2seq":
        decoder = torch.tensor([text.decoder])
        scores = model(encoder_outputs=BaseModelOutput(last), decoder_input_ids=decoder).logits[0, -1]
    else:
        scores = vocabulary(model, last)[0, -1 if text.mask is None else before + text.mask]
    return [float(scores[label]) for label in labels]


def past(base: Any, prompt: torch.Tensor) -> DynamicCache | None:
    """Return the keys and values of a prompt, shape (layers, 2, tokens, heads x size)."""
    if not prompt.size(2):
        return None
    config, cache = base.config, DynamicCache()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    for i, layer in enumerate(prompt):
        keys, values = (torch.stack(kind.chunk(heads, dim=1))[None] for kind in layer)
        cache.update(keys, values, i)
    return cache


@torch.inference_mode()
def embedding(loaded: LanguageModel, text: str) -> torch.Tensor:
    """Return the embedding of a text without a prompt, shape (size,)."""
    ids = torch.tensor([loaded.tokenizer(text)["input_ids"]])
    return pooled(loaded, loaded.model(input_ids=ids).last_hidden_state, 0)


def entering(base: Any, ids: Sequence[int]) -> torch.Tensor:
    """Return what enters the first block for a text without a prompt, shape (1, length, size)."""
    given, places = torch.tensor([ids]), torch.arange(len(ids))
    rows: torch.Tensor
    match base.config.model_type:
        case "gpt2":
            rows = base.wte(given) + base.wpe(places)
        case "opt":
            rows = base.embed_tokens(given)
            rows = (rows if base.project_in is None else base.project_in(rows)) + base.embed_positions.weight[
                places + 2
            ]
        case "gpt_neox":
            rows = base.embed_in.weight[given]
        case kind if kind in GEMMAS:
            rows = base.embed_tokens.weight[given] * base.config.hidden_size**0.5
        case kind if kind in (*LLAMAS, "t5"):
            rows = base.embed_tokens.weight[given]
        case "bart":
            rows = base.layernorm_embedding(base.embed_tokens(given) + base.embed_positions(given))
        case _:
            rows = base.embeddings(given)
    return rows


def through(base: Any, rows: torch.Tensor, deltas: torch.Tensor | None, first: int) -> torch.Tensor:
    """Return what comes out of all blocks and the norm after them; before block i, deltas[i] are added."""

    def added(rows: torch.Tensor, i: int) -> torch.Tensor:
        if deltas is None:
            return rows
        rows = rows.clone()
        for slot, delta in enumerate(deltas[i]):
            rows[0, first + slot] += delta
        return rows

    kind, length = base.config.model_type, rows.size(1)
    places = torch.arange(length)[None]
    unseen = torch.full((length, length), -torch.inf)
    causal = unseen.triu(1)[None, None]
    window: int = getattr(base.config, "sliding_window", None) or 0
    layers = getattr(base.config, "layer_types", None) or ["sliding_attention" if window else "full_attention"] * 2

    def seen(i: int) -> torch.Tensor:
        """Return the mask of a decoder's layer: the rows before, the last few of them where it has a window."""
        return causal + unseen.tril(-window) if layers[i] == "sliding_attention" else causal

    match kind:
        case "bert" | "roberta" | "xlm-roberta" | "camembert" | "electra":
            rows = base.embeddings_project(rows) if kind == "electra" else rows
            for i, block in enumerate(base.encoder.layer):
                rows = block(added(rows, i))
        case "mpnet":
            bias = base.encoder.compute_position_bias(rows)
            for i, block in enumerate(base.encoder.layer):
                (rows,) = block(added(rows, i), None, bias)
        case "modernbert":
            near = unseen.triu(window + 1) + unseen.tril(-window - 1)
            for i, block in enumerate(base.layers):
                mask = near[None, None] if layers[i] == "sliding_attention" else None
                angles = base.rotary_emb(rows, places, layers[i])
                rows = block(added(rows, i), attention_mask=mask, position_embeddings=angles)
            rows = base.final_norm(rows)
        case "deberta" | "deberta-v2":
            encoder, all_rows = base.encoder, torch.ones(1, length)
            positions, far = encoder.get_rel_pos(rows), encoder.get_rel_embedding()
            everywhere = encoder.get_attention_mask(all_rows)
            for i, block in enumerate(encoder.layer):
                out, _ = block(added(rows, i), everywhere, relative_pos=positions, rel_embeddings=far)
                # The convolution stands beside the first block, so it sees no delta of it.
                beside = getattr(encoder, "conv", None) if i == 0 else None
                rows = out if beside is None else beside(rows, out, all_rows)
        case "distilbert":
            for i, block in enumerate(base.transformer.layer):
                rows = block(added(rows, i))
        case "albert":
            rows = base.encoder.embedding_hidden_mapping_in(rows)
            for _ in range(base.config.num_hidden_layers):
                rows = base.encoder.albert_layer_groups[0](rows)
        case "gpt2":
            for i, block in enumerate(base.h):
                rows = block(added(rows, i), None, causal)
            rows = base.ln_f(rows)
        case "opt":
            for i, block in enumerate(base.layers):
                rows = block(added(rows, i), causal)
            rows = rows if base.final_layer_norm is None else base.final_layer_norm(rows)
            rows = rows if base.project_out is None else base.project_out(rows)
        case "gpt_neox":
            angles = base.rotary_emb(rows, places)
            for i, block in enumerate(base.layers):
                rows = block(added(rows, i), attention_mask=causal, position_embeddings=angles)
            rows = base.final_layer_norm(rows)
        case (
            "llama" | "mistral" | "qwen2" | "qwen3" | "phi3" | "smollm3" | "olmo2" | "gemma" | "gemma2" | "gemma3_text"
        ):
            for i, block in enumerate(base.layers):
                angles = base.rotary_emb(rows, places, *([layers[i]] if kind == "gemma3_text" else []))
                rows = block(added(rows, i), attention_mask=seen(i), position_embeddings=angles)
            rows = base.norm(rows)
        case "t5":
            bias = None
            for i, block in enumerate(base.block):
                rows, bias, _ = block(added(rows, i), None, bias)
            rows = base.final_layer_norm(rows)
        case "bart":
            for i, block in enumerate(base.layers):
                rows = block(added(rows, i), None)
        case _:
            raise NotImplementedError(kind)
    return rows


def vocabulary(model: Any, last: torch.Tensor) -> torch.Tensor:
    """Return the score of every token after, or at, every row."""
    scores: torch.Tensor
    match model.config.model_type:
        case "bert":
            scores = model.cls(last)
        case "electra":
            scores = model.generator_lm_head(model.generator_predictions(last))
        case "deberta" | "deberta-v2" if model.legacy:
            scores = model.cls(last)
        case "deberta" | "deberta-v2":
            scores = model.lm_predictions(last, model.deberta.embeddings.word_embeddings)
        case "distilbert":
            transformed = model.vocab_layer_norm(torch.nn.functional.gelu(model.vocab_transform(last)))
            scores = model.vocab_projector(transformed)
        case "albert":
            scores = model.predictions(last)
        case "modernbert":
            scores = model.decoder(model.head(last))
        case "gemma2":
            cap = model.config.final_logit_softcapping
            scores = cap * (model.lm_head(last) / cap).tanh()
        case _:
            scores = model.lm_head(last)
    return scores


def pooled(loaded: LanguageModel, last: torch.Tensor, before: int) -> torch.Tensor:
    """Return a text's embedding, shape (size,); `before` rows of a prompt stand before its own."""
    at = {"cls": before, "last": -1}
    return last[0].mean(dim=0) if loaded.sentence.pooling == "mean" else last[0, at[loaded.sentence.pooling]]
