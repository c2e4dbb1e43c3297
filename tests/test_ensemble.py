"""Ensembles of prompts: what they predict, on which rows they are scored, and what is none."""

from pathlib import Path

import numpy as np
import pytest
from scipy.special import log_softmax
from typer.testing import CliRunner

from dfo_bench.cli import app
from dfo_bench.errors import InputError
from dfo_bench.runs.spec import RunSpec
from dfo_bench.store.ensemble import Ensemble
from dfo_bench.store.store import Store
from dfo_bench.sweeps.execute import execute
from tests.text_runs import planned
from tests.tiny_lm import Zoo, reviews, write

TEXTS = ["the film was awful", "it was great", "good film"]


def made(store: Store, *specs: RunSpec) -> list[str]:
    return [execute(spec, store.path).key for spec in specs]


def seeds(store: Store, zoo: Zoo, count: int = 3) -> list[str]:
    """Make a run of each seed, whose train and dev differ."""
    spec = planned(store, zoo.folder(), "random", shots=2)
    return made(store, *(RunSpec(**{**vars(spec), "seed": seed}) for seed in range(count)))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, zoo: Zoo) -> Store:
    store = Store.create(tmp_path_factory.mktemp("ensemble") / "store")
    seeds(store, zoo)
    return store


@pytest.fixture(scope="module")
def ensemble(store: Store) -> Ensemble:
    return store.ensemble()


def test_log_probabilities_are_averaged(store: Store, ensemble: Ensemble) -> None:
    each = [np.log(store.classifier(run.summary.key).probabilities(TEXTS)) for run in ensemble.runs]
    assert len(each) == 3
    found = log_softmax(ensemble.logits(ensemble.rows(TEXTS)), axis=1)
    np.testing.assert_allclose(found, log_softmax(np.mean(each, axis=0), axis=1), atol=1e-9)


def test_members_are_the_best_on_dev_and_all_are_scored_on_the_same_rows(store: Store, ensemble: Ensemble) -> None:
    scores = ensemble.scores()
    assert scores["key"].tolist() == ["ensemble", *(run.summary.key for run in ensemble.runs)]
    assert scores["calls"].tolist() == [3, 1, 1, 1]
    assert [run.dev for run in ensemble.runs] == sorted((run.dev for run in ensemble.runs), reverse=True)
    # On test, which is that of every run, a member alone has the score that its run has.
    runs = store.runs().set_index("key")["test_accuracy"]
    assert scores["test_accuracy"].tolist()[1:] == [runs[key] for key in scores["key"][1:]]
    trained = {row for member in ensemble.members for row in member.texts.rows("train")}
    assert not trained & set(ensemble.rows_of("dev"))
    assert {*scores["dev_rows"]} == {len(ensemble.rows_of("dev"))}
    predictions = ensemble.predictions()
    assert predictions.groupby("split")["rows"].nunique().to_dict() == {"dev": 1, "test": 1}


def test_a_smaller_ensemble_takes_the_first(store: Store, ensemble: Ensemble) -> None:
    assert [run.summary.key for run in store.ensemble(2).runs] == [run.summary.key for run in ensemble.runs[:2]]


def test_the_commands_print_and_predict(store: Store, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["ensemble", "--store", str(store.path), "--size", "2"])
    assert done.exit_code == 0
    assert "ensemble of 2 runs, 2 calls a text" in done.stderr
    assert "test, 12 rows: the ensemble less run " in done.stdout
    (tmp_path / "new.txt").write_text("\n".join(TEXTS))
    args = ["predict", str(tmp_path / "new.txt"), "--store", str(store.path), "--ensemble", "2"]
    predicted = CliRunner().invoke(app, args).stdout
    assert [line.split(",")[1] for line in predicted.splitlines()[1:]] == store.ensemble(2).predict(TEXTS)


def test_what_is_no_ensemble_is_refused_by_name(zoo: Zoo, tmp_path: Path) -> None:
    store = Store.create(tmp_path / "store")
    with pytest.raises(InputError, match="has 0 finished searches of a text task, and an ensemble needs 2"):
        store.ensemble()
    seeds(store, zoo, 2)
    with pytest.raises(InputError, match="an ensemble has at least 2 prompts, not 1"):
        store.ensemble(1)
    made(store, planned(store, zoo.folder(), "random", shots=2, mode="cat"))
    with pytest.raises(InputError, match=r"has searches of 2 tasks; choose one: --task .*mode=cat.*; --task "):
        store.ensemble()


def test_runs_of_other_data_are_no_ensemble(zoo: Zoo, tmp_path: Path) -> None:
    store = Store.create(tmp_path / "store")
    first = seeds(store, zoo, 1)
    spec = planned(store, zoo.folder(), "random", shots=2)
    write(tmp_path / "test.jsonl", reviews(7))
    second = execute(spec, store.path).key
    with pytest.raises(InputError, match="on 2 states of the data or the model, which are no ensemble") as refused:
        store.ensemble()
    assert first[0] in str(refused.value)
    assert second in str(refused.value)
