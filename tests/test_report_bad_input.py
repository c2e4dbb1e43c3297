"""Stores that allow few conclusions or none: the page says which, divides by nothing and draws no empty figure."""

import re
import warnings

import numpy as np
import pandas as pd
import pytest

from dfo_bench.report.counting import Counting
from tests.frames import Frames, one_task, run
from tests.pages import Page, html_of, numbers, page_of


def told(*rows: dict[str, object], measures: pd.DataFrame | None = None) -> Page:
    """Return the page of runs whose curves stay at their best loss; a division by 0 or an empty mean is an error."""
    runs, curves, none = one_task(*rows)
    with warnings.catch_warnings(), np.errstate(divide="raise"):
        warnings.simplefilter("error")
        page = page_of(runs, curves, none if measures is None else measures)
    return whole(page)


def whole(page: Page) -> Page:
    """Check that every figure of a page has something to draw."""
    for figure in page.figures + page.compared:
        assert figure["groups"]
        for group in figure["groups"].values():
            for band in group["bands"].values():
                assert len(numbers(band["x"])) == len(numbers(band["median"])) > 0
                assert np.isfinite(numbers(band["median"])).all()
    return page


def test_no_finished_run() -> None:
    page = told(*(run(optimizer=o, seed=s, budget=9, evaluations=3, status="unfinished") for o in "ab" for s in (0, 1)))
    assert "No run has finished: everything below is preliminary." in page.text
    assert "12 of 36 evaluations are made." in page.text


def test_runs_that_have_not_begun() -> None:
    frames = one_task(run(budget=9, evaluations=9))
    planned = pd.DataFrame({"key": ["c" * 16, "d" * 16], "budget": [9, 4]})
    waiting = Page(html_of(*frames, planned=planned))
    assert "3 runs: 1 finished, 0 failed, 0 unfinished, 2 not begun." in waiting.text
    assert "9 of 22 evaluations are made." in waiting.text
    runs, curves, measures = (frame.iloc[:0] for frame in frames)
    empty = Page(html_of(runs, curves, measures, planned=planned.head(1)))
    assert "holds no run yet: there is nothing to show; 1 run of its sweep has not begun." in empty.text


def test_one_run() -> None:
    page = told(run())
    assert "Every group has one seed: there is no spread" in page.text
    assert "What these runs cannot tell" in page.text
    assert "there is only random · normal; run another" in page.text
    assert "Verdicts" not in page.text


def test_one_seed() -> None:
    page = told(*(run(optimizer=o, best_loss=loss) for o, loss in (("cma", 1.0), ("random", 2.0), ("sre", 3.0))))
    assert "no difference here can be told from chance" in page.text
    assert "undecided: one seed shows no spread" in page.text
    assert "3 methods and 2 blocks" in page.text


def test_curves_of_different_budgets() -> None:
    rows = [run(optimizer=o, seed=s, budget=b, evaluations=b, best_loss=1 + s / b)
            for o, b in (("cma", 5), ("random", 8)) for s in range(3)]  # fmt: skip
    page = told(*rows)
    assert "Budgets differ within a task" in page.text
    ends = {label: numbers(group["bands"]["evaluation"]["x"])[-1] for label, group in page.figures[0]["groups"].items()}
    assert sorted(ends.values()) == [5, 8]


def test_tasks_whose_losses_differ_by_orders_of_magnitude() -> None:
    frames = [
        one_task(
            *(run(task=task, optimizer=o, seed=s, budget=3, evaluations=3) for o in ("cma", "random") for s in (0, 1))
        )
        for task in ("huge", "tiny")
    ]
    runs, curves = (pd.concat([frame[i] for frame in frames], ignore_index=True) for i in (0, 1))
    task = curves["key"].map(runs.set_index("key")["task"])
    better = np.where(curves["key"].map(runs.set_index("key")["optimizer"]) == "cma", 0.5, 0.9)
    curves["best"] = curves["loss"] = task.map({"huge": 1e12, "tiny": 1e-12}) * better ** curves["evaluation"]
    runs["best_loss"] = curves.groupby("key")["best"].min().reindex(runs["key"]).to_numpy()
    page = whole(page_of(runs, curves, frames[0][2]))
    # On one scale each, not a mean over both: the tiny task counts as much as the huge one.
    assert "Loss on one scale" in page.text
    assert page.text.count("1.250e+11") == 1
    assert page.text.count("1.250e-13") == 1


@pytest.mark.parametrize(("counting", "ranks"), [("last", "1.00 2.00"), ("worst", "3.00 1.00"), ("drop", "")])
def test_failed_runs_count_by_the_rule_that_was_chosen(counting: str, ranks: str) -> None:
    failed = {"status": "failed", "error": "ValueError: no", "best_loss": 1.0}
    rows = [run(optimizer=o, seed=s, budget=9, evaluations=5 if o == "cma" else 9, **({"best_loss": 2.0} | more))
            for o, more in (("cma", failed), ("random", {}), ("sre", {"best_loss": 3.0})) for s in (0, 1)]  # fmt: skip
    text = Page(html_of(*one_task(*rows), counting=Counting(counting))).text
    assert Counting(counting).words in text
    found = dict(
        re.findall(r"(cma|random) · normal\s+(\d\.\d\d)\s", text.partition("Mean ranks")[2].partition("Wins")[0])
    )
    assert " ".join(found[name] for name in ("cma", "random") if found) == ranks


@pytest.mark.parametrize("evaluations", [0, 2])
def test_all_runs_failed(evaluations: int) -> None:
    rows = [run(optimizer=o, seed=s, status="failed", error="ValueError: no", best_loss=np.inf, budget=9,
                evaluations=evaluations, task_seconds=0.0, optimizer_seconds=0.0)
            for o in ("cma", "random", "sre") for s in (0, 1)]  # fmt: skip
    page = told(*rows)
    assert page.figures == []
    assert page.compared == [] or all(figure["groups"] for figure in page.compared)
    assert "No run has finished" in page.text
    assert page.text.count("had no successful evaluation") == 3
    assert "there is no curve to draw" in page.text
    assert "What these runs cannot tell" in page.text
    assert page.text.count("ValueError: no") == 6


def test_a_metric_that_some_runs_lack() -> None:
    rows = [run(optimizer=o, seed=s, test_accuracy=0.5 + 0.1 * s if o == "cma" else np.nan)
            for o in ("cma", "random") for s in range(3)]  # fmt: skip
    measures = pd.DataFrame(
        [(row["key"], 1, "dev", "accuracy", 0.5) for row in rows if row["optimizer"] == "cma"],
        columns=["key", "evaluation", "split", "metric", "value"],
    )
    page = told(*rows, measures=measures)
    accuracy = next(figure for figure in page.figures if figure["value"] == "dev accuracy")
    assert list(accuracy["groups"]) == ["cma · normal"]
    assert "Dev accuracy: too few runs of random · normal have it." in page.text


def test_a_name_of_markup_in_every_place() -> None:
    rude = "</script><b onclick='x'>&amp;\"日本"
    failed = {"status": "failed", "error": rude}
    rows = [run(task=rude, optimizer=f"{rude}{i}", projection=rude, seed=s, best_loss=i + s, **failed)
            for i in (1, 2, 3) for s in (0, 1)]  # fmt: skip
    page = told(*rows)
    assert "b" not in page.tags
    assert page.scripts == 2
    assert rude in page.text


def test_costs_that_nothing_has() -> None:
    frames: Frames = one_task(run(examples=0, tokens=0, bytes_up_z=0, bytes_up_prompt=0, bytes_down=0))
    page = whole(page_of(*frames))
    assert list(page.figures[0]["groups"]["random · normal"]["bands"]) == ["evaluation"]


def test_losses_at_the_ends_of_floats() -> None:
    rows = [run(optimizer=o, seed=s, budget=3, evaluations=3, best_loss=loss * (1 if s % 2 else -1))
            for o, loss in (("cma", 1e308), ("random", 1.7e308), ("sre", 1e42)) for s in range(4)]  # fmt: skip
    page = told(*rows)
    assert "cma · normal on sphere: 4 of its runs reached a loss beyond ±1e+100, which counts as that." in page.text
    # 32-bit floats have no room for these: they are lists.
    band = page.figures[0]["groups"]["cma · normal"]["bands"]["evaluation"]
    assert (band["lower"], band["upper"]) == ([-1e100] * 3, [1e100] * 3)
    assert "0.000e+00 ± 1.155e+100" in page.text


def test_losses_below_the_range_of_32_bit_floats_keep_their_digits() -> None:
    page = told(*(run(optimizer=o, best_loss=loss) for o, loss in (("cma", 1e-50), ("random", 3e-50))))
    assert page.figures[0]["groups"]["cma · normal"]["bands"]["evaluation"]["median"] == [1e-50]
