"""The service: what it takes, what it refuses, what it bills, and what it keeps from others."""

import asyncio
import hashlib
import json
import pickle
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

pytest.importorskip("fastapi", reason="needs the extra service")
pytest.importorskip("prometheus_client", reason="needs the extra service")

from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from dfo_bench.errors import InputError
from dfo_bench.lm.remote import wire
from dfo_bench.service import desk
from dfo_bench.service.book import Book
from dfo_bench.service.guard import Guard
from dfo_bench.service.keys import Holder, Keys, LimitError, Limits
from dfo_bench.service.line import FullError, Line
from dfo_bench.service.serve import serve
from tests.services import Running, problem
from tests.tiny_lm import Zoo

PROMPTS = np.linspace(-1, 1, 3 * 2 * 16, dtype=np.float32).reshape(3, 2, 16)


@pytest.fixture(scope="module")
def service(zoo: Zoo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running([zoo.folder()], tmp_path_factory.mktemp("service") / "book")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def client(service: Running) -> httpx2.Client:
    return service.client()


@pytest.fixture(scope="module")
def registered(client: httpx2.Client) -> str:
    return register(client)


def register(client: httpx2.Client, **other: Any) -> str:
    answer = client.post("/v1/problems", json=problem("bert", **other))
    assert answer.status_code == 200, answer.text
    return str(answer.json()["problem"])


def ask(client: httpx2.Client, name: str, call: str = "", **params: Any) -> httpx2.Response:
    headers = {wire.IDEMPOTENCY: call} if call else {}
    return client.post(
        f"/v1/problems/{name}/logits",
        content=params.pop("body", PROMPTS.tobytes()),
        params={"points": 3, **params},
        headers=headers,
    )


def recipe(size: int = 32, **other: Any) -> bytes:
    plain = {"projection": "normal", "dim": 4, "seed": 0, "number": 0, "factor": 0.1, "shape": [2, 16], **other}
    return save({"start": np.zeros(size)}, metadata={"recipe": json.dumps(plain)})


def test_it_says_what_it_is_and_describes_every_path_with_an_example(client: httpx2.Client) -> None:
    assert client.get("/healthz").json()["service"] == "dfo-bench"
    assert client.get("/readyz").json() == {"waiting": 0, "replicas": 1}
    assert [one["name"] for one in client.get("/v1/models").json()] == ["bert"]
    described = client.get("/openapi.json").json()
    assert "/v1/problems/{problem}/logits" in described["paths"]
    assert "example" in json.dumps(described["components"]["schemas"]["ProblemBody"])
    assert client.get("/docs").status_code == 200
    memory = next(line for line in client.get("/metrics").text.splitlines() if line.startswith("process_resident"))
    assert float(memory.split()[1]) > 1e7


def test_an_answer_has_the_declared_shape_and_the_digest_of_its_bytes(client: httpx2.Client, registered: str) -> None:
    answer = ask(client, registered)
    assert answer.status_code == 200, answer.text
    assert answer.headers[wire.SHAPE] == "3,2,2"
    assert answer.headers[wire.DIGEST] == wire.digest(answer.content)
    whole = wire.unpack(answer.content, [3, 2, 2])
    part = wire.unpack(ask(client, registered, begin=1).content, [3, 1, 2])
    np.testing.assert_allclose(part, whole[:, 1:], atol=1e-5)
    half = ask(client, registered, body=PROMPTS.astype(np.float16).tobytes(), dtype="float16")
    np.testing.assert_allclose(wire.unpack(half.content, [3, 2, 2]), whole, atol=0.05)


def test_a_problem_registered_again_has_the_same_name(client: httpx2.Client, registered: str) -> None:
    assert register(client) == registered != register(client, words=["bad", "good"])


@pytest.mark.parametrize(
    ("params", "status", "reason"),
    [
        ({"body": b"123"}, 422, "3 bytes are not float32"),
        ({"body": np.full((3, 2, 16), np.nan, np.float32).tobytes()}, 422, "nan or inf"),
        ({"points": 0}, 422, "greater than or equal to 1"),
        ({"points": 10**9}, 422, "less than or equal to 4096"),
        ({"begin": 1, "end": 1}, 422, "are no part of 2 texts"),
        ({"embedding": "0" * 32}, 404, "register it with POST /v1/embeddings"),
        ({"embedding": "../x"}, 422, "should match pattern"),
    ],
)
def test_a_wrong_call_is_refused_with_the_reason(
    client: httpx2.Client, registered: str, params: dict[str, Any], status: int, reason: str
) -> None:
    answer = ask(client, registered, **params)
    assert (answer.status_code, reason in answer.json()["detail"]) == (status, True), answer.text


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"model": "gone"}, "no model of this service named 'gone'"),
        ({"template": "{text}"}, "must hold [MASK] exactly once"),
        ({"prompt_tokens": 64}, "leaves no room for text"),
        ({"texts": [["a"], ["b", "c"]]}, "send one kind"),
        ({"texts": []}, "at least 1 item"),
        ({"texts": [["a\ud800"]]}, "unable to parse raw data as a unicode string"),
        ({"words": ["bad", "bad"]}, "two labels have the label word"),
        ({"shown": [{"texts": ["a"], "word": "bad"}]}, "send as many for each of 2 labels"),
        ({"mode": "prefix"}, "head=causal"),
        ({"path": "/etc/passwd"}, "Extra inputs"),
    ],
)
def test_a_problem_that_fits_no_model_is_refused_with_the_reason(
    client: httpx2.Client, other: dict[str, Any], reason: str
) -> None:
    content = json.dumps({**problem("bert"), **other}).encode()
    answer = client.post("/v1/problems", content=content, headers={"content-type": "application/json"})
    assert (answer.status_code, reason in answer.json()["detail"]) == (422, True), answer.text


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (pickle.dumps(np.zeros(32)), "no recipe"),
        (recipe(projection="/tmp/evil.py"), "not offered"),
        (recipe(projection="pretrained:prompts=/etc/passwd"), "no numbers"),
        (recipe(projection="nothing"), "not offered"),
        (recipe(dim=33), "above the 32 coordinates"),
        (recipe(size=31), "must be 32 finite float64"),
        (recipe(factor=-1), "no recipe"),
        (recipe(shape=[10**9, 10**9]), "must be"),
    ],
)
def test_an_embedding_is_drawn_by_our_own_projections_from_numbers_alone(
    client: httpx2.Client, body: bytes, reason: str
) -> None:
    answer = client.post("/v1/embeddings", content=body)
    assert (answer.status_code, reason in answer.json()["detail"]) == (422, True), answer.text


def test_what_was_registered_longest_ago_is_forgotten_however_small(
    zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "MOST_THINGS", 3)
    running = Running([zoo.folder()], tmp_path / "book")
    client = running.client()
    names = [register(client, texts=[[text], ["film"]]) for text in ("a", "b", "c", "d")]
    assert [client.get(f"/v1/problems/{name}/written").status_code for name in names] == [404, 422, 422, 422]
    running.stop()


def test_a_body_that_was_damaged_on_its_way_is_asked_for_again(client: httpx2.Client, registered: str) -> None:
    whole = {wire.DIGEST: wire.digest(PROMPTS.tobytes()), wire.IDEMPOTENCY: "whole"}
    path, params = f"/v1/problems/{registered}/logits", {"points": 3}
    cut = client.post(path, content=PROMPTS.tobytes()[:-4], params=params, headers=whole)
    assert (cut.status_code, cut.headers["retry-after"]) == (503, "0")
    assert "damaged on its way" in cut.text
    good = client.post(path, content=PROMPTS.tobytes(), params=params, headers=whole)
    assert (good.status_code, good.headers[wire.IDEMPOTENCY]) == (200, "whole")
    assert good.headers[wire.DIGEST] == wire.digest(good.content)


def test_every_answer_bears_its_question_s_name_and_its_digest(client: httpx2.Client) -> None:
    for path, status in (("/healthz", 200), ("/v1/problems/none/written", 422), ("/nowhere", 404)):
        answer = client.get(path, headers={wire.IDEMPOTENCY: "name"})
        assert (answer.status_code, answer.headers[wire.IDEMPOTENCY]) == (status, "name")
        assert answer.headers[wire.DIGEST] == wire.digest(answer.content)


def test_a_call_that_is_sent_again_is_answered_from_the_book_and_billed_once(zoo: Zoo, tmp_path: Path) -> None:
    first = Running([zoo.folder()], tmp_path / "book")
    client = first.client()
    name = register(client)
    once = ask(client, name, call="one")
    again = ask(client, name, call="one")
    assert [answer.headers[wire.BILLED] for answer in (once, again)] == ["1", "0"]
    usage = client.get("/v1/usage").json()
    assert (usage["calls"], usage["points"], usage["examples"]) == (1, 3, 6)
    other = ask(client, name, call="one", body=(2 * PROMPTS).tobytes())
    assert (other.status_code, "take a new one" in other.text) == (422, True)
    first.stop()
    second = Running([zoo.folder()], tmp_path / "book")
    client = second.client()
    assert ask(client, name).status_code == 404
    assert register(client) == name
    kept = ask(client, name, call="one")
    assert (kept.content, kept.headers[wire.BILLED]) == (once.content, "0")
    assert client.get("/v1/usage").json() == usage
    assert ask(client, name).headers[wire.BILLED] == "1"
    second.stop()


def test_a_call_that_comes_again_while_it_is_under_way_is_computed_once(service: Running, registered: str) -> None:
    began, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        began.set()
        go_on.wait(30)

    with ThreadPoolExecutor(3) as pool:
        held = pool.submit(service.house.line._thread.submit(hold).result)
        began.wait(30)
        both = [pool.submit(ask, service.client(), registered, "twice") for _ in range(2)]
        go_on.set()
        answers = [one.result() for one in both]
        held.result()
    assert sorted(answer.headers[wire.BILLED] for answer in answers) == ["0", "1"]
    assert answers[0].content == answers[1].content


def test_without_a_key_nothing_is_answered_and_no_key_sees_what_another_registered(zoo: Zoo, tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    digests = {name: hashlib.sha256(f"key of {name}".encode()).hexdigest() for name in ("ann", "bob")}
    path.write_text("".join(f'[{name}]\nsha256 = "{digest}"\nexamples = 6\n' for name, digest in digests.items()))
    running = Running([zoo.folder()], tmp_path / "book", keys=Keys.read(path))
    for authorization in (b"", b"Bearer", b"Basic guessed", b"Bearer guessed", "Bearer \u00e9".encode()):
        answer = running.client().get("/v1/models", headers={b"authorization": authorization})
        assert answer.status_code == 401
    assert running.client().get("/healthz").status_code == 200
    ann, bob = (running.client(f"key of {name}") for name in ("ann", "bob"))
    name = register(ann)
    assert ask(ann, name).status_code == 200
    assert ask(bob, name).status_code == 404
    assert [one.get("/v1/usage").json()["points"] for one in (ann, bob)] == [3, 0]
    limited = ask(ann, name)
    assert limited.status_code == 429
    assert 1 <= int(limited.headers["retry-after"]) <= 60
    running.stop()


def test_limits_grow_back_evenly_and_a_large_call_is_made_good_before_the_next() -> None:
    now = 0.0
    holder = Holder("ann", Limits(tokens=60, concurrency=1), lambda: now)
    holder.spend(tokens=100)
    with pytest.raises(LimitError, match="60 tokens a minute") as raised:
        holder.spend(tokens=1)
    assert raised.value.after == 41
    now = 41.0
    holder.spend(tokens=1, examples=5)
    holder.begin()
    with pytest.raises(LimitError, match="1 calls are under way"):
        holder.begin()
    holder.end()
    holder.begin()


def test_where_too_much_waits_one_is_told_to_ask_again(zoo: Zoo, tmp_path: Path) -> None:
    running = Running([zoo.folder()], tmp_path / "book", line=Line(0))
    answer = running.client().post("/v1/problems", json=problem("bert"))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert running.client().get("/readyz").status_code == 503
    running.stop()


def test_a_body_that_is_too_large_is_refused_before_it_is_read(zoo: Zoo, tmp_path: Path) -> None:
    running = Running([zoo.folder()], tmp_path / "book", guard=Guard(most_bytes=100))
    whole = running.client().post("/v1/embeddings", content=b"0" * 101)
    chunks = running.client().post("/v1/embeddings", content=iter([b"0" * 60, b"0" * 60]))
    assert [answer.status_code for answer in (whole, chunks)] == [413, 413]
    running.stop()


def test_the_line_serves_keys_in_turns_and_finishes_what_waits() -> None:
    done: list[str] = []

    async def main() -> None:
        line = Line(5)
        for key, work in (("a", "a1"), ("a", "a2"), ("a", "a3"), ("b", "b1")):
            line.put(key, lambda work=work: done.append(work))  # type: ignore[misc]
        line.put("a", lambda: 1 / 0)
        with pytest.raises(FullError):
            line.put("b", lambda: None)
        await line.close()

    asyncio.run(main())
    assert done == ["a1", "b1", "a2", "a3"]


def test_a_line_of_two_lanes_does_two_pieces_at_once_and_finishes_what_waits() -> None:
    both = threading.Barrier(2)

    async def main() -> list[int]:
        line = Line(lanes=2)
        done = [line.put(key, lambda: both.wait(30)) for key in "abab"]
        await line.close()
        return sorted(one.result() for one in done)

    assert asyncio.run(main()) == [0, 0, 1, 1]


def test_a_book_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "book").write_text("these are no tables of sqlite, however long one looks at them")
    with pytest.raises(InputError, match="cannot be used: file is not a database; name another"):
        Book(tmp_path / "book")


def test_others_than_this_machine_are_served_with_keys_only(tmp_path: Path, zoo: Zoo) -> None:
    with pytest.raises(InputError, match="whoever reaches it; name who may ask by --key-file"):
        serve([zoo.folder()], host="0.0.0.0", book=tmp_path / "book")
    with pytest.raises(InputError, match="cannot be read"):
        serve([zoo.folder()], host="0.0.0.0", key_file=tmp_path / "gone", book=tmp_path / "book")
    with pytest.raises(InputError, match="choose another port"):
        serve([zoo.folder()], host="203.0.113.1", port=1, key_file=_keys(tmp_path), book=tmp_path / "book")
    with pytest.raises(InputError, match="neither a folder"):
        serve([str(tmp_path / "gone")], book=tmp_path / "book")


def _keys(tmp_path: Path) -> Path:
    path = tmp_path / "keys.toml"
    path.write_text(f'[ann]\nsha256 = "{"0" * 64}"\n')
    return path


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("", "holds no key"),
        ("[ann", "is no TOML"),
        ('[ann]\nsha256 = "abc"', "ann.sha256: String should match"),
        (f'[ann]\nsha256 = "{"0" * 64}"\nrequests = 0', "greater than or equal to 1"),
        (f'[ann]\nsha256 = "{"0" * 64}"\nsecret = 1', "Extra inputs"),
    ],
)
def test_a_wrong_file_of_keys_is_refused_with_the_place(tmp_path: Path, written: str, reason: str) -> None:
    (tmp_path / "keys").write_text(written)
    with pytest.raises(InputError, match=reason):
        Keys.read(tmp_path / "keys")


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(problem(""))), inner, max_size=4)
    ),
    max_leaves=8,
)


@settings(max_examples=25, deadline=None)
@given(body=st.binary(max_size=64), plain=_json, name=st.sampled_from(sorted(problem(""))), query=st.text(max_size=6))
def test_whatever_comes_is_no_error_of_the_service(
    client: httpx2.Client, registered: str, body: bytes, plain: object, name: str, query: str
) -> None:
    whole = json.dumps({**problem("bert"), name: plain}).encode()
    kind = {"content-type": "application/json"}
    answers = [
        client.post("/v1/problems", content=body, headers=kind),
        client.post("/v1/problems", content=whole, headers=kind),
        client.post("/v1/embeddings", content=body),
        ask(client, registered, body=body, points=len(body) // 128 + 1, begin=query),
        ask(client, registered, body=body, call="x" * len(body)),
    ]
    assert all(answer.status_code < 500 for answer in answers)
