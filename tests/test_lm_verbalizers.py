from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import dfo_bench
from dfo_bench.core import InputError
from dfo_bench.exchange.bundles import export_bundle
from dfo_bench.lm import TextTask
from dfo_bench.lm.templates import label_tokens
from dfo_bench.lm.verbalizers import choose, first_of, grouped
from dfo_bench.plugins.plugin import resolve
from dfo_bench.plugins.registry import TASKS
from dfo_bench.runs.spec import streams
from dfo_bench.store.store import Store
from tests import plain_lm
from tests.text_runs import run
from tests.texts_of import written
from tests.tiny_lm import Zoo

SEVERAL = {"negative": ["bad", "awful"], "positive": ["good"]}
MASKED: dict[str, Any] = {"head": "masked", "template": "{text} . it was [MASK]"}


def make(folder: Path, model: str, **params: Any) -> TextTask:
    task = resolve(TASKS, written(folder, model, **{**MASKED, "prompt_tokens": 0, **params})).construct(rngs=streams(0))
    assert isinstance(task, TextTask)
    return task


def test_the_logit_of_a_label_is_the_mean_of_those_of_its_words(zoo: Zoo, tmp_path: Path) -> None:
    task, model = make(tmp_path, zoo.folder(), words=SEVERAL), zoo.load("bert", "masked")
    tokens = label_tokens(model, ("bad", "awful", "good"), leading_space=False)
    none = torch.zeros(0, model.words.size(1))
    for text, found in zip(task.inputs("train"), task.logits(task.space.start, "train")[0], strict=True):
        bad, awful, good = plain_lm.logits(model, "masked", "inputs_embeds", none, text, tokens, 1)
        np.testing.assert_allclose(found, [(bad + awful) / 2, good], rtol=1e-5, atol=1e-5)
    # Examples are shown with the first.
    assert task.shown_words == ("bad", "good")


def test_texts_of_labels_are_averaged_too(zoo: Zoo, tmp_path: Path) -> None:
    def logits(words: dict[str, Any]) -> Any:
        plain = {"head": "embedding", "template": "{text}"}
        task = make(tmp_path, zoo.folder(), words=words, **plain)
        return task.logits(task.space.start, "train")[0]

    one, two = logits({"negative": "bad", "positive": "good"}), logits({"negative": "awful", "positive": "good"})
    both = logits(SEVERAL)
    np.testing.assert_allclose(both[:, 0], (one + two)[:, 0] / 2, atol=1e-5)
    np.testing.assert_allclose(both[:, 1], one[:, 1], atol=1e-5)


def test_what_is_chosen_is_likelier_for_its_own_texts_than_expected() -> None:
    # The first word is likely everywhere, the last two are likely for one class each.
    scores = np.array([[-0.1, -3.0, -2.0, -9.0], [-0.1, -3.0, -2.2, -9.0], [-0.2, -3.0, -8.0, -2.0]])
    chosen = choose(scores, np.array([0, 0, 1]))
    assert (chosen[0][0], chosen[1][0]) == (2, 3)
    assert not set(chosen[0]) & set(chosen[1])


def test_words_are_found_in_the_outputs_of_train_and_said(zoo: Zoo, tmp_path: Path) -> None:
    task = make(tmp_path, zoo.folder(), words="auto")
    assert task.local.problem.groups == (3, 3)
    (found,) = (line for line in task.events if line.startswith("words=auto: negative: "))
    assert found in task.notes
    # No word stands for two labels.
    assert len({*task.local.problem.words}) == 6


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"head": "embedding", "template": "{text}", "words": "auto"}, "words=auto reads .*; pass head=masked, "),
        ({"service": "http://127.0.0.1:1", "words": "auto"}, "words=auto reads .* service=.*; leave out service"),
        ({"words": {"negative": [], "positive": "good"}}, "words has no word for negative; write one or several"),
        ({"words": {"negative": "bad"}}, "words must name the labels, .*; it lacks positive"),
        ({"words": {"negative": ["bad", "good"], "positive": "good"}}, "two labels have the label word 'good'"),
    ],
)
def test_words_that_cannot_stand_for_labels_are_refused(
    zoo: Zoo, tmp_path: Path, params: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        make(tmp_path, zoo.folder(), **params)


def test_a_bundle_and_a_trained_copy_average_too(zoo: Zoo, tmp_path: Path) -> None:
    store = Store.create(tmp_path / "store")
    summary = run(store, zoo.folder(), "random", **{**MASKED, "words": SEVERAL, "prompt_tokens": 2})
    export_bundle(store, tmp_path / "bundle", summary.key)
    texts = ["the film was awful", "it was great"]
    expected = store.classifier(summary.key).probabilities(texts)
    np.testing.assert_allclose(dfo_bench.load(tmp_path / "bundle").probabilities(texts), expected, atol=1e-6)
    assert "| negative | bad, awful |" in (tmp_path / "bundle/README.md").read_text()
    task = make(tmp_path, zoo.folder(), words=SEVERAL)
    tuned = task.texts().tunable().logits(task.rows("train")).detach()
    np.testing.assert_allclose(tuned, task.logits(task.space.start, "train")[0], atol=1e-5)


def test_words_and_their_groups_are_told_apart_again() -> None:
    assert grouped(("a", "b", "c"), (2, 1)) == [("a", "b"), ("c",)]
    assert first_of(("a", "b", "c"), (2, 1)) == ("a", "c")
    assert (grouped(("a", "b"), ()), first_of(("a", "b"), ())) == ([("a",), ("b",)], ("a", "b"))
