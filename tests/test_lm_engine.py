"""The engine against the plainest computation, one candidate and one text at a time (`tests.plain_lm`)."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dfo_bench.core import Array, InputError
from dfo_bench.lm import losses, models
from dfo_bench.lm.batching import batches
from dfo_bench.lm.engine import ROWS, Engine, Prompts
from dfo_bench.lm.families import FAMILIES
from dfo_bench.lm.heads import EmbeddingHead, WordsHead
from dfo_bench.lm.models import LanguageModel
from dfo_bench.lm.modes import Mode, ModeName
from dfo_bench.lm.templates import Encoded
from tests import plain_lm
from tests.tiny_lm import EVERYWHERE, MODES, TINY, Zoo, hooks, modes

TOKENS = 3
LABELS = (301, 512, 77)
LABEL_TEXTS = ("great film", "bad", "it was awful")
MASK, END, START = 4, 3, 2

READERS = [(name, head) for name, tiny in TINY.items() for head in FAMILIES[tiny.model_type].heads]
"""Every tiny model with every head it has."""
CASES = [
    (name, head, mode)
    for name, head in READERS
    for mode in modes(head)
    if mode != "deep" or FAMILIES[TINY[name].model_type].blocks
]
ONE_OF_A_KIND = [("bert", "embedding"), ("bert", "masked"), ("gpt2", "causal"), ("bart", "seq2seq")]
KIND_AND_MODE = [(name, head, mode) for name, head in ONE_OF_A_KIND for mode in modes(head)]


def made(loaded: LanguageModel, head: str, mode: ModeName, tokens: int = TOKENS) -> Engine:
    way = Mode(loaded, mode, tokens)
    if head == "embedding":
        return Engine(loaded, EmbeddingHead(loaded, LABEL_TEXTS, way.before), way)
    return Engine(loaded, WordsHead(loaded, LABELS), way)


def candidates(loaded: LanguageModel, mode: ModeName, n: int, tokens: int = TOKENS) -> Prompts:
    return np.random.default_rng(0).standard_normal((n, *Mode(loaded, mode, tokens).shape)).astype(np.float32)


def texts(name: str, head: str, mode: ModeName, *, shared: int = 0, tokens: int = TOKENS) -> list[Encoded]:
    """Return texts of several lengths, with masks at several places, whose first `shared` tokens are the same."""
    rng, made = np.random.default_rng(1), []
    slots = range(1000, 1000 + tokens if mode in ("add", "deep") else 1000)
    for length in (5, 3, 5, 8):
        ids = [START] * TINY[name].first + [*slots] + [400] * shared + rng.integers(100, 900, length).tolist()
        if head == "causal":
            made.append(Encoded(tuple(ids), None, 0, 0, (), len(ids) - 1 - length % 2))
            continue
        mask = len(ids) - 1 - int(rng.integers(0, 3))
        ids[mask] = MASK
        # The sentinel, or all up to the mask.
        written = (MASK,) if TINY[name].model_type == "t5" else tuple(ids[:mask])
        decoder = (START, *written) if head == "seq2seq" else ()
        made.append(Encoded((*ids, END), None if head == "embedding" else mask, 0, 0, decoder))
    return made


def plainly(name: str, loaded: LanguageModel, head: str, mode: ModeName, x: Prompts, some: Sequence[Encoded]) -> Array:
    """Return logits, shape (n, texts, labels)."""
    labels: plain_lm.Labels = LABELS
    if head == "embedding":
        labels = [plain_lm.embedding(loaded, text) for text in LABEL_TEXTS]
    first = TINY[name].first
    rows = (
        [plain_lm.logits(loaded, head, mode, prompt, text, labels, first) for text in some]
        for prompt in torch.tensor(x)
    )
    return np.array(list(rows))


@contextmanager
def watching(module: Any, seen: list[torch.Size], act: Callable[[torch.Tensor], None] | None = None) -> Iterator[None]:
    """Note the shape of the first input of every call of a module, and act on it."""

    def see(module: Any, inputs: tuple[torch.Tensor, ...]) -> None:
        if act is not None:
            act(inputs[0])
        seen.append(inputs[0].shape)

    with module.register_forward_pre_hook(see):
        yield


@pytest.mark.parametrize(("name", "head", "mode"), CASES)
def test_logits_are_those_of_one_candidate_and_one_text_at_a_time(
    zoo: Zoo, name: str, head: str, mode: ModeName
) -> None:
    loaded = zoo.load(name, head)
    engine, x = made(loaded, head, mode), candidates(loaded, mode, ROWS + 3)
    for shared, n in ((0, 7), (4, ROWS + 3)):
        some, picked = texts(name, head, mode, shared=shared), [0, n - 1]
        expected = plainly(name, loaded, head, mode, x[picked], some)
        assert expected.std(axis=0).max() > 0.01
        np.testing.assert_allclose(engine.logits(x[:n], some)[picked], expected, rtol=0, atol=1e-5)
        np.testing.assert_allclose(engine.logits(x[:1], some[3:]), expected[:1, 3:], rtol=0, atol=1e-5)


@pytest.mark.parametrize(("name", "head", "mode"), CASES)
def test_texts_of_all_lengths_share_the_batches_of_a_gpu(zoo: Zoo, name: str, head: str, mode: ModeName) -> None:
    loaded = zoo.load(name, head)
    x, some = candidates(loaded, mode, 5), texts(name, head, mode, shared=2)
    alone, padding, calls = made(loaded, head, mode), made(loaded, head, mode), list[int]()
    padding.tokens = 2**9
    with loaded.model.register_forward_pre_hook(lambda module, inputs: calls.append(1)):
        expected = alone.logits(x, some)
        before = len(calls)
        np.testing.assert_allclose(padding.logits(x, some), expected, rtol=2e-6, atol=1e-5)
    # These texts differ in more than their length with mode=after and head=seq2seq.
    assert mode == "after" or head == "seq2seq" or len(calls) - before < before


@pytest.mark.parametrize(("name", "head"), READERS)
def test_no_prompt_at_all_is_the_stock_model(zoo: Zoo, name: str, head: str) -> None:
    loaded = zoo.load(name, head)
    for mode in modes(head):
        if mode == "deep" and not loaded.blocks:
            continue
        some = texts(name, head, mode, tokens=0)[:2]
        logits = made(loaded, head, mode, 0).logits(candidates(loaded, mode, 2, 0), some)
        for j, text in enumerate(some):
            np.testing.assert_allclose(logits[:, j], [stock(loaded, head, text)] * 2, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("name", "head"), READERS)
def test_the_start_of_add_mode_is_the_stock_model(zoo: Zoo, name: str, head: str) -> None:
    loaded = zoo.load(name, head)
    some = texts(name, head, "add", shared=4)
    logits = made(loaded, head, "add").logits(0 * candidates(loaded, "add", 1), some)
    np.testing.assert_allclose(logits[0], [stock(loaded, head, text) for text in some], rtol=0, atol=1e-5)


@torch.inference_mode()
def stock(loaded: LanguageModel, head: str, text: Encoded) -> list[float]:
    """Return the logits of a text as the model itself computes them."""
    ids = torch.tensor([text.ids])
    if head == "embedding":
        last = loaded.model(input_ids=ids).last_hidden_state[0].mean(dim=0)
        labels = [plain_lm.embedding(loaded, label) for label in LABEL_TEXTS]
        return [20 * float(torch.cosine_similarity(last, label, dim=0)) for label in labels]
    decoder = {"decoder_input_ids": torch.tensor([text.decoder])} if text.decoder else {}
    scores = loaded.model(input_ids=ids, **decoder).logits[0, text.mask if head == "masked" else -1]
    return [float(score) for score in scores[list(LABELS)]]


@pytest.mark.parametrize(("name", "head", "mode"), KIND_AND_MODE)
def test_any_batching_gives_the_same_logits_and_the_same_batch_the_same_bits(
    zoo: Zoo, name: str, head: str, mode: ModeName
) -> None:
    loaded = zoo.load(name, head)
    x, some = candidates(loaded, mode, 2 * ROWS + 3), texts(name, head, mode, shared=2)[1:]
    engine = made(loaded, head, mode)
    together = engine.logits(x, some)
    for bounds in ((0, 1, 2, 43), (0, 5, 20, 43)):
        parts = [engine.logits(x[a:b], some) for a, b in pairwise(bounds)]
        np.testing.assert_allclose(together, np.concatenate(parts), rtol=0, atol=1e-5)
    np.testing.assert_allclose(together[:5, ::-1], engine.logits(x[:5], some[::-1]), rtol=0, atol=1e-5)
    assert np.array_equal(together, engine.logits(x, some))
    assert np.array_equal(together, made(loaded, head, mode).logits(x, some))


@pytest.mark.parametrize(("name", "head", "mode"), KIND_AND_MODE)
def test_neither_a_call_nor_a_failure_leaves_a_hook_or_a_changed_weight(
    zoo: Zoo, name: str, head: str, mode: ModeName
) -> None:
    loaded = zoo.load(name, head)
    hooked = hooks(loaded)
    before = {key: (id(value), value.clone()) for key, value in loaded.model.named_parameters(remove_duplicate=False)}
    engine, x, some = made(loaded, head, mode), candidates(loaded, mode, 2), texts(name, head, mode)
    expected = engine.logits(x, some)
    with pytest.raises(RuntimeError):
        engine.logits(x[..., :-1], some)

    def stop(given: torch.Tensor) -> None:
        raise KeyboardInterrupt

    with watching(loaded.blocks[-1], [], stop), pytest.raises(KeyboardInterrupt):
        engine.logits(x, some)
    assert hooks(loaded) == hooked
    for key, value in loaded.model.named_parameters(remove_duplicate=False):
        assert (id(value), torch.equal(value, before[key][1])) == (before[key][0], True)
    assert np.array_equal(engine.logits(x, some), expected)


@pytest.mark.parametrize(("name", "head"), ONE_OF_A_KIND)
def test_out_of_memory_halves_what_is_taken_at_a_time_until_it_fits(zoo: Zoo, name: str, head: str) -> None:
    loaded = zoo.load(name, head)
    x, some = candidates(loaded, "cat", 200), texts(name, head, "cat")
    engine, seen = made(loaded, head, "cat"), list[torch.Size]()
    expected = engine.logits(x, some)
    engine.tokens = 2**12

    def fit(given: torch.Tensor) -> None:
        if len(given) > 100:
            raise torch.OutOfMemoryError

    with watching(loaded.blocks[0], seen, fit):
        np.testing.assert_allclose(engine.logits(x, some), expected, rtol=0, atol=1e-5)
        assert (engine.tokens, max(shape[0] for shape in seen)) == (2**11, 100)
        # What did not fit once is not tried again.
        engine.logits(x, some)
    assert engine.tokens == 2**11


def test_out_of_memory_is_raised_where_nothing_is_left_to_halve(zoo: Zoo) -> None:
    loaded, tries = zoo.load("bert", "masked"), list[int]()
    engine, x, some = made(loaded, "masked", "add"), candidates(loaded, "add", 40), texts("bert", "masked", "add")

    def never(given: torch.Tensor) -> None:
        tries.append(len(given))
        raise torch.OutOfMemoryError

    with watching(loaded.blocks[0], [], never):
        with pytest.raises(torch.OutOfMemoryError):
            engine.logits(x, some)
        assert tries == [ROWS]
        tries.clear()
        engine.tokens = 2**12
        with pytest.raises(torch.OutOfMemoryError):
            engine.logits(x, some)
    assert tries == sorted(tries, reverse=True)
    assert (tries[0], tries[-1]) == (len(x) * len(some), 1)


@pytest.mark.parametrize("n", [1, 20, 45])
def test_no_more_rows_are_held_at_once_than_a_cpu_takes(zoo: Zoo, n: int) -> None:
    for name, head in (("bert", "masked"), ("gpt2", "causal")):
        loaded, seen = zoo.load(name, head), list[torch.Size]()
        some = texts(name, head, "add", shared=2) * 10
        with watching(loaded.blocks[0], seen):
            made(loaded, head, "add").logits(candidates(loaded, "add", n), some)
        # 45 are three times 15.
        assert max(shape[0] for shape in seen) == (15 if n == 45 else ROWS)


@pytest.mark.parametrize("mode", [*EVERYWHERE, "prefix"])
def test_a_causal_model_computes_what_all_texts_begin_with_once_a_candidate(zoo: Zoo, mode: ModeName) -> None:
    loaded, seen = zoo.load("gpt2", "causal"), list[torch.Size]()
    some = texts("gpt2", "causal", mode, shared=4)
    engine, x = made(loaded, "causal", mode), candidates(loaded, mode, 7)
    with watching(loaded.blocks[0], seen):
        engine.logits(x, some)
    rest = 5 + 3 + 5 + 8
    assert sum(rows * length for rows, length, _ in seen) == 7 * ((0 if mode == "prefix" else TOKENS) + 4 + rest)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_a_causal_text_may_be_nothing_but_the_prompt_or_one_token(zoo: Zoo, name: str, mode: ModeName) -> None:
    loaded = zoo.load(name, "causal")
    engine, x = made(loaded, "causal", mode), candidates(loaded, mode, 2)
    start = (START,) * TINY[name].first + tuple(range(1000, 1000 + Mode(loaded, mode, TOKENS).slots))
    for some in ([start or (77,)], [start or (77,), (*start, 77, 301)], [(*start, 77)]):
        given = [Encoded(ids, None, 0, 0) for ids in some]
        expected = plainly(name, loaded, "causal", mode, x, given)
        np.testing.assert_allclose(engine.logits(x, given), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("name", "head"), [reader for reader in READERS if reader[1] != "embedding"])
def test_only_the_label_words_are_scored_and_only_where_they_are_read(zoo: Zoo, name: str, head: str) -> None:
    loaded, scored, read = zoo.load(name, head), list[torch.Size](), list[torch.Size]()
    output, tail = loaded.model.get_output_embeddings(), loaded.family.tail
    last = loaded.blocks[-1].get_submodule(tail) if tail else output
    with (
        output.register_forward_hook(lambda module, inputs, scores: scored.append(scores.shape[1:])),
        last.register_forward_hook(lambda module, inputs, rows: read.append(rows.shape[1:-1])),
    ):
        made(loaded, head, "add", 0).logits(candidates(loaded, "add", 2, 0), texts(name, head, "add", tokens=0))
    # What a DeBERTa of v3 scores with is no layer of its own.
    labels = len(LABELS) if getattr(loaded.model, "legacy", True) else output.out_features
    assert (set(scored), set(read)) == ({(1, labels)}, {(1,)})


def test_a_model_of_one_block_for_all_layers_has_no_deep_prompts(zoo: Zoo) -> None:
    with pytest.raises(InputError, match=r"has one block for all its layers.*; pass mode=add, mode=cat or mode=inputs"):
        Mode(zoo.load("albert", "masked"), "deep", TOKENS)


@pytest.mark.parametrize(("name", "head"), ONE_OF_A_KIND)
def test_half_precision_comes_near_full_precision(zoo: Zoo, name: str, head: str) -> None:
    full, half = zoo.load(name, head), zoo.load(name, head, "bfloat16")
    assert half.words.dtype == torch.bfloat16
    x, some = candidates(full, "add", 7), texts(name, head, "add", shared=2)
    exact, rough = made(full, head, "add").logits(x, some), made(half, head, "add").logits(x, some)
    assert rough.dtype == np.float64
    assert 0 < np.abs(rough - exact).mean() < 0.05 * exact.std()


def test_batches_hold_one_kind_the_largest_first() -> None:
    assert list(batches([(3, 0), (5, 0), (3, 0), (3, 0), (9, 0)], 2)) == [[4], [1], [0, 2], [3]]
    assert list(batches([(3, 1), (3, 2), (3, 1)], 20)) == [[1], [0, 2]]


@pytest.mark.parametrize("mode", ["add", "cat"])
def test_the_recorded_numbers_of_the_original_program_are_met(shared: Path, mode: ModeName) -> None:
    loaded = models.load(str(shared / "parity" / "model"), "masked")
    record = np.load(shared / "parity" / f"{mode}.npz")
    some = [
        Encoded(tuple(ids[seen == 1].tolist()), int(mask), 0, 0)
        for ids, seen, mask in zip(record["input_ids"], record["attention_mask"], record["mask_pos"], strict=True)
    ]
    engine = Engine(loaded, WordsHead(loaded, record["label_ids"].tolist()), Mode(loaded, mode, 50))
    prompts = (record["z"] @ record["A"].T).astype(np.float32).reshape(-1, 50, 32)
    logits, recorded = engine.logits(prompts, some), record["logits2"]
    # The record is itself 1.4e-5 from what fp64 gives.
    assert (np.abs(logits - recorded) <= 1e-5 * np.maximum(1, np.abs(recorded))).all()
    classes = np.array([record["label_ids"].tolist().index(label) for label in record["labels"]])
    for name in ("ce", "hinge", "perf"):
        values = losses.loss(name, logits, classes, losses.accuracy(logits, classes))
        np.testing.assert_allclose(values, record[f"loss_{name}"], rtol=0, atol=1e-5)
