import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

import dfo_bench
from dfo_bench.errors import InputError
from dfo_bench.runs.assembly import assemble
from dfo_bench.runs.header import PlannedRun
from dfo_bench.store.store import Store
from dfo_bench.sweeps.cluster.freight import Freight, unpack
from dfo_bench.sweeps.cluster.mirror import Mirror
from dfo_bench.sweeps.cluster.node import Piece, Results, Slot
from dfo_bench.sweeps.events import Ended, Event, Listener
from tests import toys as toy_plugins
from tests.rays import quiet_ray
from tests.tiny_lm import Zoo, reviews, write

EXACT = ["key", "evaluation", "loss", "best", "digest"]


@pytest.fixture(scope="module")
def client_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@pytest.fixture(scope="module")
def cluster(client_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Start a cluster of two nodes of one core each, and connect this process to it."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'dfo-bench[ray]'")
    with quiet_ray(tmp_path_factory.mktemp("cache")):
        import ray
        from ray.cluster_utils import Cluster

        small = {"num_cpus": 1, "object_store_memory": 100 * 2**20, "include_dashboard": False}
        nodes = Cluster(initialize_head=True, head_node_args={**small, "ray_client_server_port": client_port})
        try:
            del small["include_dashboard"]
            nodes.second = nodes.add_node(**small)
            ray.init(nodes.address, log_to_driver=False)
            yield nodes
        finally:
            ray.shutdown()
            nodes.shutdown()


@pytest.fixture
def toy(tmp_path: Path) -> str:
    """Return the path of a plugin's file, a task of losses, outputs, dev and test."""
    path = tmp_path / "toy.py"
    path.write_text(toy_plugins.SOURCE)
    return str(path)


def _same(one: Store, other: Store) -> None:
    assert set(one.runs()["status"]) == {"finished"}
    pd.testing.assert_frame_equal(one.curves()[EXACT], other.curves()[EXACT], check_exact=True)
    pd.testing.assert_frame_equal(one.measures(), other.measures(), check_exact=True)
    assert [one.runs()[name].tolist() for name in ("task", "optimizer")] == [
        other.runs()[name].tolist() for name in ("task", "optimizer")
    ]


def test_a_cluster_makes_the_runs_of_local_workers_to_the_bit(cluster: Any, toy: str, tmp_path: Path, zoo: Zoo) -> None:
    texts = {name: write(tmp_path / f"{name}.jsonl", reviews(20)) for name in ("train", "test")}
    task = f"text:train={texts['train']},test={texts['test']},model={zoo.folder('bert')},head=masked,shots=2"
    axes: dict[str, Any] = {"tasks": [toy, task], "optimizers": ["prox_linear"], "dim": 3, "budget": 20}
    axes |= {"references": False, "listener": Listener()}
    # One process: each takes seconds to import what models need.
    there = dfo_bench.sweep(**axes, store=tmp_path / "there", cluster="ray", workers=1)
    here = dfo_bench.sweep(**axes, store=tmp_path / "here")
    _same(there, here)
    # The model, two files of texts, and the plugin.
    parcels = [path for path in (Path(os.environ["DFO_BENCH_CACHE"]) / "cluster").iterdir() if path.is_dir()]
    assert len(parcels) == 4


def test_a_parcel_is_unpacked_once_a_node_for_all_runs_that_name_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DFO_BENCH_CACHE", str(tmp_path / "cache"))
    got: list[bytes] = []

    def get(data: bytes) -> bytes:
        got.append(data)
        return data

    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(get=get))
    (tmp_path / "plugin.py").write_text(toy_plugins.SOURCE)
    (tmp_path / "_beside.py").write_text("")
    (tmp_path / "other.py").write_text("")
    freight = Freight(bytes)
    specs = [toy_plugins.planned(f"{tmp_path}/plugin.py:dim={dim}", "random", budget=20) for dim in (3, 4)]
    moved = [unpack(spec, freight.of(spec)) for spec in specs]
    assert got == [b"", toy_plugins.SOURCE.encode()]
    assert moved[0].task.name == moved[1].task.name
    assert Path(moved[0].task.name).is_relative_to(tmp_path / "cache" / "cluster")
    assert moved[1].task.params == {"dim": 4}


class Killing(Listener):
    """Does something, once, when a run has spent some evaluations; remembers how runs ended."""

    def __init__(self, after: int, kill: Any) -> None:
        self.after, self.kill, self.killed = after, kill, False
        self.ended: list[Ended] = []

    def hear(self, event: Event) -> None:
        if isinstance(event, Ended):
            self.ended.append(event)
        elif event.evaluations >= self.after and not self.killed:
            self.killed = True
            self.kill()


def test_a_node_that_is_lost_costs_the_batches_in_flight(cluster: Any, toy: str, tmp_path: Path) -> None:
    def lose() -> None:
        cluster.remove_node(cluster.second, allow_graceful=False)

    listener = Killing(15, lose)
    axes: dict[str, Any] = {"optimizers": ["random"], "dim": 3, "budget": 60, "seeds": [0, 1]}
    log = tmp_path / "log"
    slow = f"{toy}:pause=0.3,log={log}"
    there = dfo_bench.sweep(**axes, tasks=[slow], store=tmp_path / "there", cluster="ray", listener=listener)
    assert listener.killed
    assert [event.failed for event in listener.ended] == [False, False]
    _same(there, dfo_bench.sweep(**axes, tasks=[slow], store=tmp_path / "here", listener=Listener()))
    cluster.second = cluster.add_node(num_cpus=1, object_store_memory=100 * 2**20)


def test_a_driver_that_is_killed_loses_nothing_that_it_wrote(
    cluster: Any, client_port: int, toy: str, tmp_path: Path
) -> None:
    axes = ["-t", f"{toy}:pause=0.2", "-o", "random", "-d", "3", "-b", "60", "--store", str(tmp_path / "there")]
    command = [sys.executable, "-c", "from dfo_bench.cli import main; main()", "sweep", *axes]
    driver = subprocess.Popen([*command, "--cluster", f"ray://127.0.0.1:{client_port}"])
    journals = tmp_path / "there"
    while sum(path.stat().st_size for path in journals.glob("*/journal.jsonl")) < 1500:
        with suppress(subprocess.TimeoutExpired):
            raise AssertionError(f"ended with {driver.wait(0.1)}")
    driver.send_signal(signal.SIGKILL)
    assert driver.wait() == -signal.SIGKILL
    before = Store(tmp_path / "there").curves()[EXACT]
    given: dict[str, Any] = {"tasks": [f"{toy}:pause=0.2"], "optimizers": ["random"], "dim": 3, "budget": 60}
    there = dfo_bench.sweep(**given, store=tmp_path / "there", cluster="ray", listener=Listener())
    assert there.runs()["attempts"].tolist() == [2]
    pd.testing.assert_frame_equal(there.curves()[EXACT][: len(before)], before, check_exact=True)
    _same(there, dfo_bench.sweep(**given, store=tmp_path / "here", listener=Listener()))


def test_a_run_that_kills_its_process_as_often_as_is_borne_fails(
    cluster: Any, toy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dfo_bench.sweeps.cluster.driver.MOST_DEATHS", 1)
    listener = Killing(100, None)
    dfo_bench.sweep(
        tasks=[f"{toy}:fail=die"],
        optimizers=["random"],
        dim=3,
        budget=20,
        store=tmp_path / "store",
        cluster="ray",
        listener=listener,
    )
    (ended,) = listener.ended
    assert ended.failed
    assert "died 1 times at the same place" in ended.error


def _planned(optimizer: str) -> PlannedRun:
    assembly = assemble(toy_plugins.planned("toy", optimizer, dim=3, budget=20))
    return PlannedRun(assembly.key, assembly.spec, assembly.shown())


def _make(run: PlannedRun, store: Path, lost_after: int = 10**9) -> int:
    """Make a run as on a node; after some pieces the driver does not get any more. Return how many it was told."""
    slot, pieces = Slot(), 0
    with Mirror(store / run.key) as mirror:
        node = threading.Thread(target=slot.run, args=(run, mirror.files(), {}))
        node.start()
        while node.is_alive() or pieces == 0:
            for message in slot.hear():
                pieces += isinstance(message, Piece)
                if pieces > lost_after:
                    continue
                if isinstance(message, Piece):
                    mirror.write(message)
                elif isinstance(message, Results):
                    mirror.end(message.files)
                if isinstance(message, Results):
                    node.join()
    return pieces


def test_wherever_a_node_is_lost_its_run_goes_on_as_if_it_was_not(toys: Path, tmp_path: Path) -> None:
    """The optimizer is told outputs, too, which stand in a file of their own."""
    run = _planned("prox_linear")
    dfo_bench.sweep(
        tasks=["toy"], optimizers=["prox_linear"], dim=3, budget=20, store=tmp_path / "whole", listener=Listener()
    )
    whole = Store(tmp_path / "whole").summary(run.key)
    pieces = _make(run, Store.create(tmp_path / "calm").path)
    assert pieces > 5
    for lost_after in range(pieces):
        store = Store.create(tmp_path / str(lost_after))
        _make(run, store.path, lost_after)
        assert store.summary(run.key) is None
        _make(run, store.path)
        summary = store.summary(run.key)
        assert summary
        assert whole
        assert (summary.incumbent, summary.measurements[0].metrics) == (whole.incumbent, whole.measurements[0].metrics)
        assert store.curves()[EXACT].equals(Store(tmp_path / "whole").curves()[EXACT])
        assert {path.name for path in (store.path / run.key).iterdir()} == {"curve.parquet", "summary.json"}


def test_a_journal_that_its_node_cannot_go_on_with_is_set_aside(toys: Path, tmp_path: Path) -> None:
    run, store = _planned("random"), Store.create(tmp_path / "store")
    _make(run, store.path, lost_after=3)
    journal = store.path / run.key / "journal.jsonl"
    other = journal.read_text().replace('"digests": "', '"digests": "0')
    journal.write_text(other)
    _make(run, store.path)
    summary = store.summary(run.key)
    assert summary
    assert summary.discarded
    assert (store.path / run.key / "journal.1.jsonl").read_text().startswith(other)


@pytest.mark.parametrize("written", ["slurm", "ray://", "ray://here", "http://here:10001", "ray://here:10001/x", ""])
def test_what_names_no_cluster_is_refused(written: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is neither ray, .*, nor ray://HOST:PORT"):
        dfo_bench.sweep(tasks=["sphere"], optimizers=["random"], store=tmp_path / "store", cluster=written)


def test_an_address_that_does_not_answer_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'dfo-bench[ray]'")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(InputError, match=r"nobody answers at ray://127.0.0.1:1: .*; start the cluster"):
        dfo_bench.sweep(
            tasks=["sphere"], optimizers=["random"], budget=10, store=tmp_path / "store", cluster="ray://127.0.0.1:1"
        )
    assert not (tmp_path / "store").exists()


def test_an_address_in_the_environment_that_does_not_answer_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'dfo-bench[ray]'")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(InputError, match=r"nobody answers at 127.0.0.1:1: .*; the port is the head's, 6379 unless"):
        dfo_bench.sweep(tasks=["sphere"], optimizers=["random"], budget=10, store=tmp_path / "store", cluster="ray")


def test_ray_that_is_not_installed_is_named_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"needs Ray, and ray is missing; pip install 'dfo-bench\[ray\]'"):
        dfo_bench.sweep(tasks=["sphere"], optimizers=["random"], budget=10, store=tmp_path / "store", cluster="ray")


@pytest.mark.parametrize(
    ("here", "words"),
    [
        (("3.99", "0", ""), "has Python 3.*, and here is 3.99; install the same"),
        ((f"3.{sys.version_info[1]}", "0.0.9", ""), f"has dfo-bench {dfo_bench.__version__}, and here is 0.0.9"),
        ((f"3.{sys.version_info[1]}", dfo_bench.__version__, "of digest 0"), "has sources of dfo-bench of digest"),
    ],
)
def test_a_cluster_of_other_versions_is_refused(
    cluster: Any, here: tuple[str, str, str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dfo_bench.sweeps.cluster.connect._here", lambda: here)
    with pytest.raises(InputError, match=words):
        dfo_bench.sweep(tasks=["sphere"], optimizers=["random"], budget=10, store=tmp_path / "store", cluster="ray")
    assert not (tmp_path / "store").exists()
