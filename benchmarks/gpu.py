"""Two runs on a GPU, of SST-2's shape, wall time: Black-Box Tuning's own on RoBERTa-large's shape, and Gemma's.

RoBERTa-large: 8,000 calls of cma in bfloat16 (or float32), with random weights; Gemma 3 270M (extra gemma): 1,000 calls
in float32 per mode. The texts are made up: time does not depend on what they say. The share of the peak is that of the
model's matrix products, counted on unpadded texts, at the rate of one large product on the same GPU.

Run: python benchmarks/gpu.py [bfloat16|float32|gemma]  (or, to try the script on a CPU: python benchmarks/gpu.py tiny)
"""

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _timing import machine
from transformers import RobertaConfig, RobertaForMaskedLM

import dfo_bench
from dfo_bench.lm import models

LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
TINY = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
WORDS = ["a", "the", "film", "it", "was", "very", "funny", "sad", "long", "slow", "good", "bad", "story", "and", "but"]


def write_model(folder: Path, shape: dict[str, Any]) -> None:
    """Save a model of RoBERTa's classes with random weights, and the tokenizer of the default model."""
    for file in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        shutil.copy(models.find("") / file, folder)
    torch.manual_seed(0)
    RobertaForMaskedLM(
        RobertaConfig(vocab_size=50_265, max_position_embeddings=514, pad_token_id=1, **shape)
    ).save_pretrained(folder)


def write_texts(path: Path) -> None:
    """Write 40 phrases of SST-2's lengths, 2 to 40 words, for each of two classes."""
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.gamma(2.0, 5.0, (40, 2)).round().astype(int), 2, 40)
    rows = [(" ".join(rng.choice(WORDS, n)), label) for pair in lengths for n, label in zip(pair, "ab", strict=True)]
    path.write_text(
        "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows), encoding="utf-8"
    )


def peak(dtype: torch.dtype, device: str) -> float:
    """Return the rate of one large matrix product, in flop a second."""
    size = 8192 if device == "cuda" else 512
    a = torch.randn(size, size, device=device, dtype=dtype)
    for _ in range(3):
        a @ a
    if device == "cuda":
        torch.cuda.synchronize()
    begin = time.perf_counter()
    for _ in range(10):
        a @ a
    if device == "cuda":
        torch.cuda.synchronize()
    return 10 * 2 * size**3 / (time.perf_counter() - begin)


def timed(task: str, budget: int, flop_per_token: int, precision: models.Precision) -> None:
    """Run cma on a task and print its wall time and rate; {folder} in the task is where the texts are."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    name = torch.cuda.get_device_name() if device == "cuda" else machine()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_texts(folder / "train.jsonl")
        begin = time.perf_counter()
        words = json.dumps({"a": "bad", "b": "great"})
        store = dfo_bench.sweep(
            tasks=[f"text:train={folder}/train.jsonl,words={words},precision={precision},{task}"],
            optimizers=["cma:popsize=20"], budget=budget, store=folder / "store", references=False,
        )  # fmt: skip
        wall = time.perf_counter() - begin
        run = store.runs().iloc[0]
    flop = run.tokens * flop_per_token
    print(f"{name}, torch {torch.__version__}, {precision}, {task}")
    print(f"{budget} calls of {run.examples / budget:.0f} texts, {budget / run.task_seconds:.0f} a second")
    print(f"wall {wall:.1f} s, in the task {run.task_seconds:.1f} s, optimizer {run.optimizer_seconds:.1f} s")
    rate = flop / run.task_seconds
    print(f"{rate:.3g} flop/s, {rate / peak(models.PRECISIONS[precision], device):.2f} of the peak", flush=True)


def roberta(precision: models.Precision, shape: dict[str, int], budget: int) -> None:
    """Time a model of RoBERTa's classes."""
    hidden, layers = shape["hidden_size"], shape["num_hidden_layers"]
    with tempfile.TemporaryDirectory() as folder:
        write_model(Path(folder), shape)
        # Twelve squares a token and block; attention's two products are below 2 % at these lengths, and left out.
        per_token = layers * (8 * hidden**2 + 4 * hidden * shape["intermediate_size"])
        timed(f'model={folder},head=masked,template="{{text}} . It was [MASK] ."', budget, per_token, precision)


def gemma() -> None:
    """Time Gemma 3 270M, the prompt before the texts and after them."""
    for mode in ("inputs_embeds", "after"):
        task = f'model=gemma-3-270m,head=causal,mode={mode},prompt_tokens=10,template="{{text}} . It was"'
        # 100 million parameters beside the embeddings, two operations each.
        timed(task, 1000, 2 * 100_000_000, "float32")


if __name__ == "__main__":
    runs: dict[str, Callable[[], None]] = {
        "bfloat16": partial(roberta, "bfloat16", LARGE, 8000),
        "float32": partial(roberta, "float32", LARGE, 8000),
        "gemma": gemma,
        "tiny": partial(roberta, "float32", TINY, 100),
    }
    runs[sys.argv[1] if len(sys.argv) > 1 else "bfloat16"]()
