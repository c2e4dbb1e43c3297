"""Ensembles of prompts: what they predict, on which rows they are scored, and what is none."""

from pathlib import Path

import numpy as np
import pytest
from scipy.special import log_softmax
from typer.testing import CliRunner

from dfo_bench.cli import app
from dfo_bench.errors import InputError
from dfo_bench.runs.spec import RunSpec
from dfo_bench.store.boosting import boost
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


def test_boosting_weighs_by_error_and_then_by_what_is_missed() -> None:
    hits = np.array([[1, 1, 1, 1, 0, 0], [1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 0, 0]], bool)
    weights = boost(hits, 2)
    # The first errs on two of six, smoothed by a sixth; then the two texts count 6 / (3 + 2 * 6) = 5 / 7 each...
    assert weights[0] == pytest.approx(np.log((4 / 6 + 1 / 6) / (2 / 6 + 1 / 6)))
    factor = np.exp(weights[0])
    error = 3 / (4 + 2 * factor)
    assert weights[2] == pytest.approx(np.log((1 - error + 1 / 6) / (error + 1 / 6)))
    assert weights[2] > 0
    # The third has what the first lacks; the second adds nothing, and the last is worse than a guess.
    assert weights[1] < weights[2]
    assert weights[3] == 0


def test_a_guess_among_more_classes_is_right_less_often() -> None:
    assert boost(np.array([[1, 1, 0, 0, 0]], bool), 2)[0] == 0
    assert boost(np.array([[1, 1, 0, 0, 0]], bool), 5)[0] > 0
    assert np.isfinite(boost(np.ones((2, 4), bool), 2)).all()


def test_boosted_prompts_vote_by_weights_fitted_on_all_train_texts(store: Store, ensemble: Ensemble) -> None:
    boosted = store.ensemble(boosted=True)
    trained = {row for member in boosted.members for row in member.texts.rows("train")}
    assert set(boosted.rows_of("train")) == trained
    assert f"the weights are fitted on {len(trained)} train texts, 3 calls each" in boosted.notes[0]
    sums = np.zeros((len(TEXTS), 2))
    for weight, run in zip(boosted.weights, boosted.runs, strict=True):
        sums[range(len(TEXTS)), store.classifier(run.summary.key).probabilities(TEXTS).argmax(axis=1)] += weight
    np.testing.assert_allclose(boosted.logits(boosted.rows(TEXTS)), sums)
    # The same table, the vote above the average; the rows stay those that no prompt has seen.
    scores, plain = boosted.scores(), ensemble.scores()
    assert scores["key"].tolist() == ["boosted", *plain["key"]]
    assert scores["weight"].tolist()[2:] == boosted.weights.tolist()
    assert scores["calls"].iloc[0] == (boosted.weights > 0).sum()
    assert scores["test_accuracy"].tolist()[1:] == plain["test_accuracy"].tolist()
    assert not trained & set(boosted.rows_of("dev"))
    assert set(boosted.predictions()["key"]) == set(scores["key"])


def test_the_commands_print_and_predict(store: Store, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["ensemble", "--store", str(store.path), "--size", "2"])
    assert done.exit_code == 0
    assert "ensemble of 2 runs, 2 calls a text" in done.stderr
    assert "test, 12 rows: the ensemble less run " in done.stdout
    (tmp_path / "new.txt").write_text("\n".join(TEXTS))
    args = ["predict", str(tmp_path / "new.txt"), "--store", str(store.path), "--ensemble", "2"]
    predicted = CliRunner().invoke(app, args).stdout
    assert [line.split(",")[1] for line in predicted.splitlines()[1:]] == store.ensemble(2).predict(TEXTS)


def test_the_commands_boost(store: Store, tmp_path: Path) -> None:
    boosted = store.ensemble(2, boosted=True)
    args = ["ensemble", "--store", str(store.path), "--size", "2"]
    done = CliRunner().invoke(app, [*args, "--boosted"])
    assert done.exit_code == 0
    assert "ensemble of 2 runs, 2 calls a text at most; the weights are fitted on" in done.stderr
    assert "test, 12 rows: the boosted ensemble less run " in done.stdout
    assert "test, 12 rows: the ensemble less run " in done.stdout
    (tmp_path / "new.txt").write_text("\n".join(TEXTS))
    predict = ["predict", str(tmp_path / "new.txt"), "--store", str(store.path), "--boosted"]
    predicted = CliRunner().invoke(app, [*predict, "--ensemble", "2"]).stdout
    assert [line.split(",")[1] for line in predicted.splitlines()[1:]] == boosted.predict(TEXTS)
    alone = CliRunner().invoke(app, predict).exception
    assert isinstance(alone, InputError)
    assert "--boosted weighs several prompts; pass --ensemble N, too" in str(alone)


def test_members_may_be_of_tasks_that_differ_in_their_prompt_alone(zoo: Zoo, tmp_path: Path) -> None:
    store = Store.create(tmp_path / "store")
    first = planned(store, zoo.folder(), "random")
    other = {"template": "it was: {text}", "mode": "cat"}
    second = planned(store, zoo.folder(), "random", **other)
    keys = made(store, first, second)
    ensemble = store.ensemble()
    assert {run.summary.key for run in ensemble.runs} == set(keys)
    prompts = ensemble.scores().set_index("key")["prompt"]
    assert (prompts["ensemble"], prompts[keys[0]]) == ("", "prompt_tokens=3")
    assert all(f"{name}=" in prompts[keys[1]] for name in other)
    # One of the tasks, by its name, has one run.
    with pytest.raises(InputError, match="has 1 finished searches"):
        store.ensemble(task=next(run.task for run in ensemble.runs if run.summary.key == keys[1]))


def test_members_may_be_one_runs_best_prompts(store: Store, tmp_path: Path) -> None:
    key = store.ensemble().runs[0].summary.key
    ensemble = store.ensemble(4, run=key)
    assert ensemble.notes[0] == "ensemble of 4 prompts of one run, 4 calls a text"
    curve = store.curves([key]).set_index("evaluation")["loss"]
    numbers = [int(name.removeprefix(f"{key}:")) for name in ensemble.keys[1:]]
    assert numbers[1:] == [number for number in curve.sort_values().index if number != numbers[0]][:3]
    # They are the prompts that were evaluated then, and the first is the one that was selected.
    for number, member in zip(numbers, ensemble.members, strict=True):
        train = member.texts.rows("train")
        truth = [member.labels.index(row.label) for row in train]
        found = log_softmax(member.logits(train), axis=1)[range(len(train)), truth]
        assert -found.mean() == pytest.approx(curve[number], abs=1e-5)
    assert ensemble.scores()["test_accuracy"][1] == store.runs().set_index("key")["test_accuracy"][key]
    (tmp_path / "new.txt").write_text("\n".join(TEXTS))
    of_run = ["--store", str(store.path), "--run", key]
    predicted = CliRunner().invoke(app, ["predict", str(tmp_path / "new.txt"), *of_run, "--ensemble", "4"]).stdout
    assert [line.split(",")[1] for line in predicted.splitlines()[1:]] == ensemble.predict(TEXTS)
    scored = CliRunner().invoke(app, ["ensemble", *of_run, "--size", "4"]).stdout
    assert f"the ensemble less {key}:{numbers[0]}, the prompt selected: " in scored


def test_equal_words_are_one_prompt(zoo: Zoo, tmp_path: Path) -> None:
    store = Store.create(tmp_path / "store")
    few = {"mode": "words", "prompt_tokens": 1, "clusters": 3, "shots": 2}
    (key,) = made(store, planned(store, zoo.folder(), "genetic", "identity", **few))
    assert store.runs()["repeats"].item() > 0
    ensemble = store.ensemble(5, run=key)
    prompts = [member.texts.prompt.prompts().tobytes() for member in ensemble.members]
    assert 2 <= len(prompts) == len(set(prompts))


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        ("adam", "cannot be had again: what it sees, gradients, is not kept of a run that has ended"),
        ("start", "evaluated one prompt; take a search, or leave out --run"),
    ],
)
def test_a_run_whose_prompts_cannot_be_found_is_refused(zoo: Zoo, tmp_path: Path, optimizer: str, message: str) -> None:
    store = Store.create(tmp_path / "store")
    (key,) = made(store, planned(store, zoo.folder(), optimizer, shots=2))
    with pytest.raises(InputError, match=message):
        store.ensemble(run=key)


def test_what_is_no_ensemble_is_refused_by_name(zoo: Zoo, tmp_path: Path) -> None:
    store = Store.create(tmp_path / "store")
    with pytest.raises(InputError, match="has 0 finished searches of a text task, and an ensemble needs 2"):
        store.ensemble()
    seeds(store, zoo, 2)
    with pytest.raises(InputError, match="an ensemble has at least 2 prompts, not 1"):
        store.ensemble(1)
    made(store, planned(store, zoo.folder(), "random", shots=2, loss="hinge"))
    with pytest.raises(InputError, match=r"has searches of 2 tasks; choose one: --task .*loss=hinge.*; --task "):
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
