"""Calls that wait at the same time and ask for the same texts: computed as one, answered and billed each by itself."""

import asyncio
import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx2
import numpy as np
import pytest

pytest.importorskip("fastapi", reason="needs the extra service")
pytest.importorskip("prometheus_client", reason="needs the extra service")

from dfo_bench.lm.batching import Batching
from dfo_bench.lm.engine import Engine
from dfo_bench.lm.remote import wire
from dfo_bench.service import line as lines
from dfo_bench.service.keys import Keys
from dfo_bench.service.line import Line, Part
from tests.services import Running, problem
from tests.tiny_lm import Zoo

DIGESTS = {name: hashlib.sha256(f"key of {name}".encode()).hexdigest() for name in ("ann", "bob")}


class Toy(Part):
    """A part that joins all of its kind, and keeps what was computed as one."""

    def __init__(self, name: str, done: list[list[str]], kind: str = "same", fails: bool = False) -> None:
        self.name, self.done, self.kind, self.fails = name, done, kind, fails

    def joins(self, group: Sequence[Part]) -> bool:
        return True

    def compute(self, group: Sequence[Part]) -> None:
        if any(one.fails for one in group if isinstance(one, Toy)):
            raise ValueError("of the whole group")
        self.done.append([one.name for one in group if isinstance(one, Toy)])

    def work(self) -> str:
        if self.fails:
            raise ValueError(self.name)
        return self.name


def in_line(*pieces: tuple[str, Toy]) -> list[Any]:
    """Return the results and errors of pieces that a line is given at once, each with its key."""

    async def main() -> list[Any]:
        line = Line()
        found = [line.put(key, part.work, part) for key, part in pieces]
        results = await asyncio.gather(*found, return_exceptions=True)
        await line.close()
        return results

    return asyncio.run(main())


def test_those_of_a_kind_are_computed_as_one_and_the_rest_keeps_its_turn() -> None:
    done: list[list[str]] = []
    order: list[str] = []

    async def main() -> None:
        line = Line()
        for key, name, kind in (
            ("a", "a1", "x"),
            ("a", "a2", "y"),
            ("a", "a3", "x"),
            ("b", "b1", "y"),
            ("c", "c1", "x"),
        ):
            line.put(key, lambda name=name: order.append(name), Toy(name, done, kind))  # type: ignore[misc]
        await line.close()

    asyncio.run(main())
    assert done == [["a1", "c1", "a3"], ["b1", "a2"]]
    assert order == ["a1", "c1", "a3", "b1", "a2"]


def test_a_group_is_bounded_and_takes_one_of_each_key_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MERGED", 3)
    done: list[list[str]] = []
    names = ("a1", "a2", "a3", "b1", "c1", "c2")
    assert in_line(*((name[0], Toy(name, done)) for name in names)) == list(names)
    assert done == [["a1", "b1", "c1"], ["c2", "a2", "a3"]]


def test_an_error_of_one_fails_no_other() -> None:
    done: list[list[str]] = []
    good, bad, other = in_line(("a", Toy("a1", done)), ("b", Toy("b1", done, fails=True)), ("c", Toy("c1", done)))
    assert (good, str(bad), other) == ("a1", "b1", "c1")
    assert done == []


def test_one_who_is_alone_waits_for_nobody_and_those_answered_together_wait_for_each_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Whoever waited for others in vain would never be answered.
    monkeypatch.setattr(lines, "GATHER_S", 1e9)
    done: list[list[str]] = []

    async def main() -> None:
        line = Line()
        for name in ("a1", "a2"):
            await line.put("a", lambda: None, Toy(name, done))
        both = [line.put(key, lambda: None, Toy(f"{key}3", done)) for key in "ab"]
        await asyncio.gather(*both)
        first = line.put("a", lambda: None, Toy("a4", done))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not first.done()
        # Other work does not wait with it.
        await line.put("c", lambda: None)
        await asyncio.gather(first, return_exceptions=True)
        again = line.put("a", lambda: None, Toy("a5", done))
        await again
        await line.close()

    asyncio.run(main())
    assert done == [["a3", "b3"]]


@pytest.fixture(scope="module")
def service(zoo: Zoo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("merging")
    keys = folder / "keys.toml"
    keys.write_text("".join(f'[{name}]\nsha256 = "{digest}"\n' for name, digest in DIGESTS.items()))
    running = Running([zoo.folder()], folder / "book", keys=Keys.read(keys))
    yield running
    running.stop()


@contextmanager
def held(service: Running) -> Iterator[Callable[[int], None]]:
    """Hold the model, and give what lets it go when so many calls wait."""
    began, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        began.set()
        go_on.wait(30)

    holding = service.house.line._thread.submit(hold)
    began.wait(30)

    def let_go(waiting: int) -> None:
        while len(service.house.under_way) < waiting:
            pass
        go_on.set()

    yield let_go
    go_on.set()
    holding.result()


def ask(client: httpx2.Client, name: str, prompts: Any, call: str) -> httpx2.Response:
    headers = {wire.IDEMPOTENCY: call}
    path = f"/v1/problems/{name}/logits"
    return client.post(path, content=prompts.tobytes(), params={"points": len(prompts)}, headers=headers)


def numbers(answer: httpx2.Response) -> Any:
    assert answer.status_code == 200, answer.text
    shape = [int(one) for one in answer.headers[wire.SHAPE].split(",")]
    return wire.unpack(answer.content, shape)


def test_calls_of_two_keys_are_one_population_with_the_answers_and_bills_of_each(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[int] = []
    plain = Engine.logits

    def spied(self: Engine, prompts: Any, texts: Any) -> Any:
        computed.append(len(prompts))
        return plain(self, prompts, texts)

    monkeypatch.setattr(Engine, "logits", spied)
    clients = [service.client(f"key of {name}") for name in DIGESTS]
    names = [one.post("/v1/problems", json=problem("bert")).json()["problem"] for one in clients]
    rng = np.random.default_rng(0)
    few, many = (rng.standard_normal((n, 2, 16)).astype(np.float32) for n in (1, 20))
    asked = [(clients[0], few, "a"), (clients[1], 2 * few, "b"), (clients[1], many, "c")]
    alone = [numbers(ask(one, names[0], prompts, f"{call}-alone")) for one, prompts, call in asked]
    before = [one.get("/v1/usage").json() for one in clients]
    computed.clear()
    with held(service) as let_go, ThreadPoolExecutor(4) as pool:
        blocked = pool.submit(ask, clients[0], names[0], many, "first")
        answers = [pool.submit(ask, one, names[0], prompts, call) for one, prompts, call in asked]
        let_go(4)
        blocked.result()
        together = [numbers(answer.result()) for answer in answers]
    # One and one as two; what fills its own batches stays alone, to the bit.
    assert sorted(computed) == [2, 20, 20]
    for a, b in zip(together[:2], alone[:2], strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)
    assert together[2].tobytes() == alone[2].tobytes()
    after = [one.get("/v1/usage").json() for one in clients]
    assert [b["points"] - a["points"] for a, b in zip(before, after, strict=True)] == [21, 21]
    assert [b["calls"] - a["calls"] for a, b in zip(before, after, strict=True)] == [2, 2]
    again = ask(clients[0], names[0], few, "a")
    assert (again.headers[wire.BILLED], numbers(again).tobytes()) == ("0", together[0].tobytes())


@pytest.mark.parametrize(
    ("batching", "joined"),
    [
        # A CPU: texts of two lengths, and 20 rows a batch. From five rows on nothing is saved.
        (Batching(20, 5, (1, 1)), [(1, 1), (4, 1)]),
        # Twenty texts of one length fill a batch under one candidate.
        (Batching(20, 5, (20,)), []),
        # An accelerator: as long as it is one batch.
        (Batching(40, 40, (4,)), [(1, 1), (4, 1), (5, 5)]),
    ],
)
def test_work_is_saved_only_where_batches_are_small(batching: Batching, joined: list[tuple[int, int]]) -> None:
    tried = [(1, 1), (4, 1), (5, 5), (10, 10), (20, 20)]
    work = batching.work
    assert [(a, b) for a, b in tried if work(a + b) < work(a) + work(b)] == joined


def test_work_counts_the_rows_of_all_batches() -> None:
    assert Batching(20, 1, (3, 2)).work(4) == 4 * 5
    assert Batching(20, 5, (1, 1)).work(21) == 2 * 10 + 2 * 11
