from dataclasses import replace

import numpy as np
import pytest
import torch

from dfo_bench.core import InputError
from dfo_bench.lm.engine import Engine
from dfo_bench.lm.families import FAMILIES
from dfo_bench.lm.heads import EmbeddingHead, WordsHead
from dfo_bench.lm.modes import Mode, ModeName
from dfo_bench.lm.sentence import Sentence
from dfo_bench.lm.templates import Encoded
from tests import plain_lm
from tests.tiny_lm import EVERYWHERE, TINY, Zoo

TOKENS = 3
LABEL_TEXTS = ("great film", "it was bad", "awful")


@pytest.mark.parametrize("mode", EVERYWHERE)
@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
@pytest.mark.parametrize("name", ["bert", "qwen3"])
def test_a_text_is_pooled_as_its_model_says_and_a_prompt_is_never_taken_for_its_cls_token(
    zoo: Zoo, name: str, pooling: str, mode: ModeName
) -> None:
    loaded = replace(zoo.load(name, "embedding"), sentence=Sentence(pooling))
    first = TINY[name].first
    way = Mode(loaded, mode, TOKENS)
    slots = tuple(range(1000, 1000 + way.slots))
    texts = [Encoded((2,) * first + slots + body + (3,), None, 0, 0) for body in ((300, 77), (512, 88, 99))]
    prompts = np.random.default_rng(0).standard_normal((2, *way.shape)).astype(np.float32)
    labels = [plain_lm.embedding(loaded, text) for text in LABEL_TEXTS]
    expected = [
        [plain_lm.logits(loaded, "embedding", mode, prompt, text, labels, first) for text in texts]
        for prompt in torch.tensor(prompts)
    ]
    engine = Engine(loaded, EmbeddingHead(loaded, LABEL_TEXTS, way.before), way)
    np.testing.assert_allclose(engine.logits(prompts, texts), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("mode", EVERYWHERE)
@pytest.mark.parametrize("tokens", [0, 2**9], ids=["alone", "padded"])
def test_a_prompts_own_rows_can_be_left_out_of_the_mean(zoo: Zoo, mode: ModeName, tokens: int) -> None:
    loaded = replace(zoo.load("bert", "embedding"), sentence=Sentence("mean"))
    first, way = TINY["bert"].first, Mode(loaded, mode, TOKENS)
    slots = tuple(range(1000, 1000 + way.slots))
    texts = [Encoded((2,) * first + slots + body + (3,), None, 0, 0) for body in ((300, 77), (512, 88, 99))]
    prompts = np.random.default_rng(0).standard_normal((2, *way.shape)).astype(np.float32)
    head = EmbeddingHead(loaded, LABEL_TEXTS, way.before, way.places)
    engine = Engine(loaded, head, way)
    own = [i for i in range(first + TOKENS + 3) if i not in way.places]
    seen: list[torch.Tensor] = []

    def keep(module: object, inputs: object, output: object) -> None:
        seen.append(output.last_hidden_state[0, own])  # type: ignore[attr-defined]

    hook = loaded.model.register_forward_hook(keep)
    expected = engine.logits(prompts[:1], texts[:1])[0, 0]
    hook.remove()
    mean = torch.nn.functional.normalize(seen[0].mean(dim=0), dim=0)
    labels = torch.stack([plain_lm.embedding(loaded, one) for one in LABEL_TEXTS])
    by_hand = 20 * torch.nn.functional.normalize(labels, dim=1) @ mean
    np.testing.assert_allclose(expected, by_hand.numpy(), rtol=0, atol=1e-5)
    engine.tokens = tokens
    np.testing.assert_allclose(engine.logits(prompts, texts)[0, 0], expected, rtol=0, atol=1e-5)


def test_a_text_is_most_like_itself(zoo: Zoo) -> None:
    loaded = zoo.load("bert", "embedding")
    texts = [Encoded(tuple(loaded.tokenizer(text)["input_ids"]), None, 0, 0) for text in LABEL_TEXTS]
    engine = Engine(loaded, EmbeddingHead(loaded, LABEL_TEXTS), Mode(loaded, "add", 0))
    (logits,) = engine.logits(np.zeros((1, 0, 16), np.float32), texts)
    np.testing.assert_allclose(np.diag(logits), 20, rtol=0, atol=1e-5)
    assert (logits <= 20 + 1e-5).all()
    assert logits.argmax(axis=1).tolist() == [0, 1, 2]


@pytest.mark.parametrize("texts", [("good", "bad", "good"), ("good", " ")])
def test_label_texts_that_are_empty_or_the_same_are_refused(zoo: Zoo, texts: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="label texts must be different, and none empty: 'good', "):
        EmbeddingHead(zoo.load("bert", "embedding"), texts)


@pytest.mark.parametrize("name", TINY)
def test_words_are_scored_in_the_order_given_and_alike_in_any_company(zoo: Zoo, name: str) -> None:
    head = FAMILIES[TINY[name].model_type].heads[-1]
    loaded = zoo.load(name, head)
    text = Encoded((2, 300, 77, 4, 3), 3 if head == "masked" else None, 0, 0, (2, 300, 77) if head == "seq2seq" else ())

    def scores(tokens: list[int]) -> list[float]:
        way = Mode(loaded, "add", 0)
        engine = Engine(loaded, WordsHead(loaded, tokens), way)
        row: list[float] = engine.logits(np.zeros((1, *way.shape), np.float32), [text])[0, 0].tolist()
        return row

    many = scores(list(range(1030)))
    for tokens in ([5, 900], [900, 5, 301], [7]):
        np.testing.assert_allclose(scores(tokens), np.array(many)[tokens], rtol=0, atol=1e-5)
    assert len(set(many)) > 1000
