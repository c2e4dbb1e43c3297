"""A service behind a middle box that does harm: what is answered, and billed, is as if it did none."""

from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="needs the extra service")
pytest.importorskip("prometheus_client", reason="needs the extra service")
pytest.importorskip("tenacity", reason="needs the extra service")

from tenacity import wait_none

from dfo_bench.lm.remote import client as clients
from dfo_bench.runs.assembly import assemble
from dfo_bench.runs.outage import Patience
from dfo_bench.store.store import Store
from tests import text_runs
from tests.proxies import BUSY, HARMS, LIMITED, Harm, Message, Proxy
from tests.services import Running
from tests.tiny_lm import Zoo

_Result = TypeVar("_Result")

ALL = {**HARMS, "busy": BUSY, "limited": LIMITED}
del ALL["delay"]


@pytest.fixture(scope="module")
def service(zoo: Zoo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running([zoo.folder()], tmp_path_factory.mktemp("harm") / "book")
    yield running
    running.stop()


def patiently(call: Callable[[], _Result]) -> _Result:
    """Ask as a run does, and as whoever starts it again does, without the pauses."""
    return Patience(60.0, sleep=lambda seconds: None).ask(call)


def once(harm: Harm) -> Callable[[Message], Harm | None]:
    """Return what does harm to every question the first time it is asked."""
    asked: set[tuple[bytes, bytes]] = set()

    def draw(request: Message) -> Harm | None:
        question = request.head[0], request.body
        if question in asked:
            return None
        asked.add(question)
        return harm

    return draw


@pytest.mark.parametrize("name", ALL)
def test_harm_on_the_way_changes_no_answer_and_no_bill(
    store: Store, zoo: Zoo, service: Running, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(clients, "_PAUSES", wait_none())
    monkeypatch.setattr(clients, "_after", lambda answer: 0.0)
    proxy = Proxy(service.port, once(ALL[name]), seed=0)
    z = np.random.default_rng(list(ALL).index(name)).standard_normal((4, 5))
    before = service.house.book.usage("local")
    harmed = patiently(lambda: assemble(text_runs.planned(store, zoo.folder(), service=proxy.url)))
    losses = patiently(lambda: harmed.task.evaluate(harmed.embed(0).lift(z)))
    measured = patiently(lambda: harmed.task.measure(harmed.embed(0).lift(z[:1]), "dev"))
    after = service.house.book.usage("local")
    local = assemble(text_runs.planned(store, zoo.folder()))
    np.testing.assert_allclose(losses, local.task.evaluate(local.embed(0).lift(z)), rtol=0, atol=1e-5)
    assert measured[0] == pytest.approx(local.task.measure(local.embed(0).lift(z[:1]), "dev")[0], abs=1e-5)
    assert (after.calls - before.calls, after.points - before.points) == (2, 5)
    assert 'status="500"' not in service.client().get("/metrics").text
