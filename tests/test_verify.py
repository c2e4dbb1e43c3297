"""A curve is verified by evaluating its points again, and a published store by the digests of its files."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dfo_bench.errors import InputError
from dfo_bench.plugins.component import parse
from dfo_bench.runs.spec import RunSpec
from dfo_bench.store import checksums
from dfo_bench.store.filenames import CHECKSUMS, CURVE, SUMMARY
from dfo_bench.store.store import Store
from dfo_bench.store.verify import Verdict, verify
from dfo_bench.sweeps.execute import execute


def _summary(store: Store, key: str) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads((store.path / key / SUMMARY).read_text())
    return plain


def _edit_summary(store: Store, key: str, plain: dict[str, Any]) -> None:
    (store.path / key / SUMMARY).write_text(json.dumps(plain))


def _run(store: Store, optimizer: str = "odd", task: str = "toy", seed: int = 0) -> str:
    key: str = execute(RunSpec(parse(task), parse(optimizer), parse("normal"), 3, 42, seed, 20), store.path).key
    return key


@pytest.fixture
def store(tmp_path: Path, toys: Path) -> Store:
    return Store.create(tmp_path / "store")


def _only(store: Store) -> Verdict:
    (verdict,) = verify(store)
    return verdict


def _edit_curve(store: Store, key: str, column: str, row: int, value: float | str) -> None:
    path = store.path / key / CURVE
    table = pq.read_table(path)
    values = table[column].to_pylist()
    values[row] = value
    changed = table.set_column(table.column_names.index(column), column, pa.array(values, table[column].type))
    pq.write_table(changed, path)


DIFFERS = "asked again, odd differs after evaluation 5, as it may on another processor"


@pytest.mark.parametrize("optimizer", ["odd", "cma:popsize=5", "rembo:k=2,inner=(cma)", "layerwise", "start"])
def test_a_run_as_it_was_made_agrees_to_the_bit(store: Store, optimizer: str) -> None:
    _run(store, optimizer, "toy:blocks=3")
    verdict = _only(store)
    assert (verdict.agrees, verdict.problems, verdict.notes) == (True, [], [])
    assert verdict.difference == 0
    assert verdict.compared >= (1 if optimizer == "start" else 3)


def test_every_verdict_is_in_and_runs_that_have_not_ended_have_none(store: Store) -> None:
    failed, finished = _run(store, "odd:fail=third"), _run(store)
    nothing = _run(store, task="toy:fail=always")
    (store.path / "0123456789abcdef").mkdir()
    found = {verdict.key: verdict for verdict in verify(store)}
    assert set(found) == {failed, finished, nothing}
    assert found[failed].compared > 0
    assert found[nothing].compared == 0
    assert all(verdict.agrees for verdict in found.values())


def test_a_loss_that_the_task_does_not_return_is_found_wherever_it_is(store: Store) -> None:
    key = _run(store)
    losses = store.curves()["loss"]
    _edit_curve(store, key, "loss", 17, losses[17] + 1e-6)
    verdicts = [next(verify(store, points=points)) for points in (0, 42)]
    assert [verdict.agrees for verdict in verdicts] == [True, False]
    assert [verdict.compared for verdict in verdicts][1] == 42
    assert verdicts[1].difference == pytest.approx(1e-6, rel=1e-3)


def test_a_loss_that_another_processor_rounds_otherwise_agrees(store: Store) -> None:
    key = _run(store)
    losses = store.curves()["loss"]
    _edit_curve(store, key, "loss", 17, losses[17] * (1 + 1e-12))
    (verdict,) = verify(store, points=42)
    assert verdict.agrees
    assert 0 < verdict.difference < 1e-9


def test_a_best_that_the_task_does_not_return_is_found_by_its_recipe_alone(store: Store) -> None:
    key = _run(store)
    summary = _summary(store, key)
    row = summary["incumbent"]["evaluation"] - 1
    _edit_curve(store, key, "loss", row, summary["best_loss"] - 0.5)
    (verdict,) = verify(store, points=0)
    assert (verdict.agrees, round(verdict.difference, 6)) == (False, 0.5)
    _edit_summary(store, key, {**summary, "best_loss": summary["best_loss"] - 0.5})
    (verdict,) = verify(store, points=0)
    assert "the curve is not the one that the summary speaks of" in verdict.problems


def test_a_recipe_of_another_point_is_found(store: Store) -> None:
    summary = _summary(store, _run(store))
    summary["incumbent"]["recipe"]["z"][0] += 1
    _edit_summary(store, summary["key"], summary)
    assert any("was another point than the one kept of it" in problem for problem in _only(store).problems)


def test_a_run_that_cannot_be_replayed_does_not_agree_unless_something_is_known_to_have_changed(
    store: Store, toys: Path
) -> None:
    key = _run(store)
    _edit_curve(store, key, "digest", 7, "0123456789abcdef")
    verdict = _only(store)
    assert not verdict.agrees
    assert verdict.problems == [DIFFERS]
    plugin = toys / "odd_plugin.py"
    plugin.write_text(plugin.read_text() + "\nVERSION = 2\n")
    verdict = _only(store)
    assert verdict.agrees
    assert verdict.notes == ["changed since: optimizer", DIFFERS]
    assert verdict.compared > 0


def test_a_run_whose_task_is_gone_does_not_agree_and_says_why(store: Store) -> None:
    summary = _summary(store, _run(store))
    summary["spec"]["task"] = "gone"
    _edit_summary(store, summary["key"], summary)
    (problem,) = _only(store).problems
    assert problem.startswith("cannot be evaluated: UnknownNameError: no task named 'gone'")


def test_failed_evaluations_are_not_drawn(store: Store) -> None:
    _edit_curve(store, _run(store), "loss", 40, float("nan"))
    (verdict,) = verify(store, points=42)
    assert (verdict.agrees, verdict.compared) == (True, 41)


def test_what_is_drawn_depends_on_the_seed_alone(store: Store) -> None:
    for seed in range(5):
        _run(store, seed=seed)
    drawn = [[verdict.key for verdict in verify(store, runs=2, points=0, seed=seed)] for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(drawn[0]) == 2


@pytest.mark.parametrize(("points", "runs"), [(-1, 1), (3, 0)])
def test_a_sample_must_be_one(store: Store, points: int, runs: int) -> None:
    with pytest.raises(InputError, match="points must be at least 0 and runs at least 1, got"):
        list(verify(store, points=points, runs=runs))


def test_digests_are_those_of_sha256sum(store: Store) -> None:
    _run(store)
    checksums.write(store)
    subprocess.run(["sha256sum", "--check", "--strict", CHECKSUMS], cwd=store.path, check=True, capture_output=True)


def test_a_file_that_is_not_as_published_is_named(store: Store) -> None:
    keys = sorted(_run(store, seed=seed) for seed in range(2))
    assert checksums.compare(store) is None
    checksums.write(store)
    assert checksums.compare(store) == ([], [])
    curve = store.path / keys[0] / CURVE
    data = curve.read_bytes()
    _edit_curve(store, keys[0], "loss", 3, 0.5)
    (store.path / keys[1] / CURVE).unlink()
    _run(store, seed=9)
    wrong, more = checksums.compare(store) or ([], [])
    assert wrong == [f"{keys[0]}/{CURVE} has changed", f"{keys[1]}/{CURVE} is missing"]
    assert len(more) == 2
    curve.write_bytes(data)
    assert len((checksums.compare(store) or ([], []))[0]) == 1


def test_a_published_store_may_be_packed_and_keeps_its_digests(store: Store) -> None:
    _run(store)
    checksums.write(store)
    text = (store.path / CHECKSUMS).read_text()
    store.compact()
    assert checksums.compare(store) == ([], [])
    checksums.write(store)
    assert (store.path / CHECKSUMS).read_text() == text


def _verify(store: Store, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dfo_bench", "verify", "--store", str(store.path), *options]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "COLUMNS": "200"})


def test_the_command_says_what_agrees_publishes_only_that_and_checks_what_was_published(store: Store) -> None:
    key = _run(store)
    done = _verify(store, "--publish")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, str(store.path / CHECKSUMS))
    done = _verify(store)
    assert done.returncode == 0
    assert f"{CHECKSUMS}: all files are as published" in done.stdout
    assert "of 1 run evaluated again; runs that do not agree: 0" in done.stdout
    _edit_curve(store, key, "loss", _summary(store, key)["incumbent"]["evaluation"] - 1, 0.25)
    before = (store.path / CHECKSUMS).read_text()
    for options in ([], ["--publish"]):
        done = _verify(store, *options)
        assert done.returncode == 1
        assert "runs that do not agree: 1" in done.stdout
    assert (store.path / CHECKSUMS).read_text() == before


@pytest.mark.parametrize("name", ["reference", "reference-masked"])
def test_a_store_published_here_is_as_it_was_published(name: str) -> None:
    store = Store(Path(__file__).parent.parent / "results" / name)
    assert checksums.compare(store) == ([], [])
