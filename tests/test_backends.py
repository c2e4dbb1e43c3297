"""Which backend the runs of a sweep have, with a machine that says which it finds the fastest."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dfo_bench
from dfo_bench.errors import InputError
from dfo_bench.exchange.prompts import collect_prompts
from dfo_bench.lm import backends
from dfo_bench.runs.journal import Log
from dfo_bench.runs.spec import RunSpec
from dfo_bench.store.filenames import JOURNAL, PLAN
from dfo_bench.store.plan import read_plan
from dfo_bench.store.store import Store
from dfo_bench.store.verify import verify
from dfo_bench.sweeps.events import Advance, Ended, Event, Listener
from tests.text_runs import planned
from tests.tiny_lm import Zoo


class Machine:
    """Finds one backend the fastest, and notes for how many evaluations it was asked."""

    def __init__(self, fastest: str) -> None:
        self.fastest = fastest
        self.asked: list[int] = []

    def __call__(self, model: object, head: object, mode: object, texts: object, evaluations: int) -> tuple[str, float]:
        self.asked.append(evaluations)
        return self.fastest, 1.0


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine("onednn")
    monkeypatch.setattr(backends, "fastest", machine)
    return machine


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "store")


@pytest.fixture
def spec(store: Store, zoo: Zoo) -> RunSpec:
    return planned(store, zoo.folder("bert"), head="masked")


class Stopping(Listener):
    """Stops as Ctrl-C does, when a run ends or, with `within`, speaks for the first time."""

    def __init__(self, within: bool = False) -> None:
        self._kind = Advance if within else Ended

    def hear(self, event: Event) -> None:
        if isinstance(event, self._kind):
            raise KeyboardInterrupt


def sweep(store: Store, spec: RunSpec, optimizers: tuple[str, ...] = ("random",), **given: Any) -> dict[str, str]:
    """Return the backend by optimizer and seed of all runs in the store."""
    axes: dict[str, Any] = {"tasks": [spec.task], "dim": 5, "budget": 12, "dev_every": 6, "references": False}
    dfo_bench.sweep(optimizers=optimizers, store=store.path, **{"listener": Listener(), **axes, **given})
    summaries = [summary for key in store if (summary := store.summary(key))]
    assert all(summary.status == "finished" for summary in summaries)
    return {f"{summary.spec.optimizer.name} {summary.spec.seed}": summary.spec.backend for summary in summaries}


def test_a_sweep_measures_a_task_once_and_every_run_keeps_what_came_out(
    store: Store, spec: RunSpec, machine: Machine
) -> None:
    found = sweep(store, spec, ("random", "start"), seeds=[0, 1])
    assert found == dict.fromkeys(["random 0", "random 1", "start 0", "start 1"], "onednn")
    assert machine.asked == [12 + 12 + 1 + 1]
    assert [made.provenance and made.provenance.backend for made in store.made_with()] == ["onednn"] * 4
    assert set(store.runs()["backend"]) == {"onednn"}
    assert not store.runs()["task"].str.contains("backend").any()


def test_a_sweep_that_goes_on_keeps_the_backend_of_its_header_and_its_plan(
    store: Store, spec: RunSpec, machine: Machine
) -> None:
    with pytest.raises(KeyboardInterrupt):
        sweep(store, spec, ("random", "cma"), listener=Stopping(within=True))
    assert [run.spec.backend for run in read_plan(store.path)] == ["onednn"] * 2
    (journal,) = store.path.glob(f"*/{JOURNAL}")
    header = Log.read(journal).header
    assert header
    assert header.spec.backend == "onednn"
    machine.fastest = "torch"
    assert sweep(store, spec, ("random", "cma")) == {"random 0": "onednn", "cma 0": "onednn"}
    assert len(machine.asked) == 1


def test_a_run_that_goes_on_is_to_the_bit_what_it_would_have_been(
    store: Store, spec: RunSpec, machine: Machine, tmp_path: Path
) -> None:
    class After(Listener):
        def hear(self, event: Event) -> None:
            if isinstance(event, Advance) and event.evaluations >= 6:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(store, spec, ("cma:popsize=6",), listener=After())
    machine.fastest = "torch"
    sweep(store, spec, ("cma:popsize=6",))
    whole = Store.create(tmp_path / "whole")
    machine.fastest = "onednn"
    sweep(whole, spec, ("cma:popsize=6",))
    assert np.array_equal(store.curves()["loss"], whole.curves()["loss"])


def test_what_is_compared_with_a_stored_run_computes_as_it_did(store: Store, spec: RunSpec, machine: Machine) -> None:
    sweep(store, spec)
    machine.fastest = "torch"
    assert sweep(store, spec, ("cma",)) == {"random 0": "onednn", "cma 0": "onednn"}
    # Another seed is compared with none of them.
    assert sweep(store, spec, ("cma",), seeds=[1])["cma 1"] == "torch"


def test_a_backend_that_is_named_is_taken(store: Store, spec: RunSpec, machine: Machine) -> None:
    assert sweep(store, spec.on("torch")) == {"random 0": "torch"}
    assert sweep(store, spec, ("cma",)) == {"random 0": "torch", "cma 0": "torch"}
    assert sweep(store, spec.on("onednn"), ("start",))["start 0"] == "onednn"
    assert not machine.asked


def test_a_run_from_before_there_was_a_choice_is_gone_on_with_by_torch(
    store: Store, spec: RunSpec, machine: Machine
) -> None:
    with pytest.raises(KeyboardInterrupt):
        sweep(store, spec, listener=Stopping(within=True))
    (journal,) = store.path.glob(f"*/{JOURNAL}")
    lines = journal.read_text().splitlines(keepends=True)
    assert "backend=onednn" in lines[0]
    plain = json.loads(lines[0].replace("backend=onednn,", ""))
    journal.write_text(json.dumps(plain) + "\n" + "".join(lines[1:]))
    (store.path / PLAN).unlink(missing_ok=True)
    sweep(store, spec)
    assert set(store.runs()["backend"]) == {"torch"}


def test_a_task_without_a_backend_has_none(tmp_path: Path, toys: Path) -> None:
    runs = dfo_bench.sweep(
        tasks=["toy"], optimizers=["random"], dim=3, budget=5, store=tmp_path / "store", listener=Listener()
    ).runs()
    assert runs["backend"].tolist() == [""]


def test_runs_are_verified_by_their_own_backend(store: Store, spec: RunSpec, machine: Machine) -> None:
    machine.fastest = "openvino"
    sweep(store, spec)
    (verdict,) = verify(store)
    assert verdict.agrees, verdict.problems
    assert verdict.difference < 1e-7


def test_prompts_are_exported_where_the_backend_of_their_runs_is_not(
    store: Store, spec: RunSpec, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.fastest = "openvino"
    sweep(store, spec)
    monkeypatch.setitem(sys.modules, "openvino", None)
    (prompt,), _ = collect_prompts(store)
    assert prompt.values.shape == (3, 16)


def test_a_backend_that_is_not_installed_is_refused_with_a_remedy(
    store: Store, spec: RunSpec, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(InputError, match=r"pip install 'dfo-bench\[openvino\]', or pass backend=torch"):
        sweep(store, spec.on("openvino"))
