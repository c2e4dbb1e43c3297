"""A service whose models stand in replicas on a Ray cluster: the same answers, each billed once, whatever dies."""

import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pandas as pd
import pytest

pytest.importorskip("fastapi", reason="needs the extra service")
pytest.importorskip("prometheus_client", reason="needs the extra service")

import dfo_bench
from dfo_bench.errors import InputError
from dfo_bench.lm.remote import wire
from dfo_bench.service.desk import Asked, Desk, find_models
from dfo_bench.service.scale import Scale
from dfo_bench.service.serve import serve
from dfo_bench.sweeps.events import Listener
from tests.rays import quiet_ray
from tests.services import Running, problem
from tests.tiny_lm import Zoo, reviews, write

EXACT = ["key", "evaluation", "loss", "best", "digest"]


@pytest.fixture(scope="module")
def service(zoo: Zoo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Start a cluster, two replicas of a model on it, and a service before them."""
    pytest.importorskip("grpc_reflection", reason="needs the extra ray")
    with quiet_ray(tmp_path_factory.mktemp("cache")):
        import ray

        from dfo_bench.service.fleet import fleet

        ray.init("local", num_cpus=2, object_store_memory=100 * 2**20, include_dashboard=False, log_to_driver=False)
        try:
            with fleet(find_models([zoo.folder()]), Scale.parse("2"), "test", alone=False) as desk:
                running = Running(desk, tmp_path_factory.mktemp("service") / "book")
                yield running
                running.stop()
        finally:
            ray.shutdown()


def _replicas() -> list[Any]:
    """Return the replicas, as actors of Ray."""
    import ray

    names = [one["name"] for one in ray.util.list_named_actors(all_namespaces=True)]
    return [ray.get_actor(name, namespace="serve") for name in names if name.startswith("SERVE_REPLICA")]


def _pid(replica: Any) -> int:
    import ray

    return int(ray.get(replica.__ray_call__.remote(lambda self: os.getpid())))


def _ask(client: httpx2.Client, name: str, prompts: Any, call: str) -> httpx2.Response:
    path = f"/v1/problems/{name}/logits"
    answer = client.post(
        path, content=prompts.tobytes(), params={"points": len(prompts)}, headers={wire.IDEMPOTENCY: call}
    )
    assert answer.status_code == 200, answer.text
    return answer


def _points(client: httpx2.Client) -> int:
    return int(client.get("/v1/usage").json()["points"])


def test_two_replicas_answer_as_the_model_in_this_process_to_the_bit(service: Running, zoo: Zoo) -> None:
    client = service.client()
    body = problem("bert")
    name = client.post("/v1/problems", json=body).json()["problem"]
    # As many as fill their batches: they are computed alone.
    prompts = np.random.default_rng(0).standard_normal((8, 20, 2, 16)).astype(np.float32)
    desk = Desk(find_models([zoo.folder()]))
    desk.register("here", wire.ProblemBody(**body))
    here = [desk.logits(Asked("here", name, 0, 2), some, None)[0]() for some in prompts]
    before = _points(client)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda i: _ask(service.client(), name, prompts[i], f"call-{i}"), range(8)))
    assert [answer.content for answer in answers] == [wire.pack(one) for one in here]
    assert _points(client) - before == 160
    again = _ask(client, name, prompts[0], "call-0")
    assert (again.headers[wire.BILLED], again.content) == ("0", answers[0].content)
    assert _points(client) - before == 160
    refused = client.post("/v1/problems", json=problem("bert", prompt_tokens=64))
    assert (refused.status_code, "leaves no room for text" in refused.json()["detail"]) == (422, True)
    assert client.get("/readyz").json() == {"waiting": 0, "replicas": 2}
    assert "dfo_bench_replicas 2.0" in client.get("/metrics").text


def test_a_replica_that_dies_in_the_middle_of_a_run_loses_nothing_and_nothing_is_billed_twice(
    service: Running, zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    texts = {name: write(tmp_path / f"{name}.jsonl", reviews(20)) for name in ("train", "test")}
    task = f"text:train={texts['train']},test={texts['test']},model={zoo.folder('bert')},head=masked,shots=2"
    # Whole prompts go up, in the numbers that the model gets here.
    axes: dict[str, Any] = {"optimizers": ["random"], "projections": ["identity"], "budget": 40, "references": False}
    axes |= {"dev_every": 20, "listener": Listener()}
    here = dfo_bench.sweep(tasks=[task], **axes, store=tmp_path / "here")
    client = service.client()
    before = _points(client)
    axes["tasks"] = [f"{task},service={service.url}"]
    entered: list[str] = []

    def kill(key: str, call: str, *entry: Any) -> None:
        entered.append(call)
        if len(entered) == 3:
            ray.kill(_replicas()[0])
        enter(key, call, *entry)

    enter = service.house.book.enter
    monkeypatch.setattr(service.house.book, "enter", kill)
    there = dfo_bench.sweep(**axes, store=tmp_path / "there")
    assert len(set(entered)) == len(entered) > 3
    pd.testing.assert_frame_equal(there.curves()[EXACT], here.curves()[EXACT], check_exact=True)
    pd.testing.assert_frame_equal(there.measures(), here.measures(), check_exact=True)
    billed = _points(client) - before
    assert billed >= 40
    again = dfo_bench.sweep(**axes, store=tmp_path / "again")
    pd.testing.assert_frame_equal(again.curves()[EXACT], here.curves()[EXACT], check_exact=True)
    assert _points(client) - before == billed


def test_a_call_whose_replica_dies_is_computed_by_another_that_never_saw_its_problem(service: Running) -> None:
    client = service.client()
    name = client.post("/v1/problems", json=problem("bert", texts=[["a"], ["film"]])).json()["problem"]
    prompts = np.ones((20, 2, 16), np.float32)
    whole = _ask(client, name, prompts, "whole").content
    before = _points(client)
    pids = [_pid(replica) for replica in _replicas()]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(_ask, service.client(), name, prompts, "stopped")
        while not service.house.under_way:
            pass
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        assert asked.result().content == whole
    assert _points(client) - before == 20


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"ray": True, "replicas": "4-2"}, "replicas '4-2': write how many"),
        ({"ray": True, "replicas": "0"}, "replicas '0': write how many"),
        ({"ray": True, "replicas": "many"}, "replicas 'many': write how many"),
        ({"ray": True, "replica_cpus": 0}, "a core at least, got replica_cpus 0"),
        ({"ray": True, "replica_gpus": 1.5}, "whole GPUs or a part of one, got replica_gpus 1.5"),
        ({"replicas": "2"}, "are for a cluster of Ray; add --ray"),
    ],
)
def test_replicas_that_cannot_be_are_refused(given: dict[str, Any], reason: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=reason):
        serve([], book=tmp_path / "book", **given)
    assert not (tmp_path / "book").exists()


def test_the_ray_client_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "ray://here:10001")
    with pytest.raises(InputError, match=r"RAY_ADDRESS=ray://here:10001 is that of the Ray Client.*start it on one of"):
        serve([], ray=True, book=tmp_path / "book")


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        ("ray", "needs Ray, and ray is missing; pip install"),
        ("ray.serve.config", "--ray needs ray.serve.config; pip install"),
    ],
)
def test_ray_that_is_not_installed_is_named_with_the_remedy(
    module: str, reason: str, zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    if module != "ray":
        monkeypatch.delitem(sys.modules, "dfo_bench.service.fleet", raising=False)
        monkeypatch.setattr("dfo_bench.sweeps.cluster.connect.connected", lambda cluster: nullcontext(True))
    with pytest.raises(InputError, match=reason):
        serve([zoo.folder()], port=0, ray=True, book=tmp_path / "book")


def test_replicas_fill_the_room_that_nodes_have() -> None:
    nodes = [
        {"Alive": True, "Resources": {"CPU": 8.0, "GPU": 1.0}},
        {"Alive": True, "Resources": {"CPU": 5.0}},
        {"Alive": False, "Resources": {"CPU": 64.0}},
    ]
    assert Scale(cpus=2, gpus=0).fit(nodes) == (Scale(1, 6, 2, 0), 6)
    assert Scale(cpus=2, gpus=0.5).fit(nodes) == (Scale(1, 2, 2, 0.5), 2)
    assert Scale().fit(nodes) == (Scale(1, 1, 1, 1.0), 1)
    assert Scale.parse("2-4").fit(nodes[1:]) == (Scale(2, 4, 1, 0.0), 5)
