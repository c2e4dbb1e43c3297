"""The page and the figures of a made-up store: 2 tasks x 3 optimizers x 2 projections x 3 seeds, and its mishaps."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dfo_bench.core import Array
from dfo_bench.errors import InputError
from dfo_bench.report.counting import Counting
from dfo_bench.report.figures import KINDS, save
from dfo_bench.report.figures.curve import draw_curve
from dfo_bench.report.labels import looks
from dfo_bench.report.page.page import build_page
from dfo_bench.report.page.tables import costs, results
from dfo_bench.report.stats.statistics import summary

TEXT, SPHERE = "agnews:prompt_tokens=10", "sphere:dim=1000"
RUDE = 'my<script>alert("x")</script>'
OPTIMIZERS = ["cma:sigma=0.5", "random", RUDE]
PROJECTIONS = ["normal", "uniform"]
FAILED = (TEXT, "random", "normal", 2)
UNFINISHED = (TEXT, RUDE, "uniform", 1)
LOSSLESS = (SPHERE, "random", "uniform", 0)

Frames = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]


def run(**fields: Any) -> dict[str, Any]:
    """Return one row of `runs`: finished, one evaluation of budget 1, unless the fields say otherwise."""
    row: dict[str, Any] = {
        "task": "sphere", "optimizer": "random", "projection": "normal", "dim": 2, "budget": 1, "seed": 0,
        "dev_every": 100, "selection": "incumbent", "status": "finished", "error": "", "best_loss": 1.0,
        "evaluations": 1, "optimum": np.nan,
        "task_seconds": 2.5, "optimizer_seconds": 0.25, "wall_seconds": 3.0, "examples": 64, "tokens": 1500,
        "bytes_up_z": 800, "bytes_up_prompt": 40_000, "bytes_down": 250, "attempts": 1, "repaid": 0, "discarded": 0,
    }  # fmt: skip
    row |= fields
    name = "/".join(str(row[c]) for c in ("task", "optimizer", "projection", "dim", "budget", "selection", "seed"))
    return {"key": hashlib.sha256(name.encode()).hexdigest()[:16], **row}


def curve(key: str, losses: list[float]) -> pd.DataFrame:
    """Return the rows of `curves` of one run that saw these losses; nan is a failed evaluation."""
    best = np.fmin.accumulate(np.where(np.isnan(losses), np.inf, losses))
    evaluations = np.arange(1, len(losses) + 1)
    digests = [f"{key}-{evaluation}" for evaluation in evaluations]
    return pd.DataFrame({"key": key, "evaluation": evaluations, "loss": losses, "best": best, "digest": digests})


def sweep(budget: int = 300) -> Frames:
    """Return runs, curves and measures of the sweep."""
    rng = np.random.default_rng(7)
    runs, curves, measures = [], [], []
    for task, optimizer, projection, seed in product([TEXT, SPHERE], OPTIMIZERS, PROJECTIONS, range(3)):
        case = (task, optimizer, projection, seed)
        status = {FAILED: "failed", UNFINISHED: "unfinished"}.get(case, "finished")
        evaluations = {FAILED: 120, UNFINISHED: 90}.get(case, budget)
        row = run(
            task=task, optimizer=optimizer, projection=projection, seed=seed, dim=200, budget=budget,
            evaluations=evaluations, status=status, error="ValueError: <no> step" if status == "failed" else "",
            optimum=0.0 if task == SPHERE else np.nan,
        )  # fmt: skip
        speed = {"cma:sigma=0.5": 90, "random": 400, RUDE: 180}[optimizer] * (1.3 if projection == "uniform" else 1)
        time = np.arange(1, evaluations + 1)
        if task == SPHERE:
            losses = 1000 * np.exp(-8 * time / speed) * rng.lognormal(0.3 * seed, 0.5, evaluations)
        else:
            losses = 0.6 + 0.8 * np.exp(-time / speed) + 0.03 * seed + rng.exponential(0.08, evaluations)
        losses[rng.random(evaluations) < 0.03] = np.nan
        if case == LOSSLESS:
            losses[:] = np.nan
        own = curve(row["key"], list(losses))
        best = own["best"].to_numpy()
        row["best_loss"] = best[-1] if np.isfinite(best[-1]) else np.nan
        cost = {"task_seconds": 0.04, "optimizer_seconds": 0.001, "examples": 64, "tokens": 2100, "bytes_up_z": 800,
                "bytes_up_prompt": 15_360, "bytes_down": 1024}  # fmt: skip
        row |= {name: each * evaluations for name, each in cost.items()}
        if task == TEXT:
            for at in range(20, evaluations + 1, 20):
                for metric, value in {"accuracy": 1.15 - 0.6 * best[at - 1], "loss": best[at - 1] + 0.1}.items():
                    measures.append((row["key"], at, "dev", metric, value))
                    row[f"dev_{metric}"] = value
            if status == "finished":
                row |= {"test_accuracy": row["dev_accuracy"] - 0.03, "test_loss": row["dev_loss"] + 0.05}
                measures += [(row["key"], budget, "test", m, row[f"test_{m}"]) for m in ("accuracy", "loss")]
        runs.append(row)
        curves.append(own)
    columns = ["key", "evaluation", "split", "metric", "value"]
    return pd.DataFrame(runs), pd.concat(curves, ignore_index=True), pd.DataFrame(measures, columns=columns)


class Page(HTMLParser):
    """What a browser would make of a page: its text without scripts, its figures, its tables, what it would load.

    `figures` are those of single tasks, `compared` those of all together.
    """

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text, self.tags = "", set[str]()
        self.figures, self.compared = list[dict[str, Any]](), list[dict[str, Any]]()
        self.loads, self.scripts, self.buttons = list[str](), 0, list[str]()
        self._inside = ""
        self._json = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.add(tag)
        self._inside = tag
        self._json = given.get("type") == "application/json"
        self.scripts += tag == "script" and not self._json
        self.loads += [value or "" for name, value in attrs if name in ("src", "href", "action")]
        if tag == "button" and "data-group" in given:
            self.buttons.append(given["data-group"] or "")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script" and self._json:
            figure = json.loads(data)
            (self.compared if "axis" in figure else self.figures).append(figure)
        elif self._inside not in ("script", "style"):
            self.text += data


def page_of(runs: pd.DataFrame, curves: pd.DataFrame, measures: pd.DataFrame) -> Page:
    return Page(html_of(runs, curves, measures))


def html_of(
    runs: pd.DataFrame,
    curves: pd.DataFrame,
    measures: pd.DataFrame,
    planned: pd.DataFrame | None = None,
    counting: Counting = Counting.LAST,
) -> str:
    return build_page(
        runs,
        curves,
        measures,
        title="A <b>demo</b>",
        commands=["dfo-bench sweep -t 'a<b>'"],
        provenance={"torch": "2<3"},
        planned=planned,
        counting=counting,
    )


def one_task(*rows: dict[str, Any]) -> Frames:
    """Return the frames of runs of one evaluation each, whose loss is their best_loss."""
    runs = pd.DataFrame(rows)
    curves = [curve(row["key"], [row["best_loss"]] * row["evaluations"]) for row in rows]
    return runs, pd.concat(curves), pd.DataFrame(columns=["key", "evaluation", "split", "metric", "value"])


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


def test_a_table_of_results_shows_spread_gap_and_how_many_runs_have_a_value(frames: Frames) -> None:
    runs = frames[0]
    groups = summary(runs).loc[[TEXT]].droplevel("task")
    table = results(groups, looks(runs))
    names = ["train loss", "dev accuracy", "test accuracy", "gap in accuracy", "finished", "failed"]
    assert table.columns == ["optimizer · projection", *names]
    failed = next(row for row in table.rows if row[0].text == "random · normal")
    assert re.fullmatch(r"\d\.\d{3} ± \d\.\d{3}", failed[1].text)
    assert (failed[1].note, failed[3].note, failed[5].text, failed[6].text) == ("", "n = 2", "2 of 3", "1")
    assert failed[4].text == "0.030 ± 0.000"


def test_a_table_of_costs_is_the_mean_of_a_run_in_units_for_people(frames: Frames) -> None:
    runs = frames[0]
    table = costs(summary(runs).loc[[TEXT]].droplevel("task"), looks(runs))
    row = dict(zip(table.columns, [cell.text for cell in table.rows[0]], strict=True))
    assert row == {
        "optimizer · projection": "cma:sigma=0.5 · normal", "task time": "12.0 s", "optimizer time": "300 ms",
        "optimizer's share": "2.4 %", "calls": "300", "examples": "19,200", "tokens": "630,000",
        "upload as z": "240 kB",
        "upload as prompt": "4.61 MB", "download": "307 kB",
    }  # fmt: skip


def test_what_costs_nothing_has_no_column() -> None:
    runs, _, _ = one_task(run(tokens=0, examples=0, bytes_up_z=0, bytes_up_prompt=0, bytes_down=0))
    table = costs(summary(runs).droplevel("task"), looks(runs))
    assert table.columns[1:] == ["task time", "optimizer time", "optimizer's share", "calls"]


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
    page = page_of(runs, curves, pd.DataFrame(columns=["key", "evaluation", "split", "metric", "value"]))
    (figure,) = page.figures
    line = figure["groups"]["start · normal"]["bands"]["evaluation"]
    assert [list(numbers(line[name])) for name in ("x", "median")] == [[1, 9], [0.5, 0.5]]
    assert looks(runs)["start", "normal", 2, 1, 100, "incumbent"].dash == "dash"
    assert "budget 9 · seeds" in page.text
    assert "Budgets differ" not in page.text
    assert [row[0].text for row in results(summary(runs).droplevel("task"), looks(runs)).rows] == [
        "start · normal",
        "random · normal",
    ]
    lines = draw_curve(runs, curves).axes[0].lines
    dashed = [np.asarray(line.get_xdata()).tolist() for line in lines if line.get_linestyle() == "--"]
    assert [1, 9] in dashed


def numbers(packed: str) -> Array:
    """Return the numbers that the page packs for its script."""
    return np.frombuffer(base64.b64decode(packed), "<f4").astype(float)


def test_a_panel_of_dev_says_which_candidate_is_scored() -> None:
    for rules, scored in {
        ("current",): "current candidate",
        ("incumbent", "current"): "incumbent or current candidate",
    }.items():
        runs, curves, measures = one_task(*(run(selection=rule) for rule in rules))
        measures.loc[0] = [runs["key"][0], 1, "dev", "accuracy", 0.5]
        assert f"Dev accuracy of the {scored}" in page_of(runs, curves, measures).text


def test_peak_memory_is_a_cost_where_it_is_known() -> None:
    runs, _, _ = one_task(run(peak_memory=2.5e9, peak_device_memory=np.nan), run(optimizer="cma", peak_memory=np.nan))
    table = costs(summary(runs).droplevel("task"), looks(runs))
    assert [row[table.columns.index("peak memory")].text for row in table.rows] == ["—", "2.5 GB"]
    assert "peak GPU memory" not in table.columns


def test_calls_lost_to_interruptions_are_told() -> None:
    page = page_of(*one_task(run(repaid=20, discarded=1000)))
    assert "20 calls that were paid twice" in page.text
    assert "1,000 that were discarded" in page.text


@pytest.mark.parametrize(("style", "width"), [("one-column", 3.4), ("two-column", 7.0)])
@pytest.mark.parametrize("suffix", ["png", "pdf", "svg"])
def test_a_figure_has_a_panel_a_task_and_is_the_same_file_every_time(
    frames: Frames, tmp_path: Path, style: str, width: float, suffix: str
) -> None:
    files = [tmp_path / f"{name}.{suffix}" for name in "ab"]
    for file in files:
        figure = KINDS["curve"](*frames[:2], style=style)
        save(figure, file)
    assert figure.get_figwidth() == width
    assert [axes.get_title() for axes in figure.axes] == [TEXT, SPHERE]
    assert {(axes.get_xlabel(), axes.get_ylabel()) for axes in figure.axes} == {
        ("evaluations", "loss of the incumbent")
    }
    assert [axes.get_yscale() for axes in figure.axes] == ["linear", "log"]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_legend_names_a_line_once_where_tasks_have_budgets_of_their_own() -> None:
    runs, curves, _ = one_task(run(budget=3, evaluations=3), run(task="ackley", budget=2, evaluations=2))
    (legend,) = draw_curve(runs, curves).legends
    assert len(legend.get_texts()) == 1


def test_the_lines_of_a_figure_differ_without_colour(frames: Frames) -> None:
    figure = draw_curve(*frames[:2])
    lines = [line for line in figure.axes[0].lines if np.size(line.get_xdata())]
    assert len({(line.get_marker(), str(line.get_linestyle())) for line in lines}) == len(lines) == 6


def test_a_name_that_reads_like_a_formula_is_drawn_as_it_is(tmp_path: Path) -> None:
    runs, curves, _ = one_task(run(optimizer="a$b$_{", task="c$d$_{"))
    save(draw_curve(runs, curves), tmp_path / "curve.svg")


def test_what_cannot_be_drawn_is_refused_with_the_reason(tmp_path: Path) -> None:
    runs, curves, _ = one_task(run(best_loss=np.inf, status="failed"))
    with pytest.raises(InputError, match="nothing to draw: no group of the 1 run"):
        draw_curve(runs, curves)
    with pytest.raises(InputError, match="no style 'poster'; there are: one-column, two-column"):
        draw_curve(runs, curves, style="poster")
    with pytest.raises(InputError, match=r"curve.bmp.*\.png, \.pdf, \.svg"):
        save(draw_curve(*one_task(run())[:2]), tmp_path / "curve.bmp")
    assert not list(tmp_path.iterdir())
