"""A manual prompt and in-context learning stand where the searches are that they are baselines of."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from dfo_bench.cli import app
from dfo_bench.lm import TextTask
from dfo_bench.report.baselines import drop_baselines, place_baselines
from dfo_bench.report.figures import KINDS
from dfo_bench.report.labels import looks
from dfo_bench.report.rules import AXES, Rules
from dfo_bench.report.stats.standings import standings
from dfo_bench.runs.titles import PROMPT
from tests.frames import NO_MEASURES, Case, store_of
from tests.pages import Page, html_of, numbers
from tests.tiny_lm import Zoo, reviews, write

SEARCHED = "desk:prompt_tokens=5"
MANUAL, SHOWN = "desk:prompt_tokens=0", "desk:demonstrations=2,prompt_tokens=0"
FALLING = [1.0, 0.9, 0.5, 0.4]


def store(searched: list[str], bare: dict[str, float], **fields: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the runs of two optimizers on each searched task, and of `start` on each bare one, of two seeds."""
    seen: dict[Case, list[float]] = {
        (task, name, seed): [loss + 0.1 * seed + 0.05 * place for loss in FALLING]
        for task in searched for place, name in enumerate(("cma", "random")) for seed in (0, 1)
    }  # fmt: skip
    seen |= {(task, "start", seed): [loss + 0.1 * seed] for task, loss in bare.items() for seed in (0, 1)}
    costs = {"examples": 10, "tokens": 100}
    given: dict[str, dict[Case, Any]] = {
        "dim": {case: 0 for case in seen if case[0] in bare},
        **{name: {case: each * len(losses) for case, losses in seen.items()} for name, each in costs.items()},
    }
    return store_of(seen, **{**given, **fields})


def test_a_task_without_dimensions_stands_with_the_search_that_differs_in_its_prompt_alone() -> None:
    runs, _ = store([SEARCHED], {MANUAL: 0.8, SHOWN: 0.6})
    shown = place_baselines(runs)
    assert list(shown["task"].unique()) == [SEARCHED]
    assert sorted(look.label for look in looks(shown).values()) == [
        "cma · normal", "random · normal", "start · demonstrations=2,prompt_tokens=0", "start · prompt_tokens=0",
    ]  # fmt: skip
    assert list(drop_baselines(runs)["optimizer"].unique()) == ["cma", "random"]


@pytest.mark.parametrize(
    ("searched", "bare", "stands"),
    [
        ("desk", "desk:prompt_tokens=0", True),
        ("desk:mode=cat", "desk:prompt_tokens=0", True),
        ("text:train=a", 'text:prompt_tokens=0,template="{text}, in short: [MASK]",train=a', True),
        ("desk:prompt_tokens=5,words={\"a\":1,\"b\":2}", "desk:prompt_tokens=0,words={\"b\":2,\"a\":1}", True),
        ("desk:model=a", "desk:prompt_tokens=0", False),
        ("desk:loss=hinge,model=a", "desk:loss=ce,model=a,prompt_tokens=0", False),
        ("desk:shots=4", "desk:prompt_tokens=0,shots=8", False),
        ("other", "desk:prompt_tokens=0", False),
        ("f(x, y) = [", "desk:prompt_tokens=0", False),
    ],
)  # fmt: skip
def test_losses_must_be_comparable_by_every_other_parameter(searched: str, bare: str, *, stands: bool) -> None:
    runs, _ = store([searched], {bare: 0.8})
    assert set(place_baselines(runs)["task"]) == ({searched} if stands else {searched, bare})
    assert set(drop_baselines(runs)["task"]) == ({searched} if stands else {searched, bare})


def test_it_stands_with_each_of_several_searches_and_alone_where_there_is_none() -> None:
    runs, _ = store(["desk", SEARCHED], {MANUAL: 0.8})
    assert place_baselines(runs).query("optimizer == 'start'")["task"].to_list() == ["desk"] * 2 + [SEARCHED] * 2
    alone, _ = store([], {MANUAL: 0.8, SHOWN: 0.6})
    assert place_baselines(alone).equals(alone)
    assert drop_baselines(alone).equals(alone)
    assert place_baselines(pd.DataFrame()).empty


def test_the_start_of_a_search_is_no_task_without_dimensions() -> None:
    runs, _ = store(["desk"], {SEARCHED: 0.8}, dim={})
    assert place_baselines(runs).equals(runs)


def test_a_task_that_is_bare_by_its_defaults_goes_by_its_name() -> None:
    runs, _ = store([SEARCHED], {"desk": 0.8})
    assert "start · desk" in {look.label for look in looks(place_baselines(runs)).values()}


def test_what_changes_nothing_in_a_point_without_dimensions_makes_no_second_baseline() -> None:
    """Its projection and when dev scores it; of runs of one seed the one that has finished counts."""
    runs, _ = store([SEARCHED], {MANUAL: 0.8})
    failed = runs["task"].eq(MANUAL) & runs["seed"].eq(1)
    again = runs[runs["task"] == MANUAL].assign(projection="uniform", dev_every=50)
    again["key"] = again["key"].str.replace("0", "f", n=1)
    runs = runs.assign(status=np.where(failed, "failed", runs["status"]))
    baseline = place_baselines(pd.concat([runs, again])).query("optimizer == 'start'")
    assert baseline[["seed", "status"]].sort_values("seed").values.tolist() == [[0, "finished"], [1, "finished"]]
    assert len(looks(baseline)) == 1


def test_the_page_shows_baselines_in_the_section_of_the_search_and_in_none_of_their_own() -> None:
    runs, curves = store(["desk", SEARCHED], {MANUAL: 0.8, SHOWN: 0.6})
    html = html_of(runs, curves, NO_MEASURES)
    page = Page(html)
    labels = ["cma · normal", "random · normal", "start · demonstrations=2,prompt_tokens=0", "start · prompt_tokens=0"]
    assert html.count("<section data-task") == 2
    assert page.buttons == [*labels[:2], *labels * 2]
    for figure in page.figures:
        assert sorted(figure["groups"]) == labels
        for axis in set(AXES) & set(figure["groups"][labels[0]]["bands"]):
            line, search = ({n: numbers(p) for n, p in figure["groups"][label]["bands"][axis].items()}
                            for label in (labels[3], labels[0]))  # fmt: skip
            assert line["median"].tolist() == pytest.approx([0.85, 0.85])
            assert line["x"][-1] == search["x"][-1]
    assert "budget 4 · seeds 0, 1" in page.text
    assert "Budgets differ" not in page.text
    assert "Not every group" not in page.text
    assert "12 runs: 12 finished" in page.text
    assert 'data-kind="projection"' not in html


def test_verdicts_pair_baselines_by_seed_and_nothing_pools_them_over_tasks() -> None:
    runs, curves = store([SEARCHED], {MANUAL: 0.8})
    with_baseline = Page(html_of(runs, curves, NO_MEASURES))
    searched = runs[runs["task"] == SEARCHED]
    without = Page(html_of(searched, curves[curves["key"].isin(searched["key"])], NO_MEASURES))

    def over_tasks(page: Page) -> str:
        return page.text.partition("The methods compared")[2].partition(SEARCHED)[0]

    assert over_tasks(with_baseline) == over_tasks(without)
    assert with_baseline.compared == without.compared
    assert "0.400 (0.400 to 0.400)" in with_baseline.text


def test_a_failed_baseline_is_listed_once_by_the_name_of_its_own_task() -> None:
    case = (MANUAL, "start", 0)
    runs, curves = store(["desk", SEARCHED], {MANUAL: 0.8}, status={case: "failed"}, error={case: "no <room>"})
    page = Page(html_of(runs, curves, NO_MEASURES))
    assert page.text.count("no <room>") == 1
    assert MANUAL in page.text


def test_where_only_a_baseline_has_run_so_far_the_page_compares_nothing() -> None:
    waiting = {(SEARCHED, name, seed): "unfinished" for name in ("cma", "random") for seed in (0, 1)}
    runs, curves = store([SEARCHED], {MANUAL: 0.8}, status=waiting, evaluations=dict.fromkeys(waiting, 0))
    page = Page(html_of(runs, curves[curves["key"].isin(runs[runs["task"] == MANUAL]["key"])], NO_MEASURES))
    assert "The methods compared" not in page.text
    assert list(page.figures[0]["groups"]) == ["start · prompt_tokens=0"]


@pytest.mark.parametrize("against", ["evaluation", "tokens"])
def test_a_curve_draws_each_baseline_as_a_dashed_line_of_its_own(against: str) -> None:
    runs, curves = store(["desk", SEARCHED], {MANUAL: 0.8, SHOWN: 0.6})
    figure = KINDS["curve"].draw(place_baselines(runs), curves, rules=Rules(against=against))
    assert [axes.get_title() for axes in figure.axes] == ["desk", SEARCHED]
    for axes in figure.axes:
        dashed = [line for line in axes.lines if line.get_linestyle() == "--" and np.size(line.get_xdata())]
        assert sorted(np.asarray(line.get_ydata())[-1] for line in dashed) == pytest.approx([0.65, 0.85])
        assert len({line.get_marker() for line in axes.lines}) == 4
        assert len({np.asarray(line.get_xdata())[-1] for line in axes.lines if np.size(line.get_xdata())}) == 1


def test_a_table_has_one_row_for_the_manual_prompts_of_several_tasks() -> None:
    runs, curves = store(["desk", "mail"], {"desk:prompt_tokens=0": 0.8, "mail:prompt_tokens=0": 0.3})
    table = standings(place_baselines(runs), curves)
    own = table[table["method"] == "start · prompt_tokens=0"]
    assert own[["task", "best"]].values.tolist() == [["desk", False], ["mail", True]]
    assert own["mean"].to_list() == pytest.approx([0.85, 0.35])
    # The budget at which losses are compared is that of the searches.
    assert standings(place_baselines(runs), curves, Rules(budget=3))["mean"].min() == pytest.approx(0.35)


def test_searches_look_the_same_with_and_without_baselines() -> None:
    runs, _ = store([SEARCHED], {MANUAL: 0.8, SHOWN: 0.6})
    runs["optimizer"] = runs["optimizer"].replace({"random": "zo_adam"})
    shown = looks(place_baselines(runs))
    assert {group: shown[group] for group in looks(drop_baselines(runs))} == looks(drop_baselines(runs))
    assert len({(look.colour, look.marker) for look in shown.values()}) == 4


def test_every_figure_can_be_drawn_of_what_it_reads() -> None:
    runs, curves = store(["desk", SEARCHED, "mail"], {MANUAL: 0.8, SHOWN: 0.6})
    runs.loc[runs["optimizer"] == "random", "projection"] = "uniform"
    more = runs[runs["optimizer"] == "cma"].assign(optimizer="third", key=lambda own: "x" + own["key"])
    copied = curves.assign(key="x" + curves["key"])
    runs = pd.concat([runs, more], ignore_index=True)
    curves = pd.concat([curves, copied[copied["key"].isin(more["key"])]], ignore_index=True)
    for name, kind in KINDS.items():
        assert kind.draw((place_baselines if kind.by_task else drop_baselines)(runs), curves).axes, name


def test_two_sweeps_into_one_store_show_what_the_search_added(in_tmp: Path, zoo: Zoo) -> None:
    write(in_tmp / "train.jsonl", reviews(6))
    words = '{"negative":"bad","positive":"good"}'
    task = f"text:train=train.jsonl,words={words},head=masked,shots=3,model={zoo.folder()}"
    to = ["-s", "0-1", "--no-references", "--store", "demo"]
    bare = ["-t", f"{task},prompt_tokens=0", "-t", f"{task},prompt_tokens=0,demonstrations=1", "-o", "start"]
    search = ["-t", f"{task},prompt_tokens=3", "-o", "random", "-d", "4", "-b", "6"]
    runner = CliRunner()
    alone, printed = (runner.invoke(app, ["sweep", *what, *to], env={"COLUMNS": "200"}) for what in (bare, search))
    assert alone.stdout.count("start · normal") == 2
    names = ["random · normal", "start · demonstrations=1,prompt_tokens=0", "start · prompt_tokens=0"]
    assert [printed.stdout.count(name) for name in [*names, "results: mean"]] == [1, 1, 1, 1]

    assert runner.invoke(app, ["plot", "table", "--store", "demo", "--output", "table.csv"]).exit_code == 0
    assert sorted(pd.read_csv("table.csv")["method"]) == names
    refused = runner.invoke(app, ["plot", "wins", "--store", "demo"])
    assert "wins need two methods, there is only random · normal" in str(refused.exception)
    assert runner.invoke(app, ["report", "--store", "demo"]).exit_code == 0
    assert Path("demo/report.html").read_text().count("<section data-task") == 1


def test_a_prompt_is_what_a_bare_task_is_without_and_its_template() -> None:
    assert {*TextTask.bare, "template"} == PROMPT
