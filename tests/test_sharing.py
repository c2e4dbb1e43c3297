"""One copy of the models for all workers of a sweep: the runs, and the end of the service that has them."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="needs the extra service")
pytest.importorskip("prometheus_client", reason="needs the extra service")
pytest.importorskip("tenacity", reason="needs the extra service")

import dfo_bench
from dfo_bench.core import InputError
from dfo_bench.lm.asked import SHARED, shared
from dfo_bench.store.store import Store
from dfo_bench.sweeps.events import Listener
from dfo_bench.sweeps.request import SweepRequest
from dfo_bench.sweeps.sharing import sharing
from tests import text_runs
from tests.tiny_lm import Zoo


@pytest.fixture
def task(store: Store, zoo: Zoo) -> Any:
    return text_runs.planned(store, zoo.folder(), backend="torch").task


def request(*tasks: Any, **other: Any) -> SweepRequest:
    return SweepRequest(**{"tasks": tasks, "optimizers": ["random"], "share_model": True, **other})


def test_the_store_is_that_of_runs_with_a_model_each(task: Any, tmp_path: Path) -> None:
    ways: dict[str, dict[str, Any]] = {"own": {}, "shared": {"workers": 2, "share_model": True}}
    stores = [
        dfo_bench.sweep(
            tasks=[task],
            optimizers=["random"],
            references=False,
            dim=5,
            budget=8,
            store=tmp_path / name,
            listener=Listener(),
            **how,
        )
        for name, how in ways.items()
    ]
    own, together = (one.runs().set_index("key").sort_index() for one in stores)
    assert list(own.index) == list(together.index)
    assert set(together["status"]) == {"finished"}
    same = ["optimizer", "task", "seed", "evaluations", "tokens", "bytes_up_z", "bytes_down", "data"]
    assert own[same].equals(together[same])
    for column in ("best_loss", "dev_loss", "test_loss"):
        np.testing.assert_allclose(own[column], together[column], atol=1e-4)
    # Asked they have been; of an address that is gone by now nothing is kept.
    assert (together["sent_up"] > 0).all()
    (kept,) = (stores[1].summary(key) for key in stores[1])
    assert kept
    assert kept.spec.task.params["service"] == shared() == ""


def fake(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> Path:
    """Put a shell script in the place of Python as it starts a service; return the file for its process id."""
    program = folder / "python"
    program.write_text(f"#!/bin/sh\necho $$ > {folder / 'pid'}\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    return folder / "pid"


LISTENS = "echo serving at http://127.0.0.1:1\nexec sleep 600"


def test_ctrl_c_ends_the_service(task: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = fake(tmp_path, monkeypatch, LISTENS)

    def interrupted() -> None:
        with sharing(request(task)):
            assert shared() == "http://127.0.0.1:1"
            # The signal goes to the group of the terminal, which the service is no part of.
            assert os.getpgid(int(pid.read_text())) != os.getpgid(0)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
    assert SHARED not in os.environ


@pytest.mark.skipif(sys.platform != "linux", reason="needs prctl")
def test_the_service_ends_when_the_process_of_the_sweep_is_killed(tmp_path: Path, monkeypatch: Any) -> None:
    python = sys.executable
    pid = fake(tmp_path, monkeypatch, LISTENS)
    program = (
        "import sys; from dfo_bench.sweeps.sharing import _service\n"
        f"sys.executable = {sys.executable!r}\n"
        "with _service([]) as url: print(url, flush=True); input()"
    )
    with subprocess.Popen([python, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        assert parent.stdout.readline() == "http://127.0.0.1:1\n"
        parent.send_signal(signal.SIGKILL)
    # Whoever inherits it may not have taken note of its end: then it is there, as a zombie.
    status = Path(f"/proc/{pid.read_text().strip()}/stat")
    while status.exists() and status.read_text().split()[2] != "Z":
        os.sched_yield()


def test_a_service_that_does_not_start_is_refused_with_what_it_said(
    task: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = "serve needs fastapi; pip install 'dfo-bench[service]'"
    fake(tmp_path, monkeypatch, f'echo "dfo-bench: {missing}" >&2\nexit 2')
    with (
        pytest.raises(InputError, match=r"ended with exit code 2: serve needs fastapi; pip install"),
        sharing(request(task)),
    ):
        pass


@pytest.mark.parametrize(
    ("params", "optimizer", "reason"),
    [
        ({"service": "http://127.0.0.1:1"}, "random", r"has service=http://127.0.0.1:1; leave out service=, or share"),
        ({"engine": "vllm"}, "random", "has engine=vllm; leave out engine=, or share_model"),
        ({}, "adam", "adam sees gradients, which no service gives; leave it out, or share_model"),
        ({}, "model_tuning", "model_tuning sees weights, which no service gives"),
    ],
)
def test_what_cannot_be_shared_is_refused(task: Any, params: dict[str, Any], optimizer: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason), sharing(request(task.replace(**params), optimizers=[optimizer])):
        pass


def test_a_sweep_without_texts_has_nothing_to_share() -> None:
    with (
        pytest.raises(InputError, match="is for text tasks, and the sweep has none among sphere"),
        sharing(request("sphere")),
    ):
        pass


def test_a_cluster_has_other_machines() -> None:
    with pytest.raises(InputError, match="share_model is for the workers of one machine"):
        request("helpdesk", cluster="ray")


def test_what_a_service_cannot_do_names_what_was_written(
    task: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(tmp_path, monkeypatch, LISTENS)
    with pytest.raises(InputError, match="shows none; leave out share_model, and pass model=FOLDER"):
        dfo_bench.estimate(request(task.replace(mode="words"), references=False, store=tmp_path / "store"))
