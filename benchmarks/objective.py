"""The evaluation engine against stock models driven as the original drives them, and against the matrix products.

One population of 20 candidates (5 for RoBERTa-large's shape, for the sake of time), 50 prompt tokens in mode=add, texts
of 10 to 60 tokens: 32 of them, 8 for the shapes of RoBERTa, whose weights are random, as time does not depend on them.
One thread. All variants compute the same losses: the engine with each backend (`torch`, `onednn`, `openvino`), `each`
(a padded forward a candidate), `whole` (the population in one padded batch). The limit is the time of the model's
matrix products and nothing else on the unpadded texts: by torch (`products`) or, where that is faster, those with
weights by oneDNN (`packed`). The last block's products for rows that no head reads are left out, so a share may be
above 1.

`arithmetic` is what exactness allows: the multiplications of one padded forward, over those of texts without padding
whose last block is computed for the row that is read. Where both run at the machine's rate, no ratio can be higher.

Run: python benchmarks/objective.py [minilm] [minilm-masked] [base] [large]
"""

import statistics
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from _timing import in_turn, machine, summarize
from scipy.special import log_softmax
from transformers import BertForMaskedLM, RobertaConfig, RobertaForMaskedLM

from dfo_bench.lm import models
from dfo_bench.lm.backends import offered
from dfo_bench.lm.engine import Engine
from dfo_bench.lm.families import FAMILIES
from dfo_bench.lm.heads import TEMPERATURE, EmbeddingHead, Head, WordsHead
from dfo_bench.lm.models import LanguageModel
from dfo_bench.lm.modes import Mode
from dfo_bench.lm.templates import PREFIX, Encoded, label_tokens

TOKENS, ROUNDS = 50, 5
LABELS = ("payment", "password", "delivery", "error")


def texts(count: int) -> list[Encoded]:
    """Return inputs with `count` lengths evenly from 10 to 60 tokens of text, and a mask in each."""
    rng = np.random.default_rng(0)
    made = []
    for length in np.linspace(10, 60, count).round().astype(int):
        ids = (101, *range(PREFIX, PREFIX + TOKENS), *rng.integers(2000, 20_000, length - 2).tolist(), 102)
        made.append(Encoded(ids, TOKENS + 5, 0, 0))
    return made


def roberta(hidden: int, layers: int, heads: int) -> LanguageModel:
    """Return a model of RoBERTa's shape with random weights; its tokenizer is only there to make label tokens."""
    config = RobertaConfig(
        vocab_size=50_265, hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads,
        intermediate_size=4 * hidden, max_position_embeddings=514, pad_token_id=1,
    )  # fmt: skip
    torch.manual_seed(0)
    model = RobertaForMaskedLM(config).requires_grad_(False).train(False)
    return LanguageModel("random", model, models.load("", "embedding").tokenizer, "", FAMILIES["roberta"])


def minilm_masked() -> LanguageModel:
    """Return all-MiniLM-L6-v2's shape with a head for masked words, all weights random."""
    sentences = models.load("", "embedding")
    torch.manual_seed(0)
    model = BertForMaskedLM(sentences.model.config).requires_grad_(False).train(False)
    return LanguageModel("random", model, sentences.tokenizer, "", FAMILIES["bert"])


class Stock:
    """The stock model on padded texts, a hook for the prompt, the head at the mask, as the original has it."""

    def __init__(self, loaded: LanguageModel, head: Head, inputs: list[Encoded]) -> None:
        self.loaded, self.head = loaded, head
        longest = max(len(text.ids) for text in inputs)
        self.ids = torch.tensor([[*text.ids, *[1] * (longest - len(text.ids))] for text in inputs])
        self.seen = torch.tensor([[1] * len(text.ids) + [0] * (longest - len(text.ids)) for text in inputs])
        self.masks = torch.tensor([text.mask for text in inputs])

    @torch.inference_mode()
    def logits(self, prompts: torch.Tensor) -> torch.Tensor:
        """Return the logits of all texts under every candidate, in one batch."""
        n, t = len(prompts), len(self.ids)

        def put(module: Any, inputs: Any, output: torch.Tensor) -> torch.Tensor:
            output = output.clone()
            output[:, 1 : 1 + TOKENS] += prompts.repeat_interleave(t, 0)
            return output

        def at_mask(module: Any, inputs: Any, output: Any) -> Any:
            hidden = output.last_hidden_state
            output.last_hidden_state = hidden[torch.arange(n * t), self.masks.repeat(n)][:, None]
            return output

        model, seen = self.loaded.model, self.seen.repeat(n, 1)
        with self.loaded.entry.register_forward_hook(put):
            if isinstance(self.head, EmbeddingHead):
                hidden = model(input_ids=self.ids.repeat(n, 1), attention_mask=seen).last_hidden_state
                mean = (hidden * seen[:, :, None]).sum(1) / seen.sum(1, keepdim=True)
                return TEMPERATURE * torch.nn.functional.normalize(mean, dim=1) @ self.head._labels.T
            with self.loaded.base.register_forward_hook(at_mask):
                scores: torch.Tensor = model(input_ids=self.ids.repeat(n, 1), attention_mask=seen).logits
        return scores[:, 0, label_tokens(self.loaded, LABELS, leading_space=False)]


def by_torch(weight: torch.Tensor, out: torch.Tensor) -> Callable[[torch.Tensor], object]:
    """Return a function that multiplies rows by a weight."""
    return lambda rows: torch.mm(rows, weight, out=out[: len(rows)])


def by_onednn(weight: torch.Tensor, out: torch.Tensor) -> Callable[[torch.Tensor], object]:
    """Return a function that multiplies rows by a packed weight."""
    packed = torch.ops.mkldnn._reorder_linear_weight(weight.t().contiguous())
    return lambda rows: torch.ops.mkldnn._linear_pointwise(rows, packed, None, "none", [], "")


def products(
    loaded: LanguageModel,
    inputs: list[Encoded],
    population: int,
    product: Callable[[torch.Tensor, torch.Tensor], Callable[[torch.Tensor], object]],
) -> Callable[[], None]:
    """Return a function that does the model's matrix products for the population, and nothing else."""
    config = loaded.model.config
    hidden, inner, heads = config.hidden_size, config.intermediate_size, config.num_attention_heads
    longest = max(len(text.ids) for text in inputs)
    rows, wide = torch.randn(population * longest, hidden), torch.randn(population * longest, inner)
    out, wide_out = torch.empty_like(rows), torch.empty_like(wide)
    square = product(torch.randn(hidden, hidden), out)
    up, down = product(torch.randn(hidden, inner), wide_out), product(torch.randn(inner, hidden), out)
    key = torch.randn(population * heads, longest, hidden // heads)
    scores = torch.randn(population * heads, longest, longest)

    def run() -> None:
        for text in inputs:
            length = len(text.ids)
            m = population * length
            for _ in range(config.num_hidden_layers):
                for _ in range(4):
                    square(rows[:m])
                torch.bmm(key[:, :length], key[:, :length].transpose(1, 2))
                torch.bmm(scores[:, :length, :length], key[:, :length])
                up(rows[:m])
                down(wide[:m])

    return run


def arithmetic(loaded: LanguageModel, head: Head, inputs: list[Encoded]) -> float:
    """Return how many times the multiplications that exactness needs one padded forward does."""
    config = loaded.model.config
    hidden, inner, layers = config.hidden_size, config.intermediate_size, config.num_hidden_layers
    lengths = [len(text.ids) for text in inputs]

    def block(length: int, outputs: int) -> int:
        """Queries, keys, values and attention for all rows, and what follows for those that are read."""
        return length * (3 * hidden**2 + 2 * length * hidden) + outputs * (hidden**2 + 2 * hidden * inner)

    padded = len(lengths) * layers * block(max(lengths), max(lengths))
    last = [block(length, 1 if isinstance(head, WordsHead) else length) for length in lengths]
    return padded / (sum((layers - 1) * block(length, length) for length in lengths) + sum(last))


def compare(name: str, loaded: LanguageModel, head: Head, count: int, population: int) -> None:
    """Print the ratios for one model."""
    inputs = texts(count)
    mode = Mode(loaded, "add", TOKENS)
    engines = {backend: Engine(loaded, head, mode, backend) for backend in offered(loaded, mode)}
    stock = Stock(loaded, head, inputs)
    scale = loaded.words.std().item()
    prompts = np.random.default_rng(0).normal(size=(population, TOKENS, loaded.words.size(1))).astype(np.float32)
    prompts *= np.float32(scale)
    tensors = torch.from_numpy(prompts)
    results: dict[str, Any] = {}

    def keep(key: str, run: Callable[[], Any]) -> Callable[[], None]:
        return lambda: results.update({key: np.asarray(run()).reshape(population, count, -1)})

    seconds = in_turn(
        {
            **{key: keep(key, partial(one.logits, prompts, inputs)) for key, one in engines.items()},
            "each": keep("each", lambda: torch.cat([stock.logits(one[None]) for one in tensors])),
            "whole": keep("whole", lambda: stock.logits(tensors)),
            "products": products(loaded, inputs, population, by_torch),
            "packed": products(loaded, inputs, population, by_onednn),
        },
        ROUNDS,
    )
    classes = np.arange(count) % len(LABELS)

    def ce(logits: Any) -> Any:
        return -log_softmax(logits.astype(float), axis=2)[:, np.arange(count), classes].mean(axis=1)

    print(f"\narithmetic allows {arithmetic(loaded, head, inputs):.2f} against a padded forward")
    print(f"{name}, {count} texts x {population} candidates, CPU seconds a generation, minimum (median) of {ROUNDS}:")
    for key, values in seconds.items():
        print(f"  {key:9}{summarize(values)}")
    limit = min(("products", "packed"), key=lambda key: min(seconds[key]))
    for variant in engines:
        print(f"  {variant}, ratio of the minima (of the medians):")
        for key, words in (
            ("each", "against one padded forward per candidate"),
            ("whole", "against the population in one padded batch"),
            (limit, f"share of the limit, {limit}"),
        ):
            ratios = [of(seconds[key]) / of(seconds[variant]) for of in (min, statistics.median)]
            print(f"    {words}: {ratios[0]:.2f} ({ratios[1]:.2f})")
        error = max(np.abs(ce(results[variant]) - ce(results[key])).max() for key in ("each", "whole"))
        print(f"    largest loss difference: {error:.1e}")


def main(chosen: list[str]) -> None:
    """Compare the chosen models, all where none is named."""
    torch.set_num_threads(1)
    print(machine(), f"torch {torch.__version__}")
    for name in chosen or ["minilm", "minilm-masked", "base", "large"]:
        if name == "minilm":
            loaded = models.load("", "embedding")
            compare("all-MiniLM-L6-v2", loaded, EmbeddingHead(loaded, LABELS), 32, 20)
            continue
        shapes = {"base": (768, 12, 12), "large": (1024, 24, 16)}
        loaded = minilm_masked() if name == "minilm-masked" else roberta(*shapes[name])
        head = WordsHead(loaded, label_tokens(loaded, LABELS, leading_space=False))
        compare(f"{name} shape", loaded, head, *{"minilm-masked": (32, 20), "base": (8, 20), "large": (8, 5)}[name])


if __name__ == "__main__":
    main(sys.argv[1:])
