"""A run of a reference is an ordinary run: keyed without a prompt, stored, resumed, verified and reported."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import dfo_bench
from dfo_bench.core import Cost
from dfo_bench.errors import InputError, PluginError, UnknownNameError
from dfo_bench.lm import TextTask, backends
from dfo_bench.lm.engine import Engine
from dfo_bench.lm.modes import Mode
from dfo_bench.lm.templates import Encoded
from dfo_bench.lm.texts import Texts
from dfo_bench.plugins.component import Component, parse
from dfo_bench.plugins.registry import OPTIMIZERS, REFERENCES, method_kind
from dfo_bench.report.baselines import place_baselines
from dfo_bench.report.labels import looks
from dfo_bench.runs.assembly import assemble
from dfo_bench.runs.fitted import Fitted
from dfo_bench.runs.spec import RunSpec, streams
from dfo_bench.store.filenames import JOURNAL
from dfo_bench.store.store import Store
from dfo_bench.store.verify import verify
from dfo_bench.sweeps.events import Advance, Event, Listener
from dfo_bench.sweeps.execute import execute
from dfo_bench.sweeps.request import SweepRequest
from dfo_bench.sweeps.sweep import expand_axes
from dfo_bench.testing.blobs import Blobs
from tests.texts_of import written
from tests.tiny_lm import Zoo, reviews, write

FAMILY = """
from dfo_bench.core import Classifier, Reference

class Guess(Reference):
    sees = "losses"
    def fit(self, texts, progress):
        return Guessed()

class Guessed(Classifier):
    def logits(self, rows):
        import numpy as np
        return np.zeros((len(rows), 2))
"""


def planned(task: Component, method: str = "knn", **changed: Any) -> RunSpec:
    fields = {"projection": parse("normal"), "dim": 5, "budget": 12, "dev_every": 6, **changed}
    return RunSpec(task, parse(method), **fields)


def sweep(store: Path, task: Component, *methods: str, **given: Any) -> Store:
    axes: dict[str, Any] = {"dim": 3, "budget": 6, "dev_every": 3, "listener": Listener(), **given}
    return dfo_bench.sweep(tasks=[task], optimizers=methods, store=store, **axes)


def test_its_key_leaves_out_projection_dimension_budget_and_prompt(tmp_path: Path, zoo: Zoo) -> None:
    task = written(tmp_path, zoo.folder(), prompt_tokens=3)
    key = assemble(planned(task)).key
    for other in (
        planned(task, projection=parse("uniform:alpha=2")),
        planned(task, dim=7, budget=90, dev_every=9, selection="current"),
        *(
            planned(task.replace(**prompt))
            for prompt in ({"prompt_tokens": 5}, {"prompt_tokens": 2, "mode": "cat"}, {"calibrate": "affine"})
        ),
    ):
        assert assemble(other).key == key
    assert assemble(planned(task, seed=1)).key != key
    assert assemble(planned(task.replace(shots=2))).key != key
    assert assemble(planned(task, "manual")).key != key
    assert assemble(assemble(planned(task)).spec).key == key


def test_a_run_has_one_evaluation_and_the_scores_that_a_search_has(tmp_path: Path, zoo: Zoo) -> None:
    store = Store.create(tmp_path / "store")
    task = written(tmp_path, zoo.folder(), prompt_tokens=3)
    for method in ("manual", "knn", "start"):
        summary = execute(planned(task, method), store.path)
        assert summary.status == "finished", summary.error
    runs = store.runs().set_index("optimizer")
    assert list(runs.loc["knn", ["evaluations", "budget", "dim"]]) == [1, 1, 0]
    assert runs["baseline"].all()
    assert list(runs.loc[["manual", "knn"], "projection"]) == ["reference"] * 2
    for column in ("best_loss", "dev_accuracy", "dev_loss", "test_accuracy", "test_loss"):
        assert runs[column].notna().all()
    # Only what has learned nothing is shown with a bias, as a prompt is.
    assert runs["test_calibrated_accuracy"].notna().to_dict() == {"manual": True, "start": True, "knn": False}


def test_the_manual_prompt_scores_what_the_bare_task_does(tmp_path: Path, zoo: Zoo) -> None:
    store = Store.create(tmp_path / "store")
    task = written(tmp_path, zoo.folder(), head="masked", prompt_tokens=0)
    manual, start = (execute(planned(task, method), store.path) for method in ("manual", "start"))
    assert manual.best_loss == start.best_loss
    assert [m.metrics for m in manual.measurements] == [m.metrics for m in start.measurements]
    assert manual.cost == start.cost


def test_a_run_that_was_stopped_after_its_fit_goes_on_to_the_same_scores(
    tmp_path: Path, zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = planned(written(tmp_path, zoo.folder()), "feature_bilstm:hidden=4")
    whole, cut = Store.create(tmp_path / "whole"), Store.create(tmp_path / "cut")
    expected = execute(spec, whole.path)
    with monkeypatch.context() as patched:
        patched.setattr(Fitted, "score", lambda *given: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            execute(spec, cut.path)
    assert (cut.path / expected.key / JOURNAL).exists()
    found = execute(spec, cut.path)
    assert [m.metrics for m in found.measurements] == [m.metrics for m in expected.measurements]
    assert (found.best_loss, found.evaluations, found.attempts) == (expected.best_loss, 1, 2)
    assert [event for event in found.events if "selected" in event] == [
        event
        for event in expected.events
        if event.startswith("selected on dev: epochs=" if False else "selected on dev")
    ]


def test_runs_of_references_verify(tmp_path: Path, zoo: Zoo) -> None:
    store = Store.create(tmp_path / "store")
    task = written(tmp_path, zoo.folder())
    for method in ("feature_linear", "manual"):
        execute(planned(task, method), store.path)
    verdicts = list(verify(store))
    assert len(verdicts) == 2
    assert all(verdict.agrees for verdict in verdicts), verdicts


def test_a_sweep_runs_the_cheap_ones_once_for_every_task_and_seed(tmp_path: Path, zoo: Zoo) -> None:
    task = written(tmp_path, zoo.folder(), prompt_tokens=2)
    runs = sweep(tmp_path / "store", task, "random", projections=["normal", "uniform"], seeds=range(2)).runs()
    assert runs["optimizer"].value_counts().to_dict() == {
        "random": 4, "calibration": 2, "feature_linear": 2, "manual": 2,
    }  # fmt: skip
    shown = place_baselines(runs)
    assert shown["task"].nunique() == 1
    assert {look.label for look in looks(shown).values()} == {
        "random · normal", "random · uniform", "calibration (sees outputs)", "feature_linear (sees features)", "manual",
    }  # fmt: skip


def test_a_sweep_leaves_them_out_when_told_to_and_on_tasks_without_texts(tmp_path: Path, zoo: Zoo) -> None:
    task = written(tmp_path, zoo.folder(), head="masked")

    def methods(**given: Any) -> set[str]:
        return {spec.optimizer.name for spec in expand_axes(SweepRequest(**{"optimizers": ["random"], **given}))}

    assert methods(tasks=["sphere"]) == {"random"}
    assert methods(tasks=[task], references=False) == {"random"}
    assert methods(tasks=[task]) == {"random", "manual", "in_context", "calibration", "feature_linear"}
    assert "in_context" not in methods(tasks=[task.replace(head="embedding")])
    assert methods(tasks=[task], optimizers=["knn"], references=False) == {"knn"}


def test_a_sweep_leaves_out_with_a_warning_what_nobody_asked_for_and_a_task_does_not_allow(
    tmp_path: Path, zoo: Zoo, caplog: pytest.LogCaptureFixture
) -> None:
    task = written(tmp_path, zoo.folder(), head="masked", prompt_tokens=3)
    # Two examples of these do not fit into the 64 tokens of the model.
    write(tmp_path / "train.jsonl", [{**row, "text": 12 * row["text"]} for row in reviews(8)])
    store = sweep(tmp_path / "store", task, "start", seeds=[0, 1])
    runs = store.runs()
    assert set(runs["status"]) == {"finished"}
    assert set(runs["optimizer"]) == {"start", "manual", "calibration", "feature_linear"}
    (said,) = [record.message for record in caplog.records if "left out" in record.message]
    assert said.startswith("in_context is left out of text")
    assert "demonstrations=1 leave no room for text" in said
    with pytest.raises(InputError, match="demonstrations=1 leave no room for text"):
        sweep(tmp_path / "store", task, "in_context")


def test_a_reference_is_tried_on_the_examples_of_every_seed_before_any_run(tmp_path: Path, zoo: Zoo) -> None:
    task = written(tmp_path, zoo.folder(), head="masked", shots=1, prompt_tokens=3)
    rows = reviews(8)
    train = [train_texts(task, seed)[0] for seed in range(2)]
    assert train[0] != train[1]
    # Only the second seed shows this one.
    long = [{**row, "text": 12 * row["text"]} if row["text"] == train[1] else row for row in rows]
    write(tmp_path / "train.jsonl", long)
    with pytest.raises(InputError, match="demonstrations=1 leave no room for text"):
        sweep(tmp_path / "store", task, "in_context", seeds=[0, 1])
    assert not (tmp_path / "store").exists()


def train_texts(task: Component, seed: int) -> list[str]:
    """Return the train texts of a seed."""
    built = assemble(planned(task, "start", seed=seed)).task
    assert isinstance(built, TextTask)
    return [row.texts[0] for row in built.rows("train")]


def test_a_task_without_texts_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="knn is a reference, which learns from texts, and sphere has none"):
        assemble(planned(parse("sphere")))


def test_what_a_task_does_not_offer_is_said(tmp_path: Path, zoo: Zoo) -> None:
    class Outputs(Blobs):
        offers = ("losses", "outputs")

    assembly = assemble(planned(written(tmp_path, zoo.folder())))
    assert isinstance(assembly.task, Fitted)
    task = assembly.task.inner
    task.texts = Outputs  # type: ignore[method-assign]
    make = REFERENCES.load("feature_linear")
    with pytest.raises(InputError, match="feature_linear sees features, and the task offers only losses, outputs"):
        Fitted(task, "feature_linear", lambda: make(rng=streams(0)("reference")))


def test_what_goes_to_and_fro_is_counted_by_what_it_sees(tmp_path: Path, zoo: Zoo) -> None:
    task = written(tmp_path, zoo.folder())
    costs = {
        name: assemble(planned(task, name)).cost
        for name in ("manual", "calibration", "feature_linear", "feature_bilstm", "model_tuning")
    }
    assert costs["manual"] == costs["calibration"]
    assert costs["manual"].bytes_down == 4 * 2 * 6
    assert costs["feature_linear"].bytes_down == 4 * 16 * 6
    assert costs["feature_bilstm"].bytes_down % costs["feature_linear"].bytes_down == 0
    tuned = costs["model_tuning"]
    assert tuned == Cost(examples=costs["manual"].examples, tokens=costs["manual"].tokens)
    assert costs["manual"].bytes_up_z == costs["feature_linear"].bytes_up_z > 0


def test_in_context_learning_is_estimated_by_the_rows_behind_its_examples(
    tmp_path: Path, zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[int] = []

    def measure(engine: Engine, mode: Mode, some: Sequence[Encoded]) -> float:
        measured.append(max(len(text.ids) for text in some))
        return float(engine.rows_of(some))

    monkeypatch.setattr(backends, "call_seconds", measure)
    task = written(tmp_path, zoo.folder("gpt2"), head="causal")
    fitted = assemble(planned(task, "in_context:demonstrations=1")).task
    assert isinstance(fitted, Fitted)
    assert isinstance(fitted.view, Texts)
    train = fitted.view.local.inputs.of("train")
    rows = fitted.view.local.engine.rows_of(train)
    assert fitted.call_seconds("torch") == rows < sum(len(text.ids) for text in train) / 2
    # Measured on the texts alone: with examples before them that would take minutes on a real model.
    (longest,) = measured
    assert longest < max(len(text.ids) for text in train)


def test_whoever_watches_hears_how_far_a_fit_is(tmp_path: Path, zoo: Zoo) -> None:
    heard: list[float] = []
    execute(
        planned(written(tmp_path, zoo.folder()), "model_tuning:epochs=2,rates=[0.001,0.01]"),
        Store.create(tmp_path / "store").path,
        lambda evaluations, best, replayed: heard.append(evaluations),
    )
    assert heard == [0.25, 0.5, 0.75, 1.0, 1]


def test_a_method_is_an_optimizer_or_a_reference_and_a_name_in_both_is_an_error(
    in_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (method_kind("cma"), method_kind("knn")) == (OPTIMIZERS, REFERENCES)
    with pytest.raises(UnknownNameError, match="did you mean feature_linear"):
        method_kind("feature_lineal")
    Path("guess.py").write_text(FAMILY)
    assert method_kind("./guess.py") is REFERENCES
    info = in_tmp / "theirs-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[dfo_bench.references]\ncma = guess\n")
    monkeypatch.syspath_prepend(in_tmp)
    with pytest.raises(
        PluginError, match=r"two methods are named 'cma': the optimizer .*cma\.py and the reference guess"
    ):
        method_kind("cma")


def test_a_reference_in_a_file_runs_by_its_path(tmp_path: Path, zoo: Zoo) -> None:
    (tmp_path / "guess.py").write_text(FAMILY)
    task = written(tmp_path, zoo.folder())
    runs = sweep(tmp_path / "store", task, str(tmp_path / "guess.py"), references=False).runs()
    assert runs[["optimizer", "projection", "status"]].values.tolist() == [["guess", "reference", "finished"]]


def test_a_fit_that_failed_is_tried_again(tmp_path: Path, zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its one evaluation is its whole budget, and was never answered: a replay could only fail again."""
    spec, store = planned(written(tmp_path, zoo.folder())), Store.create(tmp_path / "store")
    with monkeypatch.context() as broken:
        broken.setattr(REFERENCES.load("knn"), "fit", lambda *given: 1 / 0)
        failed = execute(spec, store.path)
        assert failed.status == "failed"
        assert "ZeroDivisionError" in failed.error
        assert execute(spec, store.path).lost == 1
    mended = execute(spec, store.path)
    assert (mended.status, mended.evaluations, mended.lost, mended.discarded) == ("finished", 1, 2, 0)


def test_a_fit_is_shown_until_its_evaluation_is_counted(tmp_path: Path, zoo: Zoo) -> None:
    heard: list[Event] = []

    class Hearing(Listener):
        def hear(self, event: Event) -> None:
            heard.append(event)

    sweep(tmp_path / "store", written(tmp_path, zoo.folder()), "model_tuning:epochs=1", listener=Hearing())
    assert any(isinstance(event, Advance) for event in heard)
