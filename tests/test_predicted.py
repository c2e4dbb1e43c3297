"""What a run has predicted is kept with it, and is what its scores were computed from."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfo_bench.plugins.component import Component, parse
from dfo_bench.predicted import pack, unpack
from dfo_bench.report.stats.rows import RowHits
from dfo_bench.runs.spec import RunSpec
from dfo_bench.store.store import Store
from dfo_bench.sweeps.execute import execute
from tests.text_runs import run
from tests.tiny_lm import Zoo, write


@given(st.lists(st.integers(0, 999)))
def test_classes_are_unpacked_as_they_were_packed(classes: list[int]) -> None:
    assert unpack(pack(np.array(classes, int))).tolist() == classes


def test_they_take_little_room() -> None:
    """Four equal classes are two bits a row, a quarter more as text, and something for the code."""
    assert len(pack(np.random.default_rng(0).integers(4, size=7600))) < 0.42 * 7600


def test_a_text_that_is_no_packing_is_refused() -> None:
    with pytest.raises(ValueError, match="no packed classes"):
        unpack("abcde")


@pytest.mark.parametrize("method", ["cma:popsize=6", "manual", "feature_linear"])
def test_the_scores_of_a_run_are_those_of_what_it_predicted(tmp_path: Path, zoo: Zoo, method: str) -> None:
    store = Store.create(tmp_path / "store")
    made = run(store, zoo.folder(), method)
    read = store.summary(made.key)
    assert read
    assert read.measurements == made.measurements
    of = {measured.split: measured for measured in read.measurements if measured.predicted}
    assert of.keys() == {"dev", "test"}
    for split, measured in of.items():
        assert measured.predicted
        prefixes = ["", "calibrated_"] if split == "test" and method != "feature_linear" else [""]
        assert list(measured.predicted.classes) == prefixes
        for prefix in prefixes:
            ((_, truth, found),) = measured.predicted.scored(prefix)
            hits = unpack(truth) == unpack(found)
            assert len(hits) == measured.cost.examples
            assert hits.mean() == measured.metrics[f"{prefix}accuracy"]


def test_of_f1_the_positive_class_is_kept(tmp_path: Path, zoo: Zoo) -> None:
    words = (("bad", "not_equivalent"), ("the film", "equivalent"))
    for split in ("train", "test"):
        pairs = [{"text_a": f"a {i}", "text_b": word, "label": label} for i in range(6) for word, label in words]
        write(tmp_path / "mrpc" / f"{split}.jsonl", pairs)
    given: dict[str, Any] = {"data_dir": str(tmp_path), "model": zoo.folder(), "shots": 3, "prompt_tokens": 3}
    store = Store.create(tmp_path / "store")
    for method in ("random", "manual"):
        spec = RunSpec(Component("mrpc", given), parse(method), parse("normal"), dim=5, budget=12, dev_every=6)
        execute(spec, store.path)
    runs, found = store.runs().set_index("key"), store.predictions()
    assert {"accuracy", "f1", "calibrated_f1"} <= set(found["metric"])
    for one in found[found["metric"] == "f1"].to_dict("records"):
        truth, predicted = unpack(one["truth"]), unpack(one["predicted"])
        f1 = 2 * (truth * predicted).sum() / (truth + predicted).sum()
        assert f1 == pytest.approx(runs.loc[one["key"], f"{one['split']}_f1"])
    keys = runs.index.tolist()
    assert np.isfinite(RowHits(found).half([(keys[0], keys[1])], "test_f1"))


def test_runs_of_one_task_predict_the_same_rows_of_test(tmp_path: Path, zoo: Zoo) -> None:
    store = Store.create(tmp_path / "store")
    made = [run(store, zoo.folder(), method) for method in ("start", "manual")]
    found = [m.predicted for one in made for m in one.measurements if m.split == "test" and m.predicted]
    assert len({(one.rows, one.truth) for one in found}) == 1
