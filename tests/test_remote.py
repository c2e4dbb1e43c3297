"""Text tasks whose model is behind a service: the same keys, losses and costs, and what happens in an outage."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

pytest.importorskip("fastapi", reason="needs the extra service")
pytest.importorskip("prometheus_client", reason="needs the extra service")
pytest.importorskip("tenacity", reason="needs the extra service")

from tenacity import wait_none

import dfo_bench
from dfo_bench.core import Dense, InputError, Unavailable
from dfo_bench.exchange.bundles import export_bundle
from dfo_bench.lm import TextTask
from dfo_bench.lm.remote import client as clients
from dfo_bench.lm.remote import wire
from dfo_bench.lm.remote.client import Client, Refused
from dfo_bench.report.format import size
from dfo_bench.runs.assembly import assemble
from dfo_bench.runs.spec import RunSpec
from dfo_bench.service.guard import Guard
from dfo_bench.store.store import Store
from dfo_bench.sweeps.events import Listener
from dfo_bench.sweeps.execute import execute
from dfo_bench.sweeps.request import SweepRequest
from dfo_bench.sweeps.sweep import run_sweep
from tests import text_runs
from tests.services import Running
from tests.texts_of import texts_of
from tests.tiny_lm import Zoo, build

PARTS = [
    ("bert", "embedding", "add"),
    ("bert", "masked", "inputs_embeds"),
    ("gpt2", "causal", "after"),
    ("gpt2", "causal", "deep"),
    ("gpt2", "causal", "prefix"),
    ("t5", "seq2seq", "cat"),
]


@pytest.fixture(scope="module")
def service(zoo: Zoo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("remote")
    long = str(build(folder / "long", "gpt2", n_positions=256))
    running = Running([*(zoo.folder(name) for name in ("bert", "gpt2", "t5")), long], folder / "book")
    yield running
    running.stop()


def task_of(spec: RunSpec) -> TextTask:
    task = assemble(spec).task
    assert isinstance(task, TextTask)
    return task


@pytest.mark.parametrize(("model", "head", "mode"), PARTS)
def test_losses_costs_and_key_are_those_of_the_model_itself(
    store: Store, zoo: Zoo, service: Running, model: str, head: str, mode: str
) -> None:
    specs = [
        text_runs.planned(store, zoo.folder(model), head=head, mode=mode, **other)
        for other in ({}, {"service": service.url})
    ]
    here, there = (assemble(spec) for spec in specs)
    assert here.key == there.key
    assert here.cost == there.cost
    assert here.task.contents == there.task.contents
    z = np.random.default_rng(0).standard_normal((3, 5))
    lifted = [one.embed(0).lift(z) for one in (here, there)]
    plain = Dense(lifted[0].dense())
    for a, b in (lifted, [plain, plain]):
        np.testing.assert_allclose(there.task.evaluate(b), here.task.evaluate(a), rtol=0, atol=1e-5)
        some = there.task.evaluate_on(b, (1, 4)), here.task.evaluate_on(a, (1, 4))
        np.testing.assert_allclose(*some, rtol=0, atol=1e-5)
    ours, theirs = (one.task.score(points[:1], "test") for one, points in zip((here, there), lifted, strict=True))
    assert ours.cost == theirs.cost
    assert ours.metrics == pytest.approx(theirs.metrics, abs=1e-5)
    assert here.task.measuring_cost("test") == there.task.measuring_cost("test")
    assert here.task.events == there.task.events


def test_z_goes_up_and_label_logits_come_down(store: Store, zoo: Zoo, service: Running) -> None:
    assembly = assemble(text_runs.planned(store, zoo.folder(), service=service.url))
    assert isinstance(assembly.task, TextTask)
    traffic = assembly.task.traffic
    assert traffic
    points = assembly.embed(0).lift(np.ones((4, 5)))
    assembly.task.evaluate(points[:1])
    before = traffic.up, traffic.down
    assembly.task.evaluate(points)
    assert (traffic.up - before[0], traffic.down - before[1]) == (4 * 4 * 5, 4 * 4 * 6 * 2)


def test_hidden_states_come_in_the_order_of_their_texts(tmp_path: Path, zoo: Zoo, service: Running) -> None:
    here, there = (texts_of(tmp_path, zoo.folder(), service=url) for url in ("", service.url))
    for split in ("train", "test"):
        for ours, theirs in zip(here.states(here.rows(split)), there.states(there.rows(split)), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert here.sizes == there.sizes


def test_numbers_that_are_too_large_are_not_sent_and_have_no_loss(store: Store, zoo: Zoo, service: Running) -> None:
    task = task_of(text_runs.planned(store, zoo.folder(), service=service.url))
    x = np.zeros((2, task.space.dim))
    x[0] = 1e39
    assert np.isnan(task.evaluate(Dense(x))).tolist() == [True, False]


def test_a_sweep_with_its_references_is_the_same_through_the_service(
    store: Store, service: Running, tmp_path: Path
) -> None:
    stores = []
    for name, url in (("here", ""), ("there", service.url)):
        # What the service calls by the last part alone.
        model = str(service.house.desk.models["long"].folder)
        spec = text_runs.planned(store, model, head="causal", service=url)
        stores.append(
            dfo_bench.sweep(
                tasks=[spec.task],
                optimizers=["random", "in_context", "feature_linear"],
                references=False,
                dim=5,
                budget=8,
                store=tmp_path / name,
                listener=Listener(),
            )
        )
    here, there = (one.runs().set_index("key").sort_index() for one in stores)
    assert list(here.index) == list(there.index)
    assert set(there["status"]) == {"finished"}
    # z of five numbers up, and two logits of each of six texts down; and once how z is lifted.
    searched = there[there["optimizer"] == "random"].iloc[0]
    assert 0 < searched["sent_up"] - 8 * 4 * 5 < 1000
    assert 0 < searched["sent_down"] - 8 * 4 * 2 * 6 < 1000
    assert here["sent_up"].isna().all()
    same = ["optimizer", "task", "evaluations", "tokens", "bytes_up_z", "bytes_down", "data"]
    assert here[same].equals(there[same])
    for column in ("best_loss", "dev_loss", "test_loss"):
        np.testing.assert_allclose(here[column], there[column], atol=1e-4)
    found = there.index[there["optimizer"] == "random"][0]
    classifiers = [one.classifier(found) for one in stores]
    texts = ["a great film", "the film was awful"]
    ours, theirs = (one.probabilities(texts) for one in classifiers)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    # A bundle holds what the model here would answer.
    export_bundle(stores[1], tmp_path / "bundle", found)
    np.testing.assert_allclose(dfo_bench.load(tmp_path / "bundle").probabilities(texts), ours, atol=1e-4)


def test_a_run_goes_on_when_the_service_was_killed_and_nothing_is_paid_twice(
    store: Store, zoo: Zoo, tmp_path: Path, hurried: None
) -> None:
    whole = text_runs.run(store, zoo.folder())
    other = Store.create(tmp_path / "other")
    running = Running([zoo.folder()], tmp_path / "book")
    spec = text_runs.planned(other, zoo.folder(), service=running.url)

    def stop(spent: float, best: float, replayed: bool) -> None:
        if spent == 6:
            running.stop()

    with pytest.raises(Unavailable, match="does not answer"):
        execute(spec, other.path, stop)
    with pytest.raises(Unavailable):
        execute(spec, other.path)
    again = Running([zoo.folder()], tmp_path / "book", port=running.port)
    summary = execute(spec, other.path)
    assert (summary.key, summary.status, summary.repaid) == (whole.key, "finished", 0)
    np.testing.assert_allclose(
        other.curves()["loss"].to_numpy(float), store.curves()["loss"].to_numpy(float), rtol=0, atol=1e-5
    )
    # The budget, dev twice, test, and train once more for the calibrated scores on it.
    assert again.house.book.usage("local").points == 12 + 2 + 1 + 1
    again.stop()


def test_an_estimate_counts_all_that_a_service_is_asked_for(store: Store, zoo: Zoo, service: Running) -> None:
    task = text_runs.planned(store, zoo.folder(), service=service.url).task
    given: dict[str, Any] = {"optimizers": ["cma:popsize=6"], "references": False, "store": store.path}
    # A seed that no other test has: what the service has answered is not asked for again.
    given |= {"dim": 5, "budget": 12, "dev_every": 6, "seeds": [7]}
    assert dfo_bench.estimate(SweepRequest(tasks=[task], **given)).fits == 1
    before = service.house.book.usage("local")
    request = SweepRequest(tasks=[task.replace(calibrate="bias")], **given)
    ahead = dfo_bench.estimate(request)
    assert (ahead.calls, ahead.checks, ahead.scores, ahead.fits) == (12, 2, 3, 3)
    assert service.house.book.usage("local").points == before.points
    run_sweep(request, Listener())
    paid = service.house.book.usage("local")
    # At most: the candidate of the last fit is one that dev has scored.
    assert 12 + 2 + 3 + 2 <= paid.points - before.points <= 12 + 2 + 3 + 3
    assert paid.tokens - before.tokens <= ahead.tokens


def test_what_the_service_forgot_is_registered_anew(store: Store, zoo: Zoo, tmp_path: Path) -> None:
    running = Running([zoo.folder()], tmp_path / "book")
    assembly = assemble(text_runs.planned(store, zoo.folder(), service=running.url))
    points = assembly.embed(0).lift(np.ones((2, 5)))
    before = assembly.task.evaluate(points)
    running.stop()
    again = Running([zoo.folder()], tmp_path / "book", port=running.port)
    assert assembly.task.evaluate(points).tolist() == before.tolist()
    assert again.house.book.usage("local").calls == 1
    assembly.task.evaluate(assembly.embed(0).lift(np.zeros((2, 5))))
    again.stop()


def test_another_model_in_the_place_of_the_first_is_an_outage(
    store: Store, zoo: Zoo, tmp_path: Path, hurried: None
) -> None:
    running = Running([zoo.folder()], tmp_path / "book")
    task = task_of(text_runs.planned(store, zoo.folder(), service=running.url))
    running.stop()
    other = str(build(tmp_path / "bert", "bert", initializer_range=0.4))
    again = Running([other], tmp_path / "book", port=running.port)
    with pytest.raises(Unavailable, match=r"has another model now.*start it with the model that this run began with"):
        task.evaluate(task.space.start)
    again.stop()


def test_a_prompt_behind_a_service_is_shown_without_its_words(
    store: Store, zoo: Zoo, service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    text_runs.run(store, zoo.folder("gpt2"), head="causal", mode="inputs_embeds", service=service.url)
    sent = store.runs()["sent_up"].item()
    shown = dfo_bench.show(store.view("best"))
    assert re.search(rf"sent +{size(sent)}", shown)
    assert "nearest words: not known, task text needs the model in this process" in shown
    monkeypatch.setattr(Client, "greet", refuse)
    assert "nearest words: not known, gone" in dfo_bench.show(store.view("best"))


def refuse(*args: object) -> None:
    raise Unavailable("gone")


@pytest.mark.parametrize(
    ("service", "reason"),
    [
        ("ftp://127.0.0.1", "is no URL of a service; write http://HOST:PORT"),
        ("127.0.0.1:8000", "is no URL of a service"),
        ("http://127.0.0.1:1", "does not answer"),
    ],
)
def test_a_url_that_is_no_service_is_refused_before_anything_is_paid(
    store: Store, zoo: Zoo, hurried: None, service: str, reason: str
) -> None:
    spec = text_runs.planned(store, zoo.folder(), service=service)
    with pytest.raises(InputError, match=reason):
        dfo_bench.sweep(tasks=[spec.task], optimizers=["random"], dim=5, budget=8, store=store.path)


@pytest.mark.parametrize(
    ("params", "optimizer", "reason"),
    [
        ({"model": "gone"}, "random", "no model of this service named 'gone'"),
        ({"prompt_tokens": 64, "mode": "cat"}, "random", "leaves no room for text"),
        ({"template": "{text}", "head": "masked"}, "random", "must hold .MASK. exactly once"),
        ({}, "adam", "gives no gradients; leave out service"),
        ({}, "model_tuning", "offers only losses, outputs, features"),
    ],
)
def test_what_the_service_cannot_do_is_refused_before_anything_is_paid(
    store: Store, zoo: Zoo, service: Running, params: dict[str, Any], optimizer: str, reason: str
) -> None:
    paid = service.house.book.usage("local")
    spec = text_runs.planned(store, zoo.folder(), service=service.url)
    with pytest.raises(InputError, match=reason):
        dfo_bench.sweep(tasks=[spec.task.replace(**params)], optimizers=[optimizer], dim=5, budget=8, store=store.path)
    assert service.house.book.usage("local") == paid


def test_a_problem_that_is_too_large_is_refused(store: Store, zoo: Zoo, tmp_path: Path) -> None:
    running = Running([zoo.folder()], tmp_path / "book", guard=Guard(most_bytes=100))
    with pytest.raises(InputError, match="413: the body is above 100 bytes"):
        task_of(text_runs.planned(store, zoo.folder(), service=running.url))
    running.stop()


def answering(*answers: httpx2.Response | httpx2.TransportError, monkeypatch: pytest.MonkeyPatch) -> Client:
    """Return a client that is given these answers, the last of them for good."""
    left = list(answers)

    def handle(request: httpx2.Request) -> httpx2.Response:
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, httpx2.TransportError):
            raise answer
        return httpx2.Response(answer.status_code, headers=answer.headers, content=answer.content)

    client = Client("http://service")
    client._http = httpx2.Client(base_url=client.url, transport=httpx2.MockTransport(handle))
    return client


GOOD = httpx2.Response(200, content=b"good")
DAMAGED = httpx2.Response(200, headers={wire.DIGEST: wire.digest(b"whole")}, content=b"who")


@pytest.mark.parametrize(
    "first",
    [
        httpx2.Response(429, headers={"retry-after": "0"}),
        httpx2.Response(503, headers={"retry-after": "Thu, 26 Nov 2026 12:00:00 GMT"}),
        httpx2.Response(500),
        DAMAGED,
        httpx2.ReadError("cut"),
        httpx2.ConnectTimeout("late"),
        httpx2.RemoteProtocolError("peer closed connection without sending complete message body"),
    ],
    ids=str,
)
def test_what_fails_for_a_moment_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, first: httpx2.Response | httpx2.TransportError
) -> None:
    monkeypatch.setattr(clients, "_PAUSES", wait_none())
    client = answering(first, first, GOOD, monkeypatch=monkeypatch)
    assert client.ask("POST", "/", content=b"123").content == b"good"
    # Without a connection nothing is sent.
    assert client.traffic.up == (3 if isinstance(first, httpx2.ConnectTimeout) else 9)


def test_what_fails_for_long_is_unavailable(monkeypatch: pytest.MonkeyPatch, hurried: None) -> None:
    storm = httpx2.Response(503, json={"detail": "too much waits"})
    with pytest.raises(Unavailable, match="says 503: too much waits"):
        answering(storm, monkeypatch=monkeypatch).ask("GET", "/")
    with pytest.raises(Unavailable, match="damaged on its way"):
        answering(DAMAGED, monkeypatch=monkeypatch).ask("GET", "/")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (httpx2.Response(200, text="<html>"), "is no service of dfo-bench; start one with: dfo-bench serve"),
        (httpx2.Response(404, text="Not Found"), "is no service of dfo-bench"),
        (httpx2.Response(200, json={"service": "dfo-bench", "version": "9", "wire": 9}), "install the same version"),
    ],
)
def test_a_service_that_is_none_of_ours_is_refused(
    monkeypatch: pytest.MonkeyPatch, answer: httpx2.Response, reason: str
) -> None:
    with pytest.raises(Unavailable, match=reason):
        answering(answer, monkeypatch=monkeypatch).greet()


def test_a_wrong_key_names_the_variable_that_holds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refused, match="does not know the key in DFO_BENCH_API_KEY"):
        answering(httpx2.Response(401, json={"detail": "no such key"}), monkeypatch=monkeypatch).ask("GET", "/")


def test_the_key_of_the_environment_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(clients.KEY, " secret\n")
    assert Client("http://service")._http.headers["authorization"] == "Bearer secret"


def test_an_optimizer_that_sees_outputs_runs_through_the_service(store: Store, zoo: Zoo, service: Running) -> None:
    summary = text_runs.run(store, zoo.folder(), "prox_linear", service=service.url)
    assert summary.sees == "outputs"
    assert summary.evaluations == 12
