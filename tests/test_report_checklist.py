"""The checklist that a store fills: what was done, and plainly what was not."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from dfo_bench.cli import app
from dfo_bench.errors import InputError
from dfo_bench.report.checklist import Topic, checklist, markdown
from tests import frames
from tests.frames import run
from tests.pages import page_of


def topics(runs: pd.DataFrame, planned: int = 0, **provenance: str) -> dict[str, Topic]:
    return {topic.name: topic for topic in checklist(runs, provenance, pd.DataFrame(index=range(planned)))}


def test_it_has_the_eight_topics_of_its_source_in_their_order() -> None:
    assert list(topics(frames.sweep()[0])) == [
        "Goals", "Problems", "Algorithms", "Measures", "Analysis", "Design", "Presentation", "Reproducibility",
    ]  # fmt: skip


def test_it_says_what_was_done_with_the_numbers_of_the_store() -> None:
    found = topics(frames.sweep()[0])
    assert "6 methods are compared on 2 tasks by the loss within a budget." in found["Goals"].done
    assert "The optimum is known of 1 task." in found["Problems"].done
    assert "Random search is among them." in found["Algorithms"].done
    assert "On test, once, of the point that dev selects: accuracy, loss." in found["Measures"].done
    assert "Robustness: 1 run of 36 failed." in found["Measures"].done
    assert "Ranks over 6 blocks of task and seed: Friedman's test, Nemenyi's distance." in found["Analysis"].done
    assert "Every method ran on every task." in found["Design"].done


def test_it_says_plainly_what_was_not_done() -> None:
    found = topics(pd.DataFrame([run(optimizer="cma", budget=4)]), planned=3)
    assert "1 method that searches: nothing is compared." in found["Goals"].missing
    assert "Each task has one instance: one seed." in found["Problems"].missing
    assert "No random search to compare with." in found["Algorithms"].missing
    assert "Nothing was scored on test: generalisation was not measured." in found["Measures"].missing
    assert "There are no two methods to test." in found["Analysis"].missing
    assert "Seeds per method and task are few: 1." in found["Design"].missing
    assert "3 runs of the sweep have not ended." in found["Design"].missing
    assert "The revision is not known." in found["Reproducibility"].missing


def test_methods_that_are_not_crossed_with_tasks_or_differ_in_seeds_and_budgets_are_said() -> None:
    rows = [("a", "cma", 0, 4), ("a", "random", 0, 8), ("a", "random", 1, 8), ("b", "cma", 0, 4)]
    runs = pd.DataFrame([run(task=t, optimizer=o, seed=s, budget=b) for t, o, s, b in rows])
    assert set(topics(runs)["Design"].missing) >= {
        "Not every method ran on every task.", "Methods have different numbers of seeds.",
        "Budgets differ within a task.", "Seeds per method and task are few: 1 to 2.",
    }  # fmt: skip


def test_a_race_is_a_design_and_an_analysis_that_was_made() -> None:
    rows = [run(optimizer=o, seed=s, budget=4, race_margin=0.02, race_seeds=30) for o in ("cma", "x") for s in range(6)]
    found = {topic.name: topic for topic in checklist(pd.DataFrame(rows), {"git revision": "1a+"})}
    assert "A difference that does not matter was set before the race: 0.02 of the loss." in found["Goals"].done
    assert "The number of seeds was not fixed: undecided pairs had more, up to 30." in found["Design"].done
    assert any("confidence sequences" in said for said in found["Analysis"].done)
    assert "Revision 1a had changes of its own." in found["Reproducibility"].missing


def test_references_alone_are_no_search() -> None:
    found = topics(pd.DataFrame([run(optimizer="knn", projection="reference", baseline=False)]))
    assert "Nothing searches." in found["Algorithms"].missing
    assert "Baselines and references: knn." in found["Algorithms"].done


def test_as_markdown_what_was_done_is_ticked_and_names_are_escaped() -> None:
    text = markdown([Topic("Goals", ["one_plus_one ran."], ["No question."])])
    assert text.endswith("## Goals\n\n- [x] one\\_plus\\_one ran.\n- [ ] No question.\n")
    assert "arXiv:2007.03488" in text


def test_the_page_has_it() -> None:
    rows = [run(optimizer=name, budget=4) for name in ("cma", "random")]
    page = page_of(*frames.one_task(*rows))
    assert "✗ No difference that matters was set beforehand." in page.text


def test_a_store_without_runs_and_a_file_of_another_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the store holds no run yet"):
        checklist(pd.DataFrame(columns=["key"], dtype=np.float64), {})
    result = CliRunner().invoke(app, ["checklist", "--store", str(tmp_path), "--output", "list.pdf"])
    assert isinstance(result.exception, InputError)
