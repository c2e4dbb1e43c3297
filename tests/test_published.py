"""The published stores open as on the day they were made, and their runs keep their keys."""

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from dfo_bench.plugins.plugin import resolve
from dfo_bench.plugins.registry import OPTIMIZERS, PROJECTIONS, TASKS
from dfo_bench.runs.columns import ROWS, SENT
from dfo_bench.store.store import Store
from dfo_bench.store.verify import verify

ROOT = Path(__file__).parent.parent

# Of the frames as commit b072d62 read them: its `runs` had no columns `baseline`, `sees` and `metric`, and all else is
# the same to the bit.
DIGESTS = {
    "reference": ("d5221e40089cbfbd", "6e2e541a5a6a2f79", "a2bb6798109089e9"),
    "reference-masked": ("f2f813aacdec7fc3", "c944a5147f4ba335", "5887d6bde3d85431"),
}


@pytest.fixture(params=DIGESTS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Return a copy, for reading a store leaves a cache."""
    return Store(shutil.copytree(ROOT / "results" / request.param, tmp_path / request.param))


def digest(frame: pd.DataFrame) -> str:
    text = frame.reindex(columns=sorted(frame.columns)).to_json(orient="split", double_precision=15)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def test_published_frames_read_as_before(store: Store) -> None:
    runs, curves, measures = store.runs(), store.curves(), store.measures()
    assert not runs.pop("baseline").any()
    assert (runs.pop("sees") == "losses").all()
    assert set(runs.pop("metric")) == {"accuracy"}
    assert (runs.pop("backend") == "").all()
    assert runs.pop("ended").str.startswith("2026").all()
    assert (runs.pop("data") != "").all()
    assert (runs.pop("lost") == 0).all()
    shapes = {tuple(row) for row in runs[ROWS].values.tolist()}
    assert shapes <= {(32, 32, 872), (64, 64, 2000)}
    assert runs[SENT].isna().all(axis=None)
    runs = runs.drop(columns=[*ROWS, *SENT])
    assert store.predictions().empty
    assert (runs.pop("checks") == "").all()
    assert (runs.pop("repeats") == 0).all()
    assert (runs.pop("prompt") == "").all()
    # Shown since the defaults of a prompt have changed, in the place of what is the default now.
    former = "include_prompt=true,initial=null,mode=add"
    assert runs["task"].str.contains(former).all()
    assert runs["projection"].str.endswith(":alpha=1.0").all()
    assert not runs["task"].str.contains("prompt_tokens").any()
    bare = runs["task"].str.replace(f"{former},?", "", regex=True)
    runs["task"] = (bare + ",prompt_tokens=10").str.replace(":,", ":")
    runs["projection"] = runs["projection"].str.replace(":alpha=1.0", "")
    assert (digest(runs), digest(curves), digest(measures)) == DIGESTS[store.path.name]


def test_published_runs_keep_their_keys(store: Store) -> None:
    for key in store:
        summary = store.summary(key)
        assert summary
        contents: dict[str, dict[str, str]] = {"task": {}, "projection": {}}
        for name, value in summary.digests.items():
            kind, _, parameter = name.partition(":")
            if parameter:
                contents[kind][parameter] = value
        keyed = replace(
            summary.spec,
            task=resolve(TASKS, summary.spec.task).keyed(contents["task"]),
            optimizer=resolve(OPTIMIZERS, summary.spec.optimizer).keyed(),
            projection=resolve(PROJECTIONS, summary.spec.projection).keyed(contents["projection"]),
        )
        assert keyed.key() == key


def test_a_published_run_verifies(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = ROOT.parent / "shared"
    if not (shared / "data").is_dir():
        pytest.skip("needs the few-shot sets in ../shared/data")
    monkeypatch.setenv("DFO_BENCH_DATA", str(shared / "data"))
    monkeypatch.chdir(shared)
    keys = list(store)
    for key in keys[1:]:
        shutil.rmtree(store.path / key)
    (verdict,) = verify(store, points=0)
    assert not verdict.problems
    # Another processor rounds the products of a model in another way.
    assert verdict.compared >= 1
    assert verdict.difference < 1e-4
