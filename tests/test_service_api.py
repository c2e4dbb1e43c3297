"""The paths of the service under whatever their own description allows, and what it does not, from two keys."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

pytest.importorskip("fastapi", reason="needs the extra service")
pytest.importorskip("prometheus_client", reason="needs the extra service")

import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dfo_bench.lm.remote import wire
from dfo_bench.service.keys import Keys
from tests.services import Running, problem
from tests.tiny_lm import Zoo

SECRET = "zyzzyva"
"""In the texts of one key, and never in an answer to another."""


@dataclass
class House:
    """A service with two keys, and what the first has there."""

    running: Running
    problem: str
    call: str


@pytest.fixture(scope="module")
def house(zoo: Zoo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("api")
    digests = {name: hashlib.sha256(f"key of {name}".encode()).hexdigest() for name in ("ann", "bob")}
    (folder / "keys").write_text("".join(f'[{name}]\nsha256 = "{digest}"\n' for name, digest in digests.items()))
    running = Running([zoo.folder()], folder / "book", keys=Keys.read(folder / "keys"))
    ann = running.client("key of ann")
    texts = [[f"the film was {SECRET}"], ["a great film"]]
    name = ann.post("/v1/problems", json=problem("bert", texts=texts)).json()["problem"]
    answer = ann.post(f"/v1/problems/{name}/features", headers={wire.IDEMPOTENCY: "a-call"})
    assert answer.status_code == 200
    yield House(running, name, "a-call")
    running.stop()


@pytest.fixture(scope="module")
def described(house: House) -> Any:
    return schemathesis.openapi.from_url(f"{house.running.url}/openapi.json")


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_question_is_an_error_of_the_service_or_shows_what_is_another_key_s(
    described: Any, house: House, data: st.DataObject
) -> None:
    case = data.draw(described.as_strategy())
    if len(str((case.path_parameters or {}).get("problem", ""))) == 32:
        case.path_parameters["problem"] = house.problem
    for name in ("ann", "bob"):
        answer = case.call(headers={"authorization": f"Bearer key of {name}", wire.IDEMPOTENCY: house.call})
        assert answer.status_code != 500, answer.text
        if name == "bob":
            assert SECRET not in answer.text
            assert "{problem}" not in case.path or answer.status_code != 200
    assert httpx2.get(f"{house.running.url}/healthz").status_code == 200
