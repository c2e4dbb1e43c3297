"""Text tasks whose model is behind vLLM, SGLang or what answers as OpenAI does: small servers, as documents have them.

`benchmarks/vllm.py` asks the real vLLM.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="needs the extra service")
pytest.importorskip("tenacity", reason="needs the extra service")

from fastapi import FastAPI

import dfo_bench
from dfo_bench.core import Dense, InputError, Unavailable
from dfo_bench.lm import TextTask
from dfo_bench.plugins.plugin import resolve
from dfo_bench.plugins.registry import TASKS
from dfo_bench.runs.assembly import assemble
from dfo_bench.runs.spec import streams
from dfo_bench.store.store import Store
from dfo_bench.sweeps.events import Listener
from dfo_bench.sweeps.execute import execute
from tests import engines, text_runs
from tests.services import Listening
from tests.texts_of import texts_of, written
from tests.tiny_lm import Zoo, build

WORDS = (" bad", " good")


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the folder of a model that has room for a few demonstrations."""
    return str(build(tmp_path_factory.mktemp("long") / "gpt2", "gpt2", n_positions=512))


@pytest.fixture(scope="module")
def listening(zoo: Zoo, long: str) -> Iterator[dict[str, str]]:
    """Return the address of each engine."""
    apps = {
        "vllm": engines.vllm(zoo.folder("llama")),
        "vllm gpt2": engines.vllm(zoo.folder("gpt2")),
        "vllm without embeddings": engines.vllm(zoo.folder("llama"), embeds=False),
        "sglang": engines.sglang(zoo.folder("llama")),
        "sglang with a cache": engines.sglang(zoo.folder("llama"), cached=True),
        "openai": engines.openai(long, likely=WORDS),
        "openai that gives five": engines.openai(long, likely=WORDS[:1], most=5),
        "openai that gives none of them": engines.openai(long),
        "openai embeddings": engines.openai(zoo.folder("bert"), head="embedding"),
        "nothing": FastAPI(),
    }
    running = {name: Listening(app) for name, app in apps.items()}
    yield {name: one.url for name, one in running.items()}
    for one in running.values():
        one.stop()


@pytest.mark.parametrize("engine", ["vllm", "sglang"])
@pytest.mark.parametrize("mode", ["inputs_embeds", "after", "add"])
def test_losses_costs_and_key_are_those_of_the_model_itself(
    store: Store, zoo: Zoo, listening: dict[str, str], engine: str, mode: str
) -> None:
    served = {"service": listening[engine], "engine": engine}
    specs = [text_runs.planned(store, zoo.folder("llama"), head="causal", mode=mode, **more) for more in ({}, served)]
    here, there = (assemble(spec) for spec in specs)
    assert (here.key, here.cost, here.task.contents) == (there.key, there.cost, there.task.contents)
    points = here.embed(0).lift(np.random.default_rng(0).standard_normal((3, 5)))
    np.testing.assert_allclose(there.task.evaluate(points), here.task.evaluate(points), rtol=0, atol=1e-5)
    assert there.task.score(points[:1], "test").metrics == pytest.approx(
        here.task.score(points[:1], "test").metrics, abs=1e-5
    )
    assert there.task.backend.startswith({"vllm": "vLLM 0.32.1, tiny", "sglang": "SGLang 0.5.23"}[engine])
    assert 1e-5 <= there.task.tolerance < 1e-3


@pytest.mark.parametrize("engine", ["vllm", "sglang"])
def test_the_template_alone_goes_up_as_ids(tmp_path: Path, zoo: Zoo, listening: dict[str, str], engine: str) -> None:
    folder = zoo.folder("llama")
    here = texts_of(tmp_path, folder, head="causal")
    there = texts_of(tmp_path, folder, head="causal", service=listening[engine], engine=engine)
    ours, theirs = (one.logits(one.rows("test")) for one in (here, there))
    np.testing.assert_allclose(np.diff(theirs), np.diff(ours), atol=1e-5)
    assert list(there.offers) == ["losses", "outputs"]


def test_points_whose_numbers_are_too_large_are_not_sent_and_have_no_loss(
    store: Store, zoo: Zoo, listening: dict[str, str]
) -> None:
    task = task_of(store, zoo.folder("llama"), service=listening["vllm"], engine="vllm")
    x = np.zeros((2, task.space.dim))
    x[0] = 1e39
    assert np.isnan(task.evaluate(Dense(x))).tolist() == [True, False]


def task_of(store: Store, model: str, **params: Any) -> TextTask:
    task = assemble(text_runs.planned(store, model, head="causal", **params)).task
    assert isinstance(task, TextTask)
    return task


def test_a_run_goes_on_when_the_engine_was_killed(store: Store, zoo: Zoo, tmp_path: Path, hurried: None) -> None:
    folder = zoo.folder("llama")
    whole = text_runs.run(store, folder, head="causal")
    other = Store.create(tmp_path / "other")
    running = Listening(engines.vllm(folder))
    spec = text_runs.planned(other, folder, head="causal", service=running.url, engine="vllm")

    def stop(spent: float, best: float, replayed: bool) -> None:
        if spent == 6:
            running.stop()

    with pytest.raises(Unavailable, match="does not answer"):
        execute(spec, other.path, stop)
    stranger = Listening(engines.vllm(str(build(tmp_path / "llama", "llama", initializer_range=0.4))), running.port)
    with pytest.raises(InputError, match=r"has another model, 'tiny', or another precision"):
        execute(spec, other.path)
    stranger.stop()
    again = Listening(engines.vllm(folder), running.port)
    summary = execute(spec, other.path)
    assert (summary.key, summary.status, summary.repaid) == (whole.key, "finished", 0)
    ours, theirs = (one.curves()["loss"].to_numpy(float) for one in (store, other))
    np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-5)
    again.stop()


def test_another_model_in_the_place_of_the_first_is_an_outage(
    store: Store, zoo: Zoo, tmp_path: Path, hurried: None
) -> None:
    running = Listening(engines.vllm(zoo.folder("llama")))
    task = task_of(store, zoo.folder("llama"), service=running.url, engine="vllm")
    running.stop()
    with pytest.raises(Unavailable, match="does not answer"):
        task.evaluate(task.space.start)
    other = str(build(tmp_path / "llama", "llama", initializer_range=0.4))
    again = Listening(engines.vllm(other), running.port)
    with pytest.raises(Unavailable, match="has another model"):
        task.evaluate(task.space.start)
    again.stop()


def test_likeliest_tokens_give_the_losses_of_the_template_and_their_model_is_known_by_name(
    tmp_path: Path, long: str, listening: dict[str, str]
) -> None:
    here = texts_of(tmp_path, long, head="causal")
    there = texts_of(tmp_path, "tiny", head="causal", service=listening["openai"], engine="openai")
    ours, theirs = (one.logits(one.rows("test")) for one in (here, there))
    np.testing.assert_allclose(np.diff(theirs), np.diff(ours), atol=1e-5)
    assert not there.events
    assert there.asked.digest == "openai tiny"
    tokens = [one.cost("train").tokens for one in (here, there)]
    assert tokens[1] == tokens[0]
    shown = [one.shown(1) for one in (here, there)]
    ours, theirs = (one.logits(one.rows("test")) for one in shown)
    np.testing.assert_allclose(np.diff(theirs), np.diff(ours), atol=1e-5)


def test_a_label_that_is_not_among_the_likeliest_is_floored_and_counted(
    tmp_path: Path, listening: dict[str, str]
) -> None:
    there = texts_of(tmp_path, "tiny", head="causal", service=listening["openai that gives five"], engine="openai")
    found = there.logits(there.rows("test"))
    assert (found[:, 1] < found[:, 0]).all()
    assert np.isfinite(found).all()
    (event,) = there.events
    assert re.match(r"(\d+) of \d+ label log-probabilities were not among the 5 likeliest tokens", event)


def test_embeddings_give_the_losses_of_the_template(tmp_path: Path, zoo: Zoo, listening: dict[str, str]) -> None:
    here = texts_of(tmp_path, zoo.folder("bert"))
    there = texts_of(tmp_path, "", service=listening["openai embeddings"], engine="openai")
    for what in ("logits", "features"):
        ours, theirs = (getattr(one, what)(one.rows("test")) for one in (here, there))
        np.testing.assert_allclose(theirs, ours, atol=1e-5)


def test_references_run_on_what_answers_as_openai_does(store: Store, listening: dict[str, str]) -> None:
    spec = text_runs.planned(
        store, "tiny", head="causal", prompt_tokens=0, service=listening["openai"], engine="openai"
    )
    ran = dfo_bench.sweep(
        tasks=[spec.task],
        optimizers=["manual", "in_context"],
        dim=5,
        budget=8,
        store=store.path,
        listener=Listener(),
    ).runs()
    assert set(ran["status"]) == {"finished"}
    assert (ran["sent_up"] > 0).all()


def test_a_search_of_words_is_of_the_same_model_as_its_references(store: Store, listening: dict[str, str]) -> None:
    """What knows the words of its prompts is another one; so they were two versions, and never compared."""
    service = {"service": listening["openai"], "engine": "openai"}
    text_runs.run(store, "tiny", "random", head="causal", mode="words", **service)
    text_runs.run(store, "tiny", "manual", head="causal", prompt_tokens=0, **service)
    assert store.runs()["data"].nunique() == 1


@pytest.mark.parametrize(
    ("address", "params", "reason"),
    [
        ("vllm", {"engine": "vllm", "head": "embedding"}, "answers with the next token, and head is embedding"),
        ("vllm", {"engine": "vllm", "mode": "deep"}, "reaches into the model, and engine=vllm takes word embeddings"),
        ("vllm gpt2", {"engine": "vllm", "mode": "cat", "model": "gpt2"}, "adds positions before its first block"),
        ("vllm without embeddings", {"engine": "vllm"}, "start it with --enable-prompt-embeds"),
        ("sglang with a cache", {"engine": "sglang"}, "takes no embeddings; start it with --disable-radix-cache"),
        ("vllm gpt2", {"engine": "vllm"}, "has another model, 'tiny', or another precision"),
        ("vllm", {"engine": "vllm", "prompt_tokens": 50}, "takes 64 tokens, and the longest train text has"),
        ("vllm", {"engine": "sglang"}, r"is no SGLang \(it has no /server_info\)"),
        ("nothing", {"engine": "vllm"}, r"is no vLLM \(it has no /version\); start one with: vllm serve"),
        ("nothing", {"engine": "openai", "prompt_tokens": 0}, "is no service that answers as OpenAI does"),
        (
            "openai",
            {"engine": "openai"},
            "takes text, and mode=inputs_embeds makes prompts of numbers; pass mode=words",
        ),
        ("openai", {"engine": "openai", "prompt_tokens": 0, "head": "masked"}, "has no head=masked"),
        (
            "openai",
            {"engine": "openai", "prompt_tokens": 0, "words": {"negative": ["bad", "poor"], "positive": "good"}},
            "engine=openai answers for one word per label, and words has several; write one each",
        ),
        ("openai", {"engine": "openai", "prompt_tokens": 0, "model": "other"}, "has no model 'other'; it has: tiny"),
        (
            "openai",
            {"engine": "openai", "prompt_tokens": 0, "model": "tiny", "words": {"negative": "xyz", "positive": "good"}},
            "'xyz' is 4 tokens for 'tiny', which tells of single ones alone; choose another word",
        ),
        (
            "openai that gives none of them",
            {"engine": "openai", "prompt_tokens": 0, "model": "tiny"},
            "none of the label words 'bad', 'good' is among the likeliest tokens",
        ),
    ],
)
def test_what_an_engine_cannot_do_is_refused_before_anything_is_paid(
    store: Store, zoo: Zoo, listening: dict[str, str], hurried: None, address: str, params: dict[str, Any], reason: str
) -> None:
    params = {"model": zoo.folder("llama"), "head": "causal", **params, "service": listening[address]}
    if params["model"] == "gpt2":
        params["model"] = zoo.folder("gpt2")
    with pytest.raises(InputError, match=reason):
        assemble(text_runs.planned(store, params.pop("model"), **params))


def test_an_engine_without_an_address_is_refused(store: Store, zoo: Zoo) -> None:
    with pytest.raises(InputError, match="engine=vllm needs the address at which it listens; pass service="):
        task_of(store, zoo.folder("llama"), engine="vllm")


def test_prompts_of_words_go_up_as_text(tmp_path: Path, long: str, listening: dict[str, str]) -> None:
    """Their losses are those of a template that begins with these words."""
    params = {"prompt_tokens": 3, "mode": "words", "head": "causal", "initial": "it was a"}
    there = resolve(TASKS, written(tmp_path, "tiny", service=listening["openai"], engine="openai", **params)).construct(
        rngs=streams(0)
    )
    assert isinstance(there, TextTask)
    assert there.write(there.space.start) == "it was a"
    assert there.contents["model"].startswith("openai tiny, words of ")
    step = 8 * there.space.scale * np.random.default_rng(0).standard_normal((1, there.space.dim))
    moved = Dense(there.space.start.dense() + step)
    assert there.write(moved) != "it was a"
    points = [there.space.start, moved, Dense(np.full((1, there.space.dim), 1e300))]
    losses = np.concatenate([there.evaluate(point) for point in points])
    assert np.isnan(losses).tolist() == [False, False, True]
    template = there.causal_template
    for point, loss in zip(points[:2], losses, strict=False):
        here = texts_of(tmp_path, long, head="causal", template=f"{there.write(point)} {template}")
        assert float(here.score(here.logits(here.rows("train"))[None], "train")["loss"][0]) == pytest.approx(loss)
