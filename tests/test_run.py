import inspect
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dfo_bench.errors import BusyError, InputError, StoreError
from dfo_bench.plugins.component import parse
from dfo_bench.plugins.registry import OPTIMIZERS
from dfo_bench.runs.assembly import assemble
from dfo_bench.runs.journal import Journal, Log
from dfo_bench.runs.spec import RunSpec
from dfo_bench.runs.summary import Kept
from dfo_bench.store.filenames import CURVE, JOURNAL, SUMMARY, TOLD
from dfo_bench.store.store import Store
from dfo_bench.sweeps.execute import execute
from tests import toys

EXACT = ["evaluation", "loss", "best", "digest"]
"""The columns that a resume must not change; seconds are another matter."""


def _spec(task: str = "toy", optimizer: str = "odd", budget: int = 60, **given: Any) -> RunSpec:
    given = {"dim": 3, "dev_every": 20, **given}
    return RunSpec(parse(task), parse(optimizer), parse("normal"), budget=budget, **given)


@pytest.fixture
def store(tmp_path: Path, toys: Path) -> Store:
    return Store.create(tmp_path / "store")


def _curve(store: Store, key: str) -> pd.DataFrame:
    return store.curves([key])[EXACT]


def test_a_run_leaves_a_curve_a_summary_and_no_journal(store: Store) -> None:
    summary = execute(_spec(), store.path)
    folder = store.path / summary.key
    assert sorted(path.name for path in folder.iterdir()) == [CURVE, SUMMARY]
    curve = store.curves()
    assert curve["evaluation"].tolist() == list(range(1, 61))
    assert (curve["best"] == curve["loss"].cummin()).all()
    assert summary.best_loss == curve["best"].iloc[-1]
    assert summary.status == "finished"


def test_dev_is_scored_on_schedule_and_test_once(store: Store) -> None:
    execute(_spec(budget=50), store.path)
    measures = store.measures()
    dev = measures[(measures["split"] == "dev") & (measures["metric"] == "closeness")]
    assert dev["evaluation"].tolist() == [20, 40, 50]
    assert measures[measures["split"] == "test"]["evaluation"].unique().tolist() == [50]
    run = store.runs().iloc[0]
    assert run["dev_closeness"] == dev["value"].max()


def test_a_candidate_that_stays_the_incumbent_is_scored_once(store: Store, tmp_path: Path) -> None:
    log = tmp_path / "calls"
    execute(_spec(f"toy:log={log}", budget=200, dev_every=10), store.path)
    dev = [line for line in log.read_text().splitlines() if line.startswith("dev")]
    assert len(dev) == len(set(dev)) < 20
    assert (store.measures()["split"] == "dev").sum() == 2 * 20


def test_under_the_current_rule_dev_scores_the_last_candidate_evaluated(store: Store, tmp_path: Path) -> None:
    log = tmp_path / "calls"
    summary = execute(_spec(f"toy:log={log}", budget=50, selection="current"), store.path)
    digests = store.curves()["digest"]
    scored = [line.split()[1] for line in log.read_text().splitlines() if line.startswith("dev")]
    assert scored == [digests[at - 1] for at in (20, 40, 50)]
    dev = store.measures().query("split == 'dev' and metric == 'closeness'")
    best = int(dev["evaluation"].iloc[dev["value"].argmax()])
    assert summary.selected
    assert summary.selected.evaluation == best
    assert log.read_text().splitlines()[-1] == f"test {digests[best - 1]}"


def test_costs_are_of_the_whole_run_and_z_goes_up_as_four_bytes_a_dimension(store: Store) -> None:
    execute(_spec(budget=10), store.path)
    run = store.runs().iloc[0]
    assert (run["examples"], run["tokens"], run["bytes_down"]) == (20, 300, 80)
    assert (run["bytes_up_z"], run["bytes_up_prompt"]) == (10 * (100 + 4 * 3), 5000)


def test_a_finished_run_is_not_run_again(store: Store, tmp_path: Path) -> None:
    log = tmp_path / "calls"
    first = execute(_spec(f"toy:log={log}"), store.path)
    calls = log.read_text()
    assert execute(_spec(f"toy:log={log}"), store.path) == first
    assert log.read_text() == calls


def test_runs_of_one_seed_share_task_and_embedding(store: Store) -> None:
    for optimizer in ("odd", "odd:batch=7", "random"):
        execute(_spec(optimizer=optimizer), store.path)
    kept = [summary.incumbent for key in store if (summary := store.summary(key))]
    recipes = [incumbent.recipe for incumbent in kept if incumbent]
    assert len(recipes) == 3
    assert {recipe["embedding"] for recipe in recipes} == {0}
    first = store.curves().groupby("key")["digest"].first()
    # Both draw the same numbers from the optimizer's stream, so the first point is one and the same.
    assert first.nunique() == 1


@pytest.mark.parametrize(
    "optimizer",
    [
        "odd",
        "cma:popsize=6",
        "sre:stages=3",
        "bo:points=12",
        "rembo:k=2,inner=(cma)",
        "layerwise:inner=(cma:popsize=6)",
        "start",
    ],
)
def test_a_run_cut_anywhere_resumes_to_the_same_bits(store: Store, tmp_path: Path, optimizer: str) -> None:
    """The journal of an interrupted run, cut at any byte, leads to the curve of an uninterrupted one."""
    spec = _spec("toy:blocks=3", optimizer, budget=40)
    whole = execute(spec, store.path)
    text = _journal_of(spec, tmp_path)
    for cut in (0.0, 0.2, 0.5, 0.8, 1.0):
        other = Store.create(tmp_path / f"cut at {cut}")
        folder = other.path / whole.key
        folder.mkdir()
        (folder / JOURNAL).write_bytes(text[: int(cut * len(text))])
        resumed = execute(spec, other.path)
        pd.testing.assert_frame_equal(_curve(other, whole.key), _curve(store, whole.key), check_exact=True)
        assert resumed.best_loss == whole.best_loss
        assert [m.metrics for m in resumed.measurements] == [m.metrics for m in whole.measurements]
        assert resumed.selected == whole.selected
        assert resumed.evaluations == whole.evaluations
        assert resumed.repaid <= 20


@pytest.mark.parametrize("kept", [1, 4, 9, 16])
def test_a_run_under_the_current_rule_resumes_to_the_same_selection(store: Store, tmp_path: Path, kept: int) -> None:
    spec = _spec(budget=50, selection="current", dev_every=10)
    whole = execute(spec, store.path)
    other = Store.create(tmp_path / "other")
    (other.path / whole.key).mkdir()
    lines = _journal_of(spec, tmp_path).splitlines(keepends=True)
    (other.path / whole.key / JOURNAL).write_bytes(b"".join(lines[:kept]))
    resumed = execute(spec, other.path)
    assert resumed.selected == whole.selected
    assert resumed.selected
    assert resumed.selected.evaluation % 10 == 0
    assert [m.metrics for m in resumed.measurements] == [m.metrics for m in whole.measurements]


def _journal_of(spec: RunSpec, tmp_path: Path) -> bytes:
    """Return the journal that a run has just before it ends."""
    scratch = Store.create(tmp_path / f"scratch{len(list(tmp_path.iterdir()))}")
    kept: list[bytes] = []

    def keep(spent: float, best: float, replayed: bool) -> None:
        kept[:] = [next(scratch.path.glob("*/journal.jsonl")).read_bytes()]

    execute(spec, scratch.path, keep)
    return kept[0]


@pytest.mark.parametrize(
    ("fails", "optimizer", "numbers"),
    [("gradient", "adam", 3), ("gradient", "adam:learning_rate=0.3", 3), ("output", "composite:batch=1", 12)],
)
def test_a_run_that_is_told_more_killed_at_any_write_resumes_to_the_same_bits(
    store: Store, tmp_path: Path, fails: str, optimizer: str, numbers: int
) -> None:
    """What a batch told is written, then its line: a kill falls between two writes, or in the middle of one."""
    spec = _spec(f"toy:fail={fails}", optimizer, budget=9, dev_every=4)
    whole = execute(spec, store.path)
    lines, told = _files_of(spec, tmp_path)
    row = 4 * numbers
    assert len(told) == 9 * row
    for written in range(len(lines) + 1):
        kept = sum(line.startswith(b'{"begin"') for line in lines[:written])
        for extra in {0, min(row, 5), row} if kept < 9 else {0}:
            other = Store.create(tmp_path / f"other{written}-{extra}")
            folder = other.path / whole.key
            folder.mkdir()
            (folder / JOURNAL).write_bytes(b"".join(lines[:written]) + (lines[written][:7] if extra == 5 else b""))
            (folder / TOLD).write_bytes(told[: kept * row + extra])
            resumed = execute(spec, other.path)
            pd.testing.assert_frame_equal(_curve(other, whole.key), _curve(store, whole.key), check_exact=True)
            assert [m.metrics for m in resumed.measurements] == [m.metrics for m in whole.measurements]
            assert (resumed.selected, resumed.incumbent) == (whole.selected, whole.incumbent)
            assert sorted(path.name for path in folder.iterdir()) == [CURVE, SUMMARY]


def test_a_gradient_that_is_not_finite_is_a_failed_evaluation(store: Store) -> None:
    summary = execute(_spec("toy:fail=gradient", "adam", budget=20), store.path)
    losses = store.curves()["loss"]
    assert summary.status == "finished"
    assert 0 < np.isnan(losses).sum() < 20
    assert summary.best_loss == losses.min()


def test_gradients_of_another_shape_fail_the_run(store: Store) -> None:
    summary = execute(_spec("toy:fail=narrow", "adam"), store.path)
    assert summary.status == "failed"
    assert "gradients of shape (1, 11) for 1 points of dimension 12" in summary.error


def test_a_run_on_gradients_says_what_it_sees(store: Store) -> None:
    execute(_spec("toy", "adam", budget=5), store.path)
    execute(_spec("toy", "random", budget=20), store.path)
    assert store.runs().set_index("optimizer")["sees"].to_dict() == {"adam": "gradients", "random": "losses"}


def test_a_journal_that_lost_what_was_told_is_refused_in_words(store: Store, tmp_path: Path) -> None:
    spec = _spec("toy", "adam", budget=9)
    lines, told = _files_of(spec, tmp_path)
    folder = store.path / json.loads(lines[0])["header"]["key"]
    folder.mkdir()
    (folder / JOURNAL).write_bytes(b"".join(lines))
    (folder / TOLD).write_bytes(told[:-1])
    with pytest.raises(StoreError, match=r"journal\.f32 holds 8 of the 9 evaluations of its journal; copy it again"):
        execute(spec, store.path)


@pytest.mark.parametrize("damaged", [b"\0\0\0\0", b"\xff\xff\xff\xff"])
def test_what_the_last_batch_told_is_told_again_or_the_run_begins_anew(
    store: Store, tmp_path: Path, damaged: bytes
) -> None:
    """A machine that loses power may keep the journal's last line, and zeros in the file beside it."""
    spec = _spec("toy", "adam", budget=9)
    whole = execute(spec, store.path)
    lines, told = _files_of(spec, tmp_path)
    # Up to the fifth evaluation.
    kept = [i for i, line in enumerate(lines) if line.startswith(b'{"begin"')][4] + 1
    other = Store.create(tmp_path / "other")
    folder = other.path / whole.key
    folder.mkdir()
    (folder / JOURNAL).write_bytes(b"".join(lines[:kept]))
    (folder / TOLD).write_bytes(told[: 5 * len(told) // 9 - 4] + damaged)
    resumed = execute(spec, other.path)
    assert (resumed.status, resumed.discarded) == ("finished", 5)
    pd.testing.assert_frame_equal(_curve(other, whole.key), _curve(store, whole.key), check_exact=True)


def test_what_was_told_goes_when_its_journal_is_set_aside(store: Store, tmp_path: Path) -> None:
    spec = _spec("toy", "adam", budget=9)
    lines, told = _files_of(spec, tmp_path)
    key = json.loads(lines[0])["header"]["key"]
    (store.path / key).mkdir()
    # Of other gradients the second point is another than the journal's.
    (store.path / key / TOLD).write_bytes(bytes(reversed(told)))
    (store.path / key / JOURNAL).write_bytes(b"".join(lines))
    summary = execute(spec, store.path)
    assert (summary.status, summary.discarded) == ("finished", 9)
    names = sorted(path.name for path in (store.path / key).iterdir())
    assert names == [CURVE, "journal.1.jsonl", SUMMARY]


def _files_of(spec: RunSpec, tmp_path: Path) -> tuple[list[bytes], bytes]:
    """Return the lines of the journal that a run has just before it ends, and the bytes beside it."""
    scratch = Store.create(tmp_path / "scratch")
    kept: list[bytes] = []

    def keep(spent: float, best: float, replayed: bool) -> None:
        kept[:] = [next(scratch.path.glob(f"*/{name}")).read_bytes() for name in (JOURNAL, TOLD)]

    execute(spec, scratch.path, keep)
    return kept[0].splitlines(keepends=True), kept[1]


def test_no_journalled_evaluation_is_paid_again(store: Store, tmp_path: Path) -> None:
    log = tmp_path / "calls"
    spec = _spec(f"toy:log={log}")
    text = _journal_of(spec, tmp_path)
    log.unlink()
    key = json.loads(text.splitlines()[0])["header"]["key"]
    (store.path / key).mkdir()
    lines = text.splitlines(keepends=True)
    (store.path / key / JOURNAL).write_bytes(b"".join(lines[:6]))
    kept = Log.read(store.path / key / JOURNAL)
    summary = execute(spec, store.path)
    calls = [line.split() for line in log.read_text().splitlines()]
    evaluated = [digest for what, digest in calls if what == "evaluate"]
    assert len(evaluated) == 60 - kept.evaluations
    assert not {digest for batch in kept.batches for digest in batch.digests} & set(evaluated)
    assert (summary.repaid, summary.attempts) == (5, 2)


def test_a_task_that_always_raises_fails_the_run_with_its_error(store: Store) -> None:
    summary = execute(_spec("toy:fail=always"), store.path)
    assert summary.status == "failed"
    assert "RuntimeError: the service said no" in summary.error
    assert summary.evaluations == len(store.curves()) == 15
    assert any("first at evaluation 1, in 3 batches" in event for event in summary.events)
    assert store.runs().error.iloc[0] == summary.error


def test_a_failed_run_that_is_tried_again_asks_anew_what_was_not_answered(store: Store) -> None:
    spec = _spec("toy:fail=always")
    execute(spec, store.path)
    again = execute(spec, store.path)
    assert (again.status, again.attempts, again.evaluations, again.lost) == ("failed", 2, 15, 15)


def test_a_run_without_one_success_has_failed(store: Store) -> None:
    summary = execute(_spec("toy:fail=always", budget=10), store.path)
    assert summary.status == "failed"
    assert "no evaluation succeeded: RuntimeError: the service said no" in summary.error


@pytest.mark.parametrize("budget", [1, 60])
def test_a_run_whose_losses_are_all_nan_has_failed(store: Store, toys: Path, budget: int) -> None:
    plugin = toys / "toy_plugin.py"
    plugin.write_text(plugin.read_text().replace("losses[::3] = np.nan", "losses[:] = np.nan"))
    summary = execute(_spec("toy:fail=nan", budget=budget), store.path)
    assert (summary.status, summary.evaluations, summary.selected) == ("failed", budget, None)
    assert summary.error == "RunError: no evaluation succeeded: every loss is nan or infinite"


def test_what_a_task_raised_is_kept_when_the_run_finishes(store: Store) -> None:
    summary = execute(_spec("toy:fail=second"), store.path)
    assert summary.status == "finished"
    assert summary.events == ["RuntimeError: the service said no (first at evaluation 6, in 1 batch)"]


def test_an_interrupted_retry_counts_what_it_paid_twice(store: Store) -> None:
    spec = _spec("toy:fail=always")
    key = execute(spec, store.path).key
    journal = Journal(store.path / key / JOURNAL, toys.header())
    journal.begin_attempt(retry=True)
    journal.close()
    assert store.runs()["status"].tolist() == ["unfinished"]
    assert execute(spec, store.path).repaid == 5


def test_numpy_scalars_of_plugins_are_numbers(store: Store, toys: Path) -> None:
    plugin = toys / "toy_plugin.py"
    text = plugin.read_text().replace('return {"loss": loss,', 'return {"loss": np.float32(loss),')
    plugin.write_text(text.replace("bytes_down=8)", "bytes_down=np.int64(8))\n        self.optimum = np.float32(0)"))
    summary = execute(_spec(), store.path)
    assert (summary.status, summary.error, summary.optimum) == ("finished", "", 0.0)
    assert store.runs()["bytes_down"].tolist() == [480]


@pytest.mark.parametrize(("fail", "failed"), [("second", 5), ("nan", 20), ("minus-inf", 12), ("", 0)])
def test_what_could_not_be_evaluated_is_recorded_and_never_lost(store: Store, fail: str, failed: int) -> None:
    summary = execute(_spec(f"toy:fail={fail}"), store.path)
    losses = store.curves()["loss"]
    assert summary.status == "finished"
    assert len(losses) == 60
    expected = {"nan": 24}.get(fail, failed)  # every batch of 5 has two
    assert (~np.isfinite(losses)).sum() == expected
    assert np.isfinite(summary.best_loss)


@pytest.mark.parametrize(
    ("fail", "error"),
    [
        ("third", "RuntimeError: lost my way"),
        ("shape", "ask returned shape (5, 2); it must be (n, 3)"),
        ("nan", "ask returned nan or inf"),
        ("empty", "ask returned shape (0, 3)"),
    ],
)
def test_an_optimizer_that_misbehaves_fails_its_run(store: Store, fail: str, error: str) -> None:
    summary = execute(_spec(optimizer=f"odd:fail={fail}"), store.path)
    assert summary.status == "failed"
    assert error in summary.error
    assert summary.evaluations == (10 if fail == "third" else 0)


def test_a_run_that_cannot_replay_keeps_its_journal_and_starts_anew(store: Store, tmp_path: Path) -> None:
    spec = _spec(optimizer="odd:fail=global")
    text = _journal_of(spec, tmp_path)
    key = json.loads(text.splitlines()[0])["header"]["key"]
    (store.path / key).mkdir()
    (store.path / key / JOURNAL).write_bytes(text)
    spent = Log.read(store.path / key / JOURNAL).evaluations
    summary = execute(spec, store.path)
    assert summary.status == "finished"
    assert summary.discarded == spent
    assert (store.path / key / "journal.1.jsonl").read_bytes().startswith(text)


def test_an_unfinished_run_of_another_source_is_an_error_that_names_both(
    store: Store, tmp_path: Path, toys: Path
) -> None:
    spec = _spec()
    text = _journal_of(spec, tmp_path)
    key = json.loads(text.splitlines()[0])["header"]["key"]
    (store.path / key).mkdir()
    (store.path / key / JOURNAL).write_bytes(text)
    plugin = toys / "odd_plugin.py"
    plugin.write_text(plugin.read_text() + "\nVERSION = 2\n")
    with pytest.raises(InputError, match=r"another optimizer \(digest [0-9a-f]{16}, now [0-9a-f]{16}\)"):
        execute(spec, store.path)
    assert (store.path / key / JOURNAL).read_bytes() == text


def test_a_failed_run_whose_plugin_was_mended_starts_anew(store: Store, toys: Path) -> None:
    spec = _spec(optimizer="odd:fail=third")
    assert execute(spec, store.path).evaluations == 10
    plugin = toys / "odd_plugin.py"
    plugin.write_text(plugin.read_text().replace("self.asked == 3", "self.asked == 300"))
    sys.modules.pop("odd_plugin")
    summary = execute(spec, store.path)
    assert (summary.status, summary.discarded) == ("finished", 10)


def test_a_run_that_another_process_writes_is_left_to_it(store: Store, tmp_path: Path) -> None:
    spec = _spec()

    def meanwhile(spent: float, best: float, replayed: bool) -> None:
        with pytest.raises(BusyError):
            execute(spec, store.path)

    assert execute(spec, store.path, meanwhile).status == "finished"


SIZES = [
    f"{name}:{size}"
    for name in OPTIMIZERS.names()
    for size in ("batch", "popsize", "samples")
    if size in inspect.signature(OPTIMIZERS.load(name)).parameters
]
"""The parameters that say how many points are asked for at a time."""


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("count", [10**5, 10**18])
def test_a_batch_far_beyond_the_budget_is_refused_before_memory_is_taken_for_it(size: str, count: int) -> None:
    with pytest.raises(InputError, match=f"{size}={count} is more than the .* take a smaller one"):
        assemble(_spec("sphere", f"{size}={count}", budget=20)).optimizer()


def test_a_batch_of_an_inner_optimizer_is_refused_likewise() -> None:
    with pytest.raises(InputError, match=r"cma:popsize=100000 is more than the .* take a smaller one"):
        assemble(_spec("sphere", "sre:inner=(cma:popsize=100000)", budget=20)).optimizer().ask()


def test_a_budget_of_one_is_a_run(store: Store) -> None:
    summary = execute(_spec(budget=1), store.path)
    assert (summary.evaluations, summary.status) == (1, "finished")
    assert "smaller than the first batch" in summary.events[0]


def test_an_optimizer_of_one_evaluation_is_a_run_of_budget_one_whatever_the_budget(store: Store) -> None:
    first, second = (execute(_spec(optimizer="start", budget=budget), store.path) for budget in (60, 1))
    assert first == second
    assert (first.spec.budget, first.evaluations, first.events) == (1, 1, [])
    assert first.incumbent == first.selected == Kept(1, {"anchor": "origin", "z": []})
    assert store.measures()["split"].unique().tolist() == ["dev", "test"]


def test_the_budget_is_cut_to_what_a_plain_optimizer_ever_asks_for(store: Store, toys: Path) -> None:
    plugin = toys / "odd_plugin.py"
    plugin.write_text(plugin.read_text().replace("    def __init__", "    evaluations = 7\n\n    def __init__"))
    assert [execute(_spec(budget=budget), store.path).evaluations for budget in (60, 7, 3)] == [7, 7, 3]


@pytest.mark.parametrize("projection", ["normal", "identity"])
def test_a_task_without_dimension_is_run_and_resumed_by_an_optimizer_of_one_evaluation(
    store: Store, tmp_path: Path, projection: str
) -> None:
    spec = replace(_spec("toy:dim=0", "start"), projection=parse(projection))
    text = _journal_of(spec, tmp_path)
    key = json.loads(text.splitlines()[0])["header"]["key"]
    (store.path / key).mkdir()
    (store.path / key / JOURNAL).write_bytes(text)
    summary = execute(spec, store.path)
    assert (summary.status, summary.spec.dim, summary.best_loss) == ("finished", 0, 0.0)
    assert (summary.attempts, summary.discarded) == (2, 0)
    assert assemble(summary.spec).key == summary.key
    assert store.runs()["bytes_up_z"].tolist() == [100]


def test_the_peak_of_memory_stands_in_every_summary_of_a_run_that_ended(store: Store) -> None:
    held = np.ones(2**24)
    summary = execute(_spec("toy:fail=always"), store.path)
    assert held.nbytes < (summary.peak_memory or 0) < 2**40
    assert summary.peak_device_memory is None
    run = store.runs().iloc[0]
    assert run.peak_memory == summary.peak_memory
    assert np.isnan(run["peak_device_memory"])


def test_a_process_does_not_count_the_memory_of_the_one_that_started_it() -> None:
    held = np.ones(2**26)
    code = "from dfo_bench.runs.machine import peak_memory; print(peak_memory())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < held.nbytes


def test_a_summary_of_the_first_release_is_read(store: Store) -> None:
    path = store.path / execute(_spec(), store.path).key / SUMMARY
    plain = json.loads(path.read_text())
    for later in ("peak_memory", "peak_device_memory", "baseline", "sees"):
        del plain[later]
    del plain["spec"]["selection"]
    path.write_text(json.dumps(plain))
    run = store.runs().iloc[0]
    assert (run["selection"], run["baseline"], run["sees"]) == ("incumbent", False, "losses")
    assert run[["peak_memory", "peak_device_memory"]].isna().all()


def test_provenance_stands_in_every_summary(store: Store) -> None:
    summary = execute(_spec(), store.path)
    assert summary.provenance
    assert summary.provenance.versions["numpy"] == np.__version__
    assert summary.spec.seed == 0
    assert set(summary.digests) == {"task", "optimizer", "projection"}
    assert time.strptime(summary.provenance.ended[:19], "%Y-%m-%dT%H:%M:%S")
