"""The plainest computation: one candidate and one text, module by module, no hook, no cache, the whole vocabulary."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers.modeling_outputs import BaseModelOutput

from dfo_bench.lm.models import LanguageModel
from dfo_bench.lm.templates import Encoded

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
    else:
        rows = entering(base, text.ids)
        if mode == "add":
            rows[0, first : first + len(prompt)] += prompt
        elif mode == "cat":
            rows = torch.cat([prompt[None], rows], dim=1)
        last = through(base, rows, prompt if mode == "deep" else None, first)
    before = len(prompt) if mode in ("cat", "inputs_embeds") else 0
    if head == "embedding":
        embedded = pooled(loaded, last, before)
        return [20 * float(torch.cosine_similarity(embedded, label, dim=0)) for label in labels]
    if head == "seq2seq":
        decoder = torch.tensor([text.decoder])
        scores = model(encoder_outputs=BaseModelOutput(last), decoder_input_ids=decoder).logits[0, -1]
    else:
        scores = vocabulary(model, last)[0, -1 if text.mask is None else before + text.mask]
    return [float(scores[label]) for label in labels]


@torch.inference_mode()
def embedding(loaded: LanguageModel, text: str) -> torch.Tensor:
    """Return the embedding of a text without a prompt, shape (size,)."""
    ids = torch.tensor([loaded.tokenizer(text)["input_ids"]])
    return pooled(loaded, loaded.model(input_ids=ids).last_hidden_state, 0)


def entering(base: Any, ids: Sequence[int]) -> torch.Tensor:
    """Return what enters the first block for a text without a prompt, shape (1, length, size)."""
    given = torch.tensor([ids])
    rows: torch.Tensor
    match base.config.model_type:
        case "gpt2":
            rows = base.wte(given) + base.wpe(torch.arange(len(ids)))
        case "llama" | "mistral" | "qwen2" | "qwen3" | "t5":
            rows = base.embed_tokens(given)
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
    unseen = torch.full((length, length), -torch.inf)
    causal = unseen.triu(1) + (unseen.tril(-window) if (window := getattr(base.config, "sliding_window", None)) else 0)
    match kind:
        case "bert" | "roberta" | "xlm-roberta" | "camembert" | "electra":
            rows = base.embeddings_project(rows) if kind == "electra" else rows
            for i, block in enumerate(base.encoder.layer):
                rows = block(added(rows, i))
        case "deberta-v2":
            encoder, seen = base.encoder, torch.ones(1, length)
            positions, far = encoder.get_rel_pos(rows), encoder.get_rel_embedding()
            everywhere = encoder.get_attention_mask(seen)
            for i, block in enumerate(encoder.layer):
                out, _ = block(added(rows, i), everywhere, relative_pos=positions, rel_embeddings=far)
                # The convolution stands beside the first block, so it sees no delta of it.
                rows = encoder.conv(rows, out, seen) if i == 0 and encoder.conv is not None else out
        case "distilbert":
            for i, block in enumerate(base.transformer.layer):
                rows = block(added(rows, i))
        case "albert":
            rows = base.encoder.embedding_hidden_mapping_in(rows)
            for _ in range(base.config.num_hidden_layers):
                rows = base.encoder.albert_layer_groups[0](rows)
        case "gpt2":
            for i, block in enumerate(base.h):
                rows = block(added(rows, i), None, causal[None, None])
            rows = base.ln_f(rows)
        case "llama" | "mistral" | "qwen2" | "qwen3":
            angles = base.rotary_emb(rows, torch.arange(length)[None])
            for i, block in enumerate(base.layers):
                rows = block(added(rows, i), attention_mask=causal[None, None], position_embeddings=angles)
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
        case "deberta-v2" if model.legacy:
            scores = model.cls(last)
        case "deberta-v2":
            scores = model.lm_predictions(last, model.deberta.embeddings.word_embeddings)
        case "distilbert":
            transformed = model.vocab_layer_norm(torch.nn.functional.gelu(model.vocab_transform(last)))
            scores = model.vocab_projector(transformed)
        case "albert":
            scores = model.predictions(last)
        case _:
            scores = model.lm_head(last)
    return scores


def pooled(loaded: LanguageModel, last: torch.Tensor, before: int) -> torch.Tensor:
    """Return a text's embedding, shape (size,); `before` rows of a prompt stand before its own."""
    at = {"cls": before, "last": -1}
    return last[0].mean(dim=0) if loaded.sentence.pooling == "mean" else last[0, at[loaded.sentence.pooling]]
