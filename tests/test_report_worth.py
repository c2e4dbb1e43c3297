"""What a search adds to what needs none: one table per question, and the answer in words."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from dfo_bench.cli import app
from dfo_bench.predicted import pack
from dfo_bench.report.worth import Worth, worth
from dfo_bench.runs.columns import PREDICTIONS
from dfo_bench.store.store import Store
from tests.frames import run
from tests.text_runs import planned
from tests.tiny_lm import Zoo

BARE, SEARCH = "desk:prompt_tokens=0,shots=8", "desk:prompt_tokens=5,shots=8"
TRUTH = np.array([0] * 180 + [1] * 120)


def scored(task: str, optimizer: str, dev: float, *tests: float, **fields: Any) -> list[dict[str, Any]]:
    """Return runs of seeds 0, 1... with these accuracies."""
    return [
        run(
            task=task, optimizer=optimizer, seed=seed, metric="accuracy", dev_accuracy=dev, test_accuracy=test,
            train_rows=16, dev_rows=16, test_rows=300, tokens=100, measuring_tokens=900, **fields,
        )
        for seed, test in enumerate(tests)
    ]  # fmt: skip


def frames(manual: float, *cma: float, **fields: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return a manual prompt of this accuracy and searches of these, each right on the first so many rows."""
    reference = {"baseline": True, "projection": "reference", "dim": 0}
    runs = pd.DataFrame([
        *scored(BARE, "manual", 0.6, *[manual] * len(cma), **reference),
        *scored(BARE, "knn", 0.5, *[0.1] * len(cma), **reference),
        *scored(SEARCH, "cma", 0.7, *cma, **fields),
        *scored(SEARCH, "random", 0.6, *[0.2] * len(cma), **fields),
    ])  # fmt: skip
    rows = []
    for key, share in zip(runs["key"], runs["test_accuracy"], strict=True):
        right = np.arange(300) < round(300 * share)
        rows.append((key, "test", "accuracy", "x", pack(TRUTH), pack(np.where(right, TRUTH, 1 - TRUTH))))
    return runs, pd.DataFrame(rows, columns=PREDICTIONS)


def answer(manual: float, *cma: float) -> str:
    (one,) = worth(*frames(manual, *cma))
    return one.answer


def cells(one: Worth) -> dict[str, list[str]]:
    return {row[0].text: [f"{cell.note} {cell.text}".strip() for cell in row[1:]] for row in one.table.rows}


def test_one_table_has_what_needs_no_search_and_then_the_searches() -> None:
    (one,) = worth(*frames(0.5, 0.6, 0.6))
    assert one.task == "desk:shots=8"
    assert one.tasks == {BARE, SEARCH}
    assert one.table.columns[1:4] == ["test, 300 rows", "dev, 16 rows", "train loss, 16 rows"]
    found = cells(one)
    assert list(found) == ["majority class", "guessing one of 2", "manual", "knn", "cma", "random"]
    assert found["majority class"][0] == "60.0"
    assert found["guessing one of 2"][:3] == ["50.0", "—", "0.693"]
    assert found["manual"][:2] == ["50.0 (44.4 to 55.6)", "60.0"]
    assert found["manual"][3:] == ["1", "2.8 s", "1,000"]


def test_the_answer_names_what_the_best_search_adds_to_the_best_reference() -> None:
    assert answer(0.5, 0.6, 0.6).startswith(
        "Yes: the best search by dev, cma, has 60.0 % on test, the best reference by dev, manual, 50.0 %. The "
        "search adds 10.0 points (95 % interval 6."
    )
    assert answer(0.6, 0.5).startswith("No: the best search by dev")


@pytest.mark.parametrize("cma", [[0.51], [0.51, 0.51], [0.45, 0.6]])
def test_what_the_rows_or_the_seeds_cannot_show_is_not_claimed(cma: list[float]) -> None:
    said = answer(0.5, *cma)
    assert said.startswith("Not shown")
    assert said.endswith(f"nothing that 300 test rows and {len(cma)} seed{'s' * (len(cma) > 1)} can show.")


def test_a_mean_over_other_seeds_is_marked() -> None:
    runs, predictions = frames(0.5, 0.6, 0.6)
    runs = runs[~((runs["optimizer"] == "random") & (runs["seed"] == 1))]
    (one,) = worth(runs, predictions)
    assert cells(one)["random"][0].startswith("seed 0 20.0")
    assert not cells(one)["cma"][0].startswith("seed")


def test_prompts_modes_and_models_are_answers_to_one_question_and_shots_are_another() -> None:
    runs, predictions = frames(0.5, 0.6, 0.6)
    other = [
        runs.assign(task=runs["task"] + ",mode=cat,model=b", key=runs["key"] + "b"),
        runs.assign(task=runs["task"].str.replace("shots=8", "shots=4"), key=runs["key"] + "c"),
    ]
    found = worth(pd.concat([runs, *other]), predictions)
    assert [one.task for one in found] == ["desk:shots=4", "desk:shots=8"]
    assert {"cma", "cma · model=b", "manual · model=b"} <= set(cells(found[1]))


def test_without_a_reference_a_search_or_a_score_there_is_nothing_to_ask() -> None:
    runs, predictions = frames(0.5, 0.6, 0.6)
    for some in (runs[runs["baseline"]], runs[~runs["baseline"].astype(bool)], runs.assign(test_accuracy=np.nan)):
        assert worth(some, predictions) == []
    (old,) = worth(runs, predictions[:0])
    assert list(cells(old)) == ["manual", "knn", "cma", "random"]


def test_a_sweep_ends_with_the_answer_and_the_page_begins_with_it(tmp_path: Path, zoo: Zoo) -> None:
    store = Store.create(tmp_path / "store")
    task = planned(store, zoo.folder()).task
    said = CliRunner().invoke(
        app, ["sweep", "-t", str(task), "-o", "random", "-b", "4", "-d", "3", "-s", "0-1", "--store", str(store.path)]
    )
    assert said.exit_code == 0
    *_, last, hint = said.stdout.strip().splitlines()
    assert hint.startswith("compare them with")
    assert last.startswith(("Yes: ", "No: ", "Not shown: "))
    assert "Was it worth it?" in said.stdout
    assert "results: mean" not in said.stdout
    assert CliRunner().invoke(app, ["report", "--store", str(store.path)]).exit_code == 0
    page = (store.path / "report.html").read_text()
    assert page.index("<h2>Was it worth it?</h2>") < page.index("<h2>The methods compared</h2>")
