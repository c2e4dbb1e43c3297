from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dfo_bench.core import Dense, InputError
from dfo_bench.lm import TextTask
from dfo_bench.lm.clusters import representatives
from dfo_bench.lm.templates import Template, label_tokens
from dfo_bench.lm.vocabulary import Vocabulary, own_words, telling
from dfo_bench.plugins.plugin import resolve
from dfo_bench.plugins.registry import TASKS
from dfo_bench.report.show import show
from dfo_bench.runs.spec import streams
from dfo_bench.store.store import Store
from dfo_bench.sweeps.execute import execute
from tests import plain_lm
from tests.text_runs import planned, run
from tests.texts_of import written
from tests.tiny_lm import Zoo

TEMPLATES = {"masked": "{text} . it was [MASK]", "causal": "{text} it was", "seq2seq": "{text} [MASK]"}


def make(folder: Path, model: str, head: str = "masked", **params: Any) -> TextTask:
    given = {"head": head, "mode": "words", "prompt_tokens": 3, "include_prompt": True, **params}
    if head in TEMPLATES:
        given["template"] = TEMPLATES[head]
    task = resolve(TASKS, written(folder, model, **given)).construct(rngs=streams(0))
    assert isinstance(task, TextTask)
    return task


def somewhere(task: TextTask, n: int = 1, step: float = 4.0) -> Dense:
    start = task.space.start.dense()
    return Dense(start + step * task.space.scale * np.random.default_rng(0).standard_normal((n, task.space.dim)))


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("bert", "embedding"),
        ("albert", "embedding"),
        ("bert", "masked"),
        ("roberta", "masked"),
        ("deberta-v2", "masked"),
        ("gpt2", "causal"),
        ("llama", "causal"),
        ("gemma3_text", "causal"),
        ("t5", "seq2seq"),
    ],
)
def test_the_outputs_are_those_of_the_text_that_the_words_begin(zoo: Zoo, tmp_path: Path, name: str, head: str) -> None:
    task = make(tmp_path, zoo.folder(name), head)
    point, model = somewhere(task), zoo.load(name, head)
    text = task.write(point)
    pattern = TEMPLATES.get(head, "{text}")
    # The prompt is nothing but more of the text.
    plain = Template(model, pattern, head=head, slots=0, lead=f"{text} ", limit=64)
    words = ("bad", "good")
    labels: list[Any] = (
        [plain_lm.embedding(model, word) for word in words]
        if head == "embedding"
        else label_tokens(model, words, leading_space=head == "causal")
    )
    none = torch.zeros(0, model.words.size(1))
    expected = [
        plain_lm.logits(model, head, "inputs_embeds", none, plain.encode(row), labels, model.first)
        for row in task.rows("train")
    ]
    np.testing.assert_allclose(task.logits(point, "train")[0], expected, rtol=1e-5, atol=2e-5)
    assert all(word in own_words(model) or word == "." for word in text.split())


def test_the_search_begins_at_its_text_and_moves_from_word_to_word(zoo: Zoo, tmp_path: Path) -> None:
    task = make(tmp_path, zoo.folder(), initial="the film, it")
    assert task.write(task.space.start) == "the film ,"
    points = somewhere(task, 40)
    texts = [task.write(points[i : i + 1]) for i in range(40)]
    assert len(set(texts)) > 5
    names = task.identify(points)
    assert names is not None
    assert len(set(zip(texts, names, strict=True))) == len(set(texts)) == len(set(names))
    # Prompts that are one text have one loss, whatever their points.
    losses = task.evaluate(points)
    assert len({(text, f"{loss:.6f}") for text, loss in zip(texts, losses, strict=True)}) == len(set(texts))


def test_words_are_whole_and_tell_no_label(zoo: Zoo, tmp_path: Path) -> None:
    assert set(own_words(zoo.load("bert", "masked"))) == {
        *("negative", "positive", "good", "bad", "great", "awful", "film", "it", "was", "the")
    }
    task = make(tmp_path, zoo.folder(), words={"negative": "it was bad", "positive": "it was good"}, head="embedding")
    vocabulary = task.local.vocabulary.words
    assert {"it", "was", "great"} <= set(vocabulary)
    assert not {"good", "bad"} & set(vocabulary)
    assert telling(["A bug", "a Request"]) == {"bug", "request"}


def test_a_vocabulary_of_a_file_is_taken_as_it_is(zoo: Zoo, tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("film\nthe\n\nfilm\n", encoding="utf-8")
    task = make(tmp_path, zoo.folder(), vocabulary=str(path))
    assert set(task.write(somewhere(task, step=30)).split()) <= {"film", "the", "."}
    # Its contents, and no other vocabulary's, are in the key.
    assert len(task.contents["vocabulary"]) == 64


def test_the_words_of_a_prompt_are_looked_for_once(zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task, looked, search = make(tmp_path, zoo.folder()), [], Vocabulary._search

    def counted(vocabulary: Vocabulary, some: Any) -> Any:
        looked.append(len(some))
        return search(vocabulary, some)

    monkeypatch.setattr(Vocabulary, "_search", counted)
    points = somewhere(task, 4)
    names = task.identify(points)
    # A run names all, and evaluates those that are new.
    task.evaluate(Dense(points.dense()[1:3]))
    assert looked == [4]
    assert task.identify(points[3:]) == (names or [])[3:]
    assert looked == [4]
    task.identify(somewhere(task, 2, step=9.0))
    assert looked == [4, 2]


def test_a_vocabulary_is_pruned_to_one_word_of_each_cluster(zoo: Zoo, tmp_path: Path) -> None:
    whole, task = make(tmp_path, zoo.folder()), make(tmp_path, zoo.folder(), clusters=4)
    kept = task.local.vocabulary.words
    assert 1 < len(kept) <= 4
    # In the order of the whole vocabulary, and the words of initial beside them.
    assert [word for word in whole.local.vocabulary.words if word in kept] == list(kept)
    assert set(task.write(somewhere(task, step=30)).split()) <= {*kept, "."}
    # The words are in the key.
    assert len(task.contents["clusters"]) == 64
    assert "clusters" not in whole.contents


def test_the_word_that_is_kept_is_the_nearest_to_the_centre_of_its_cluster() -> None:
    rows = np.array([[-11.0], [8.0], [-10.0], [-9.0], [11.5], [10.0]], np.float32)
    assert representatives(rows, 2) == [2, 5]


@pytest.mark.parametrize(
    ("params", "listed", "message"),
    [
        ({}, "film\nbadly\nfilmly\nthe", r"vocabulary has 2 words of several tokens \(badly, filmly\), among 4, in "),
        ({}, "film\n☃", r"vocabulary has 1 word of no token \(☃\), among 2"),
        ({}, "film\nGood\nbad", r"vocabulary has 2 label words \(Good, bad\), which .*; leave them out"),
        ({}, " \n", r"holds no word; write one word a line"),
        ({"vocabulary": "none.txt"}, "", r"vocabulary=none.txt cannot be read: .*; it is to hold one word a line"),
        ({"mode": "cat", "vocabulary": None, "clusters": 4}, "", r"clusters=4 is for mode=words, and mode is cat"),
        ({"clusters": 3}, "film\nthe", r"clusters=3 keeps a word of each cluster, .* has only 2 words; pass fewer"),
        ({"mode": "cat"}, "film", r"vocabulary=.* is for mode=words, and mode is cat; leave out one of them"),
        ({"initial": "a badly film"}, "film", r"initial has 1 word of several tokens \(badly\)"),
        ({"service": "http://127.0.0.1:1"}, "film", r"mode=words looks for the nearest words .*; leave out service"),
    ],
)
def test_words_that_cannot_be_used_are_refused(
    zoo: Zoo, tmp_path: Path, params: dict[str, Any], listed: str, message: str
) -> None:
    path = tmp_path / "words.txt"
    path.write_text(listed, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        make(tmp_path, zoo.folder(), **{"vocabulary": str(path), **params})


def test_a_decoder_that_repeats_the_text_is_refused(zoo: Zoo, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"decoder .* begins with the text, .*; pass mode=inputs_embeds"):
        make(tmp_path, zoo.folder("bart"), "seq2seq")


def test_a_prompt_without_finite_numbers_has_no_loss(zoo: Zoo, tmp_path: Path) -> None:
    task = make(tmp_path, zoo.folder())
    points = Dense(np.stack([np.full(task.space.dim, 1e300), task.space.start.dense()[0]]))
    assert np.isnan(task.evaluate(points)).tolist() == [True, False]


def test_a_run_pays_for_each_prompt_once_and_shows_and_keeps_its_words(zoo: Zoo, tmp_path: Path) -> None:
    store = Store.create(tmp_path / "store")
    summary = run(store, zoo.folder(), head="masked", template=TEMPLATES["masked"], mode="words")
    assert 0 < summary.repeats < summary.evaluations == 12
    assert summary.selected
    assert len(summary.selected.text.split()) == 3
    frame = store.runs().iloc[0]
    assert summary.cost
    assert frame["examples"] == (12 - summary.repeats) * summary.cost.examples
    assert (frame["repeats"], frame["prompt"]) == (summary.repeats, summary.selected.text)
    shown = show(store.view(summary.key))
    assert f"prompt: {summary.selected.text}" in shown
    assert f"{12 - summary.repeats}, for {summary.repeats} evaluations came to a prompt that was known" in shown


def test_a_run_that_was_interrupted_pays_for_no_prompt_twice(
    zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params: dict[str, Any] = {"head": "masked", "template": TEMPLATES["masked"], "mode": "words"}
    whole, parts = Store.create(tmp_path / "whole"), Store.create(tmp_path / "parts")
    one = run(whole, zoo.folder(), projection="normal:alpha=20", **params)
    calls, evaluate = [0], TextTask.evaluate

    def stopped(task: TextTask, points: Any) -> Any:
        calls[0] += 1
        if calls[0] > 1:
            raise KeyboardInterrupt
        return evaluate(task, points)

    spec = planned(parts, zoo.folder(), projection="normal:alpha=20", **params)
    with monkeypatch.context() as patch:
        patch.setattr(TextTask, "evaluate", stopped)
        with pytest.raises(KeyboardInterrupt):
            execute(spec, parts.path)
    two = execute(spec, parts.path)
    assert whole.curves([one.key])["loss"].tolist() == parts.curves([two.key])["loss"].tolist()
    assert one.repeats == two.repeats


def test_a_search_begins_at_the_words_of_a_file_of_prompts(zoo: Zoo, tmp_path: Path) -> None:
    from dfo_bench.exchange.prompts import export_prompts

    store, path = Store.create(tmp_path / "store"), tmp_path / "prompts.safetensors"
    params: dict[str, Any] = {"head": "masked", "template": TEMPLATES["masked"], "mode": "words"}
    summary = run(store, zoo.folder(), **params)
    export_prompts(store, path)
    task = make(tmp_path, zoo.folder(), initial=str(path))
    assert summary.selected
    assert task.write(task.space.start) == summary.selected.text
