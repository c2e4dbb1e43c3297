import numpy as np
import pytest
import torch

from dfo_bench.core import InputError
from dfo_bench.lm.engine import Engine
from dfo_bench.lm.families import FAMILIES
from dfo_bench.lm.heads import WordsHead
from dfo_bench.lm.modes import Mode, ModeName, check
from dfo_bench.lm.templates import Encoded
from tests import plain_lm
from tests.tiny_lm import MODES, TINY, Zoo, hooks, modes

TOKENS = 3
MULTIPLYING = ("bart", "gemma", "gemma2", "gemma3_text")
"""The models whose own layer of word embeddings multiplies them, by the root of their size, which is 16."""
DECODERS = [name for name, tiny in TINY.items() if "causal" in FAMILIES[tiny.model_type].heads]
DEEP = [name for name, tiny in TINY.items() if FAMILIES[tiny.model_type].blocks]


def head_of(name: str) -> str:
    return FAMILIES[TINY[name].model_type].heads[-1]


@pytest.mark.parametrize(
    ("name", "mode", "shape", "before", "slots"),
    [
        ("bert", "add", (3, 16), 0, 3),
        ("bert", "cat", (3, 16), 3, 0),
        ("bert", "inputs_embeds", (3, 16), 3, 0),
        ("bert", "deep", (2, 3, 16), 0, 3),
        # Where word embeddings have a size of their own, deep prompts have that of the blocks.
        ("electra", "add", (3, 8), 0, 3),
        ("electra", "deep", (2, 3, 16), 0, 3),
        ("albert", "cat", (3, 8), 3, 0),
        ("gpt2", "deep", (2, 3, 16), 0, 3),
        ("gpt2", "after", (3, 16), 3, 0),
        ("gpt2", "prefix", (2, 2, 3, 16), 3, 0),
        # Two of four heads have keys and values of their own.
        ("llama", "prefix", (2, 2, 3, 8), 3, 0),
        ("t5", "inputs_embeds", (3, 16), 3, 0),
    ],
)
def test_a_prompt_has_the_size_of_what_it_meets_and_stands_before_the_text_or_in_its_slots(
    zoo: Zoo, name: str, mode: ModeName, shape: tuple[int, ...], before: int, slots: int
) -> None:
    made = Mode(zoo.load(name, head_of(name)), mode, TOKENS)
    assert (made.shape, made.before, made.slots) == (shape, before, slots)


@pytest.mark.parametrize("mode", MODES)
def test_no_prompt_takes_no_room_and_has_no_coordinates(zoo: Zoo, mode: ModeName) -> None:
    made = Mode(zoo.load("gpt2", "causal"), mode, 0)
    assert (made.before, made.slots, int(np.prod(made.shape))) == (0, 0, 0)


@pytest.mark.parametrize("name", TINY)
def test_rows_are_what_enters_the_first_block_or_the_word_embeddings(zoo: Zoo, name: str) -> None:
    loaded = zoo.load(name, head_of(name))
    ids = torch.tensor([[2, 300, 4, 77, 3], [2, 512, 77, 4, 3]])
    with torch.inference_mode():
        for mode in ("add", "cat"):
            rows = Mode(loaded, mode, TOKENS).rows(ids)
            expected = torch.cat([plain_lm.entering(loaded.base, row.tolist()) for row in ids])
            np.testing.assert_allclose(rows, expected, rtol=0, atol=1e-6)
        factor = 4 if name in MULTIPLYING else 1
        assert torch.equal(Mode(loaded, "inputs_embeds", TOKENS).rows(ids), factor * loaded.words[ids])


def test_every_candidate_meets_every_text_texts_fastest(zoo: Zoo) -> None:
    loaded = zoo.load("bert", "masked")
    rows, prompts = torch.randn(2, 7, 16), torch.randn(3, TOKENS, 16)
    added, before = Mode(loaded, "add", TOKENS).put(rows, prompts), Mode(loaded, "cat", TOKENS).put(rows, prompts)
    for i in range(3):
        for j in range(2):
            assert torch.equal(before[2 * i + j], torch.cat([prompts[i], rows[j]]))
            expected = rows[j].clone()
            expected[1:4] += prompts[i]
            assert torch.equal(added[2 * i + j], expected)


@pytest.mark.parametrize("name", TINY)
def test_the_step_is_the_spread_of_the_word_embeddings_as_prompts_meet_them(zoo: Zoo, name: str) -> None:
    loaded = zoo.load(name, head_of(name))
    spread = np.std(loaded.words.double().numpy(), ddof=1)
    for mode in modes(head_of(name)):
        if mode == "deep" and not loaded.blocks:
            continue
        # In its other modes BART's prompts meet what a norm has made of the multiplied embeddings.
        factor = 4 if name in MULTIPLYING and (name != "bart" or mode == "inputs_embeds") else 1
        assert Mode(loaded, mode, TOKENS).scale == pytest.approx(factor * spread, rel=1e-12)


def test_the_step_is_the_same_in_half_precision_to_its_rounding(zoo: Zoo) -> None:
    full, half = (zoo.load("gemma3_text", "causal", precision) for precision in ("float32", "bfloat16"))
    assert Mode(half, "add", TOKENS).scale == pytest.approx(Mode(full, "add", TOKENS).scale, rel=1e-2)


@pytest.mark.parametrize("name", DEEP)
def test_the_step_of_a_block_is_the_clipped_spread_of_what_enters_it(zoo: Zoo, name: str) -> None:
    loaded = zoo.load(name, head_of(name))
    texts = ([2, 300, 77, 3], [2, 512, 4, 88, 99, 3], [2, 3])
    scales = Mode(loaded, "deep", TOKENS).block_scales(texts)
    with torch.inference_mode():
        ids = map(torch.tensor, ([text] for text in texts))
        entered = [loaded.base(input_ids=one, output_hidden_states=True).hidden_states for one in ids]
    assert len(scales) == len(loaded.blocks)
    for i, scale in enumerate(scales):
        if i == 0:
            expected = Mode(loaded, "deep", TOKENS).scale
        else:
            values = np.concatenate([states[i].double().numpy().ravel() for states in entered])
            for _ in range(5):
                mean, spread = values.mean(), values.std(ddof=1)
                values = values.clip(mean - 3 * spread, mean + 3 * spread)
            expected = values.std(ddof=1)
        assert scale == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", DECODERS)
def test_a_prefix_that_the_model_itself_writes_is_the_text_before_the_text(zoo: Zoo, name: str) -> None:
    loaded = zoo.load(name, "causal")
    before, ids = [300, 77, 512], (301, 4, 88, 99)
    mode, reader = Mode(loaded, "prefix", TOKENS), WordsHead(loaded, (301, 512))
    written = mode.written(before).astype(np.float32)[None]
    found = Engine(loaded, reader, mode).logits(written, [Encoded(ids, None, 0, 0)])
    bare, whole = Mode(loaded, "inputs_embeds", 0), [Encoded((*before, *ids), None, 0, 0)]
    expected = Engine(loaded, reader, bare).logits(np.zeros((1, *bare.shape), np.float32), whole)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_the_step_of_a_prefix_is_the_spread_of_the_keys_and_of_the_values_of_each_block(zoo: Zoo) -> None:
    loaded = zoo.load("llama", "causal")
    texts = ([1, 300, 77, 3], [1, 512, 4, 88, 99, 3])
    scales = Mode(loaded, "prefix", TOKENS).block_scales(texts)
    with torch.inference_mode():
        caches = [loaded.base(input_ids=torch.tensor([ids]), use_cache=True).past_key_values for ids in texts]
    for i in range(2):
        for j, kind in enumerate(("keys", "values")):
            values = np.concatenate([getattr(cache.layers[i], kind).double().numpy().ravel() for cache in caches])
            for _ in range(5):
                mean, spread = values.mean(), values.std(ddof=1)
                values = values.clip(mean - 3 * spread, mean + 3 * spread)
            assert scales[2 * i + j] == pytest.approx(values.std(ddof=1), rel=1e-5)


@pytest.mark.parametrize("mode", ["after", "prefix"])
@pytest.mark.parametrize("head", ["embedding", "masked", "seq2seq"])
def test_modes_of_causal_models_are_refused_to_others_with_a_remedy(mode: ModeName, head: str) -> None:
    with pytest.raises(
        InputError, match=rf"mode={mode} is offered .* head is {head}; pass head=causal and the name of"
    ):
        check(mode, head)
    check(mode, "causal")
    check("cat", head)


def test_far_outliers_do_not_count_into_the_step_of_a_block(zoo: Zoo) -> None:
    loaded = zoo.load("bert", "masked")
    texts = [[2, *np.random.default_rng(i).integers(100, 900, 50).tolist(), 3] for i in range(4)]
    mode = Mode(loaded, "deep", TOKENS)

    def spoil(module: torch.nn.Module, inputs: object, output: torch.Tensor) -> torch.Tensor:
        output = output.clone()
        output[0, 0, 0] = 1e4
        return output

    plain = mode.block_scales(texts)[1]
    with loaded.blocks[0].register_forward_hook(spoil):
        spoiled = mode.block_scales(texts)[1]
    # Unclipped it would be 170 and more.
    assert spoiled < 20 * plain


def test_measuring_the_steps_leaves_no_hook_behind(zoo: Zoo) -> None:
    loaded = zoo.load("gpt2", "causal")
    mode, before = Mode(loaded, "deep", TOKENS), hooks(loaded)
    mode.block_scales([[5, 6, 7]])
    mode.rows(torch.tensor([[5, 6, 7]]))
    with pytest.raises(IndexError):
        mode.block_scales([[5, 6, 10**6]])
    assert hooks(loaded) == before
