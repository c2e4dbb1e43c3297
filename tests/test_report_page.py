"""The page of a made-up sweep with its mishaps, and of stores of few runs."""

import re

import numpy as np
import pandas as pd
import pytest

from dfo_bench.report.figures import KINDS
from dfo_bench.report.labels import looks
from dfo_bench.report.page.tables import tabulate_results
from dfo_bench.report.stats.groups import summarise
from tests.frames import NO_MEASURES, OPTIMIZERS, PROJECTIONS, RUDE, SPHERE, TEXT, Frames, one_task, run, sweep
from tests.pages import Page, html_of, numbers, page_of


@pytest.fixture(scope="module")
def frames() -> Frames:
    return sweep()


@pytest.fixture(scope="module")
def html(frames: Frames) -> str:
    return html_of(*frames)


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_the_page_shows_every_group_of_every_task(page: Page) -> None:
    labels = [f"{optimizer} · {projection}" for optimizer in OPTIMIZERS for projection in PROJECTIONS]
    assert sorted(page.buttons) == sorted(labels * 3)
    assert all(page.text.count(label) >= 2 * 3 for label in labels)
    assert TEXT in page.text
    assert SPHERE in page.text


def test_a_task_has_panels_for_train_and_dev_and_a_task_without_dev_only_for_its_loss(page: Page) -> None:
    titles = re.findall(r"(?:Train|Dev|Loss).* of the incumbent", page.text)
    assert titles == [
        "Train loss of the incumbent", "Dev accuracy of the incumbent", "Dev loss of the incumbent",
        "Loss of the incumbent",
    ]  # fmt: skip
    assert [figure["log"] for figure in page.figures] == [False] * 3 + [True]


def test_every_group_of_a_panel_has_a_band_and_its_runs(page: Page) -> None:
    for figure in page.figures:
        assert list(figure["groups"]) == sorted(set(page.buttons))
        assert {run["group"] for run in figure["runs"]} == set(page.buttons)
        for group in figure["groups"].values():
            band = {name: numbers(packed) for name, packed in group["bands"]["evaluation"].items()}
            assert (np.diff(band["x"]) > 0).all()
            assert (band["lower"] <= band["median"]).all()
            assert not (band["median"] > band["upper"]).any()  # nan where the quartile is a run without a loss


def test_a_single_run_is_thinned_to_steps_of_its_own_and_ends_where_it_ended(frames: Frames, page: Page) -> None:
    runs, curves, _ = frames
    figure = page.figures[3]
    one = next(run for run in figure["runs"] if run["group"] == "random · normal" and run["seed"] == 1)
    picked = runs[(runs["task"] == SPHERE) & (runs["optimizer"] == "random") & (runs["seed"] == 1)]
    own = curves[curves["key"] == picked[picked["projection"] == "normal"]["key"].item()]
    at, value = numbers(one["at"]["evaluation"]), numbers(one["value"])
    assert at[-1] == 300
    assert value == pytest.approx(own["best"].to_numpy()[at.astype(int) - 1], rel=1e-6)
    assert one["each"] == {
        "examples": 64,
        "tokens": 2100,
        "bytes_up_z": 800,
        "bytes_up_prompt": 15360,
        "bytes_down": 1024,
    }


def test_the_page_loads_nothing(html: str, page: Page) -> None:
    style = html.partition("<style>")[2].partition("</style>")[0]
    assert page.loads == []
    assert page.scripts == 2
    assert "default-src 'none'" in html
    assert "url(" not in style
    assert "@import" not in style
    assert page.tags.isdisjoint({"link", "img", "iframe", "object"})


def test_names_commands_and_errors_are_text_and_never_markup(html: str, page: Page) -> None:
    assert "<script>alert" not in html
    for given in (RUDE, "A <b>demo</b>", "ValueError: <no> step", "dfo-bench sweep -t 'a<b>'", "2<3"):
        assert given in page.text
    assert "b" not in page.tags


def test_failed_and_unfinished_runs_are_listed_and_counted(frames: Frames, page: Page) -> None:
    assert "36 runs: 34 finished, 1 failed, 1 unfinished." in page.text
    assert "10,410 of 10,800 evaluations are made" in page.text
    assert "120 of 300" in page.text
    assert "90 of 300" in page.text
    for key in frames[0].loc[frames[0]["status"] != "finished", "key"]:
        assert key in page.text


def test_an_empty_store_makes_a_page_that_says_so() -> None:
    empty = page_of(pd.DataFrame(), pd.DataFrame(), pd.DataFrame())
    assert "holds no run yet" in empty.text
    assert "dfo-bench sweep" in empty.text
    assert empty.figures == []


def test_one_run_has_a_curve_and_no_spread() -> None:
    page = page_of(*one_task(run(best_loss=0.5)))
    assert "1 run: 1 finished" in page.text
    assert "there is no spread" in page.text
    assert "0.500" in page.text
    assert " ± 0" not in page.text
    assert len(page.figures) == 1


def test_where_all_runs_failed_without_a_loss_the_page_has_no_empty_figure() -> None:
    page = page_of(*one_task(*(run(seed=s, status="failed", error="no", best_loss=np.inf) for s in range(2))))
    assert page.figures == []
    assert "there is no curve to draw" in page.text
    assert "No run has finished" in page.text


def test_a_store_whose_only_run_waits_makes_a_page() -> None:
    page = page_of(*one_task(run(status="unfinished", evaluations=0, best_loss=np.inf)))
    assert "0 of 1 evaluations are made" in page.text
    assert page.figures == []


def test_groups_of_different_budgets_stand_apart() -> None:
    page = page_of(*one_task(run(budget=2, evaluations=2), run(budget=3, evaluations=3)))
    assert sorted(set(page.buttons)) == ["random · normal · budget=2", "random · normal · budget=3"]
    assert "Budgets differ" in page.text


def test_a_baseline_is_a_level_dashed_line_from_end_to_end_and_a_row_like_any_other() -> None:
    runs, curves, _ = one_task(run(budget=9, evaluations=9), run(optimizer="start", best_loss=0.5))
    page = page_of(runs, curves, NO_MEASURES)
    (figure,) = page.figures
    line = figure["groups"]["start · normal"]["bands"]["evaluation"]
    assert [list(numbers(line[name])) for name in ("x", "median")] == [[1, 9], [0.5, 0.5]]
    assert looks(runs)["start", "normal", 2, 1, 100, "incumbent"].dash == "dash"
    assert "budget 9 · seeds" in page.text
    assert "Budgets differ" not in page.text
    assert [row[0].text for row in tabulate_results(summarise(runs).droplevel("task"), looks(runs)).rows] == [
        "start · normal",
        "random · normal",
    ]
    lines = KINDS["curve"].draw(runs, curves).axes[0].lines
    dashed = [np.asarray(line.get_xdata()).tolist() for line in lines if line.get_linestyle() == "--"]
    assert [1, 9] in dashed


def test_a_panel_of_dev_says_which_candidate_is_scored() -> None:
    for rules, scored in {
        ("current",): "current candidate",
        ("incumbent", "current"): "incumbent or current candidate",
    }.items():
        runs, curves, measures = one_task(*(run(selection=rule) for rule in rules))
        measures.loc[0] = [runs["key"][0], 1, "dev", "accuracy", 0.5]
        assert f"Dev accuracy of the {scored}" in page_of(runs, curves, measures).text


def test_calls_lost_to_interruptions_are_told() -> None:
    page = page_of(*one_task(run(repaid=20, discarded=1000)))
    assert "20 calls that were paid twice" in page.text
    assert "1,000 that were discarded" in page.text
