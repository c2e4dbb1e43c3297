"""What a reference is given is what the stock model computes: outputs, features, states, gradients."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from dfo_bench.core import InputError
from tests import plain_lm
from tests.texts_of import texts_of
from tests.tiny_lm import Zoo, build, hooks

WAYS = [
    ("bert", "embedding"),
    ("bert", "masked"),
    ("roberta", "masked"),
    ("gpt2", "causal"),
    ("gemma3_text", "causal"),
    ("opt as 350m", "causal"),
    ("t5", "seq2seq"),
    ("bart", "seq2seq"),
]
ways = pytest.mark.parametrize(("model", "head"), WAYS)


@ways
@torch.inference_mode()
def test_features_and_states_are_the_hidden_states_of_the_stock_model(
    tmp_path: Path, zoo: Zoo, model: str, head: str
) -> None:
    texts = texts_of(tmp_path, zoo.folder(model), head=head)
    rows = texts.rows("test")
    features, states = texts.features(rows), texts.states(rows)
    stock = texts.local.model.model
    for row, feature, state in zip(rows, features, states, strict=True):
        encoded = texts.local.template.encode(row)
        ids = torch.tensor([encoded.ids])
        if head == "seq2seq":
            output = stock(input_ids=ids, decoder_input_ids=torch.tensor([encoded.decoder]), output_hidden_states=True)
            np.testing.assert_allclose(state, output.encoder_last_hidden_state[0], atol=1e-5)
            np.testing.assert_allclose(feature, output.decoder_hidden_states[-1][0, -1], atol=1e-5)
            continue
        last = stock(input_ids=ids, output_hidden_states=True).hidden_states[-1][0]
        if model == "opt as 350m":
            # The stock class tells the states before its last projection.
            last = stock.model.decoder(input_ids=ids).last_hidden_state[0]
        np.testing.assert_allclose(state, last, atol=1e-5)
        if head == "embedding":
            pooled = torch.nn.functional.normalize(last.mean(dim=0), dim=0)
            np.testing.assert_allclose(feature, pooled, atol=1e-5)
        else:
            np.testing.assert_allclose(feature, last[-1 if encoded.mask is None else encoded.mask], atol=1e-5)
    assert texts.sizes.width == features.shape[1]
    assert texts.sizes.longest == max(len(texts.local.template.encode(row).ids) for row in texts.rows("train"))


@ways
def test_a_copy_to_be_tuned_gives_the_outputs_of_the_task_and_leaves_its_model_alone(
    tmp_path: Path, zoo: Zoo, model: str, head: str
) -> None:
    texts = texts_of(tmp_path, zoo.folder(model), head=head)
    rows, before = texts.rows("test"), hooks(texts.local.model)
    outputs = texts.logits(rows)
    tuned = texts.tunable()
    logits = tuned.logits(rows)
    np.testing.assert_allclose(logits.detach(), outputs, atol=1e-5)
    logits.logsumexp(dim=1).sum().backward()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        for parameter in tuned.model.parameters():
            if parameter.grad is not None:
                parameter -= 0.1 * parameter.grad
    assert np.abs(tuned.logits(rows).detach().numpy() - outputs).max() > 1e-3
    np.testing.assert_array_equal(texts.logits(rows), outputs)
    assert hooks(texts.local.model) == before
    assert not any(parameter.requires_grad for parameter in texts.local.model.model.parameters())


@pytest.mark.parametrize(("model", "head"), [("bert", "masked"), ("gemma3_text", "causal")])
def test_gradients_reach_the_weights_that_the_label_words_are_cut_out_of(
    tmp_path: Path, zoo: Zoo, model: str, head: str
) -> None:
    texts = texts_of(tmp_path, zoo.folder(model), head=head)
    tuned, stock = texts.tunable(), copy.deepcopy(texts.local.model.model).requires_grad_(True)
    row = texts.rows("test")[0]
    encoded = texts.local.template.encode(row)
    place = -1 if encoded.mask is None else encoded.mask
    tokens = [texts.local.model.tokenizer(word, add_special_tokens=False)["input_ids"] for word in ("a bad", "a good")]
    if head == "masked":
        tokens = [texts.local.model.tokenizer(word, add_special_tokens=False)["input_ids"] for word in ("bad", "good")]
    whole = stock(input_ids=torch.tensor([encoded.ids])).logits[0, place]
    whole[[ids[-1] for ids in tokens]].square().sum().backward()
    tuned.logits([row])[0].square().sum().backward()  # type: ignore[no-untyped-call]
    ours, theirs = (model.get_output_embeddings().weight.grad for model in (tuned.model, stock))
    assert float(theirs.abs().max()) > 0
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_examples_that_are_shown_are_as_many_as_fit_with_the_longest_text(tmp_path: Path) -> None:
    def demonstrated(positions: int) -> list[int]:
        model = str(build(tmp_path / f"long{positions}", "gpt2", n_positions=positions))
        texts = texts_of(tmp_path, model, head="causal")
        rows = texts.rows("train")
        most = texts.shown(None)
        assert (
            most.local.template.room
            >= max(len(texts.local.template.encode(row).ids) for row in rows) - texts.local.template.bare
        )
        return [len(shown.local.template.encode(rows[0]).ids) for shown in (most, *(texts.shown(n) for n in (1, 2, 3)))]

    fitting, one, two, three = demonstrated(512)
    assert (fitting, one < two < three) == (three, True)
    fitting, *counted = demonstrated(three - 1)
    assert fitting == counted[1]


def test_texts_that_the_examples_leave_no_room_are_said_to_be_cut(tmp_path: Path, zoo: Zoo) -> None:
    texts = texts_of(tmp_path, zoo.folder("gpt2"), head="causal")
    shown = texts.shown(None)
    for each in (texts, shown):
        each.cost("train")
    assert (texts.events, shown.events) == ([], ["6 of 6 train texts are cut to 64 tokens"])


def test_examples_of_a_head_without_label_words_are_refused(tmp_path: Path, zoo: Zoo) -> None:
    with pytest.raises(InputError, match="need label words, which head=embedding has not; pass head=masked"):
        texts_of(tmp_path, zoo.folder(), head="embedding").shown(1)


def test_outputs_are_those_of_the_bare_template(tmp_path: Path, zoo: Zoo) -> None:
    texts = texts_of(tmp_path, zoo.folder(), head="masked")
    ids = texts.local.model.tokenizer.convert_tokens_to_ids(["bad", "good"])
    for row, logits in zip(texts.rows("test"), texts.logits(texts.rows("test")), strict=True):
        none = torch.empty(0, texts.local.model.words.size(1))
        plain = plain_lm.logits(texts.local.model, "masked", "add", none, texts.local.template.encode(row), ids, 1)
        np.testing.assert_allclose(logits, plain, atol=1e-5)


def test_what_a_fit_asks_of_train_and_dev_is_computed_once(tmp_path: Path, zoo: Zoo) -> None:
    texts = texts_of(tmp_path, zoo.folder(), head="masked")
    for ask in (texts.logits, texts.features):
        for split in ("train", "dev"):
            first = ask(texts.rows(split))
            assert ask(texts.rows(split)) is first
            np.testing.assert_allclose(ask(list(texts.rows(split))), first, atol=1e-6)
            with pytest.raises(ValueError, match="read-only"):
                first[0] = 0.0
    examples = texts.shown(1)
    assert not np.allclose(examples.logits(texts.rows("train")), texts.logits(texts.rows("train")))
