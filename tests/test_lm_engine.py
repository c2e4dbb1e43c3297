"""The engine against the plainest computation: one candidate and one text at a time, module by module, no hooks."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dfo_bench.core import Anchor, Array, Dense
from dfo_bench.lm import losses, models
from dfo_bench.lm.engine import ROWS, Engine, batches
from dfo_bench.lm.heads import EmbeddingHead, Head, MaskedHead
from dfo_bench.lm.models import LanguageModel
from dfo_bench.lm.templates import Encoded
from tests.tiny_lm import VOCABULARY, build

TOKENS, HIDDEN = 3, 16
WORDS = ("great", "awful", "bad")
SENTENCES = (
    "a film . it was [MASK]",
    "a great great film . it was [MASK]",
    "a bad film . it was [MASK]",
    "[MASK] film it was a film",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(build(tmp_path_factory.mktemp("models") / "tiny"))


def encoded(sentence: str, mode: str) -> Encoded:
    tokens = ["[CLS]", *(["filler900"] * TOKENS if mode == "add" else []), *sentence.split(), "[SEP]"]
    return Encoded(tuple(VOCABULARY.index(token) for token in tokens), tokens.index("[MASK]"), 0, 0)


def embedded(model: Any, ids: tuple[int, ...], prompt: torch.Tensor | None, mode: str) -> torch.Tensor:
    """Return the last hidden states of one text, shape (length, hidden)."""
    hidden = model.base_model.embeddings(input_ids=torch.tensor([ids]))
    if prompt is not None and mode == "add":
        for slot in range(TOKENS):
            hidden[0, 1 + slot] = hidden[0, 1 + slot] + prompt[slot]
    elif prompt is not None:
        hidden = torch.cat([prompt[None], hidden], dim=1)
    last: torch.Tensor = model.base_model.encoder(hidden).last_hidden_state[0]
    return last


def unit(vector: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(vector, dim=0)


@torch.inference_mode()
def plainly(loaded: LanguageModel, head: str, mode: str, x: Array) -> Array:
    """Return the logits of every sentence under every candidate, shape (n, sentences, words)."""
    out = np.empty((len(x), len(SENTENCES), len(WORDS)))
    for i, prompt in enumerate(torch.tensor(x, dtype=torch.float32).view(len(x), TOKENS, HIDDEN)):
        for j, sentence in enumerate(SENTENCES):
            text = encoded(sentence, mode)
            last = embedded(loaded.model, text.ids, prompt, mode)
            for k, word in enumerate(WORDS):
                if head == "masked":
                    assert text.mask is not None
                    row = text.mask + (TOKENS if mode == "cat" else 0)
                    out[i, j, k] = loaded.model.cls(last[row])[VOCABULARY.index(word)]
                else:
                    ids = tuple(VOCABULARY.index(token) for token in ("[CLS]", word, "[SEP]"))
                    label = embedded(loaded.model, ids, None, mode)
                    out[i, j, k] = 20 * unit(last.mean(0)) @ unit(label.mean(0))
    return out


def engine(loaded: LanguageModel, head: str, mode: str) -> Engine:
    reader: Head = MaskedHead(loaded, WORDS) if head == "masked" else EmbeddingHead(loaded, WORDS)
    return Engine(loaded, reader, mode, TOKENS)


def candidates(n: int) -> Array:
    return np.random.default_rng(0).standard_normal((n, TOKENS * HIDDEN))


@pytest.mark.parametrize("head", ["embedding", "masked"])
@pytest.mark.parametrize("mode", ["add", "cat"])
@pytest.mark.parametrize("n", [1, 7])
def test_logits_are_those_of_one_candidate_and_one_text_at_a_time(folder: str, head: str, mode: str, n: int) -> None:
    loaded, x = models.load(folder, head), candidates(n)
    logits = engine(loaded, head, mode).logits(Dense(x), [encoded(s, mode) for s in SENTENCES])
    expected = plainly(loaded, head, mode, x)
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5)
    assert expected.std(axis=0).max() > 0.1 or n == 1


def test_the_start_of_add_mode_is_the_model_itself(folder: str) -> None:
    loaded = models.load(folder, "masked")
    text = encoded(SENTENCES[0], "add")
    logits = engine(loaded, "masked", "add").logits(Anchor.origin(TOKENS * HIDDEN), [text])
    with torch.inference_mode():
        scores = loaded.model(input_ids=torch.tensor([text.ids])).logits[0, text.mask]
    np.testing.assert_allclose(logits[0, 0], scores[[VOCABULARY.index(word) for word in WORDS]], atol=1e-6)


def test_any_batching_gives_the_same_logits_and_the_same_batch_the_same_bits(folder: str) -> None:
    loaded, x = models.load(folder, "embedding"), candidates(2 * ROWS + 3)
    texts = [encoded(s, "add") for s in SENTENCES]
    made = engine(loaded, "embedding", "add")
    together = made.logits(Dense(x), texts)
    alone = np.concatenate([made.logits(Dense(row[None]), texts) for row in x])
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-5)
    assert np.array_equal(together, engine(loaded, "embedding", "add").logits(Dense(x), texts))


def test_no_hook_is_left_behind_even_by_a_failure(folder: str) -> None:
    loaded = models.load(folder, "masked")
    with pytest.raises(RuntimeError):
        engine(loaded, "masked", "add").logits(Dense(candidates(2)[:, :-1]), [encoded(SENTENCES[0], "add")])
    engine(loaded, "masked", "add").logits(Dense(candidates(2)), [encoded(SENTENCES[0], "add")])
    assert not any(module._forward_hooks for module in loaded.model.modules())


def test_batches_hold_equal_lengths_longest_first() -> None:
    assert list(batches([3, 5, 3, 3, 9], 2)) == [[4], [1], [0, 2], [3]]


def test_losses_are_their_definitions() -> None:
    logits = np.random.default_rng(0).normal(size=(4, 5, 3))
    classes = np.array([0, 2, 1, 1, 0])
    for i in range(4):
        ce = [np.log(np.exp(row).sum()) - row[y] for row, y in zip(logits[i], classes, strict=True)]
        hinge = [
            sum(max(0.0, row[j] - row[y] + 2) for j in range(3) if j != y)
            for row, y in zip(logits[i], classes, strict=True)
        ]
        right = [row.argmax() == y for row, y in zip(logits[i], classes, strict=True)]
        assert losses.ce(logits, classes)[i] == pytest.approx(np.mean(ce))
        assert losses.hinge(logits, classes)[i] == pytest.approx(np.mean(hinge))
        assert losses.perf(logits, classes)[i] == pytest.approx(-np.mean(right))


@pytest.mark.parametrize("mode", ["add", "cat"])
def test_the_recorded_numbers_of_the_original_program_are_met(shared: Path, mode: str) -> None:
    loaded = models.load(str(shared / "parity" / "model"), "masked")
    record = np.load(shared / "parity" / f"{mode}.npz")
    texts = [
        Encoded(tuple(ids[seen == 1].tolist()), int(mask), 0, 0)
        for ids, seen, mask in zip(record["input_ids"], record["attention_mask"], record["mask_pos"], strict=True)
    ]
    words = [loaded.tokenizer.decode([i]) for i in record["label_ids"]]
    made = Engine(loaded, MaskedHead(loaded, words), mode, 50)
    logits = made.logits(Dense(record["z"] @ record["A"].T), texts)
    # The record itself is 1.4e-5 from what fp64 gives.
    np.testing.assert_allclose(logits, record["logits2"], rtol=1e-5, atol=1e-5)
    classes = np.searchsorted(record["label_ids"], record["labels"], sorter=np.argsort(record["label_ids"]))
    classes = np.argsort(record["label_ids"])[classes]
    for name, loss in losses.LOSSES.items():
        np.testing.assert_allclose(loss(logits, classes), record[f"loss_{name}"], rtol=0, atol=1e-5)
