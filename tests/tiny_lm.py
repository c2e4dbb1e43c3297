"""A masked language model small enough to build in a test, and files of labelled texts for it."""

import json
import string
from collections.abc import Iterable
from pathlib import Path

import torch
from transformers import BertConfig, BertForMaskedLM, BertModel

# As a run does it; OpenMP threads stall on a busy machine.
torch.set_num_threads(1)

WORDS = ["good", "bad", "great", "awful", "film", "it", "was", "the", "##ly"]
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
VOCABULARY = [*SPECIALS, *".?!,:", *string.ascii_lowercase, *(f"##{c}" for c in string.ascii_lowercase), *WORDS]
VOCABULARY += [f"filler{i}" for i in range(1030 - len(VOCABULARY))]
"""Enough for 30 prompt ids from 1000 on."""


def build(folder: Path, model: type[BertForMaskedLM] | type[BertModel] = BertForMaskedLM, positions: int = 64) -> Path:
    """Save a tokenizer and a model with random weights, large enough that a prompt changes the losses."""
    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY))
    settings = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 512}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    config = BertConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=positions,
        initializer_range=0.5,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model(config).save_pretrained(folder)
    return folder


def write(path: Path, rows: Iterable[object]) -> Path:
    """Write JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def reviews(count: int) -> list[dict[str, str]]:
    """Make `count` short texts of each of two classes, of different lengths."""
    return [
        {"text": f"the film was {'very ' * (i % 3)}{word} {string.ascii_lowercase[i % 26]}", "label": label}
        for i in range(count)
        for label, word in [("negative", "awful"), ("positive", "great")]
    ]
