"""The texts' keys and values that an engine keeps, for mode=after."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from dfo_bench.core import Array
from dfo_bench.lm import caches
from dfo_bench.lm.engine import Engine
from dfo_bench.lm.heads import WordsHead
from dfo_bench.lm.modes import Mode
from dfo_bench.lm.templates import Encoded
from tests.test_lm_engine import LABELS, TOKENS, candidates, made, plainly, texts, watching
from tests.tiny_lm import Zoo


def rows(seen: Sequence[torch.Size]) -> int:
    return sum(count * length for count, length, _ in seen)


def test_a_text_that_is_kept_is_computed_once_and_a_call_costs_only_prompt_and_rest(zoo: Zoo) -> None:
    loaded, seen = zoo.load("llama", "causal"), list[torch.Size]()
    engine, x, some = made(loaded, "causal", "after"), candidates(loaded, "after", 7), texts("llama", "causal", "after")
    engine.keep(some)
    before, rest = sum(text.end for text in some), sum(len(text.ids) - text.end for text in some)
    with watching(loaded.blocks[0], seen):
        first = engine.logits(x, some)
        assert rows(seen) == before + 7 * (len(some) * TOKENS + rest)
        seen.clear()
        assert np.array_equal(engine.logits(x, some), first)
        assert rows(seen) == 7 * (len(some) * TOKENS + rest)
        seen.clear()
        engine.gradients(x, some, lambda logits, indices: np.ones_like(logits), whole=False)
        assert rows(seen) == 7 * (len(some) * TOKENS + rest)


def test_texts_that_are_not_expected_are_computed_in_every_call(zoo: Zoo) -> None:
    loaded, seen = zoo.load("gpt2", "causal"), list[torch.Size]()
    engine, some = made(loaded, "causal", "after"), texts("gpt2", "causal", "after")
    for _ in range(2):
        seen.clear()
        with watching(loaded.blocks[0], seen):
            engine.logits(candidates(loaded, "after", 3), some)
        own, rest = sum(text.end for text in some), sum(len(text.ids) - text.end for text in some)
        assert rows(seen) == own + 3 * (len(some) * TOKENS + rest)


def test_no_more_is_kept_than_the_bound_and_the_numbers_stay(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded, seen = zoo.load("gpt2", "causal"), list[torch.Size]()
    x, some = candidates(loaded, "after", 3), texts("gpt2", "causal", "after")
    per_row = 2 * 2 * 16 * 4
    monkeypatch.setattr(caches, "KEPT_BYTES", per_row * sum(text.end for text in some[:2]))
    engine = made(loaded, "causal", "after")
    engine.keep(some)
    expected = plainly("gpt2", loaded, "causal", "after", x, some)
    for _ in range(2):
        seen.clear()
        with watching(loaded.blocks[0], seen):
            np.testing.assert_allclose(engine.logits(x, some), expected, rtol=0, atol=1e-5)
    # The third text is as long as the first, so one batch has both.
    assert rows(seen) > 3 * sum(len(text.ids) - text.end + TOKENS for text in some)
    assert engine._states is not None
    assert sum(state.nbytes for state in engine._states._kept.values()) <= caches.KEPT_BYTES


def test_what_is_kept_does_not_depend_on_what_is_asked_first(zoo: Zoo) -> None:
    loaded = zoo.load("gemma3_text", "causal")
    x, some = candidates(loaded, "after", 20), texts("gemma3_text", "causal", "after")
    values = list[Array]()
    for first in (x[:1], x):
        engine = made(loaded, "causal", "after")
        engine.keep(some)
        engine.logits(first, some[1:])
        values.append(engine.logits(x, some))
    assert np.array_equal(values[0], values[1])


def test_a_text_of_which_nothing_is_left_is_the_prompt_and_the_rest(zoo: Zoo) -> None:
    loaded = zoo.load("gpt2", "causal")
    engine, x = made(loaded, "causal", "after"), candidates(loaded, "after", 2)
    some = [Encoded((77, 301), None, 0, 0, (), 0), Encoded((77, 301), None, 0, 0, (), 1)]
    engine.keep(some)
    np.testing.assert_allclose(engine.logits(x, some), plainly("gpt2", loaded, "causal", "after", x, some), atol=1e-5)


def test_half_precision_keeps_half_the_bytes(zoo: Zoo) -> None:
    full, half = (zoo.load("gpt2", "causal", precision) for precision in ("float32", "bfloat16"))
    ids = torch.tensor([[5, 6, 7]])
    assert caches.states(half, ids).nbytes * 2 == caches.states(full, ids).nbytes
    assert caches.states(full, ids).shape == (1, 2, 2, 2, 3, 8)
    engine = Engine(half, WordsHead(half, LABELS), Mode(half, "after", TOKENS))
    some = texts("gpt2", "causal", "after")
    engine.keep(some)
    assert np.isfinite(engine.logits(candidates(half, "after", 2), some)).all()
