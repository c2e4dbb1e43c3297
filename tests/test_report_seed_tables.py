"""The seed paper's two tables, of runs made by hand and of a small store."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import dfo_bench
from dfo_bench.cli import app
from dfo_bench.errors import InputError
from dfo_bench.report.page.tables import Cell
from dfo_bench.report.seed_tables import WRITERS, SeedTables, tables
from dfo_bench.report.seed_tables.costs import kib
from dfo_bench.report.seed_tables.published import METHODS, TASKS
from dfo_bench.report.seed_tables.sheet import Sheet, text_of
from dfo_bench.store.store import Store
from tests.frames import NO_MEASURES, one_task, run
from tests.pages import Page, html_of
from tests.text_runs import run as run_text
from tests.tiny_lm import Zoo

SST2, MRPC = "sst2:model=m,prompt_tokens=10", "mrpc:loss=hinge,model=m,prompt_tokens=10"
BARE = "sst2:model=m,prompt_tokens=0"


def scored(task: str, optimizer: str, *scores: float, **fields: Any) -> list[dict[str, Any]]:
    """Return runs of seeds 0, 1... with these scores on test; nan is a run that failed."""
    metric = "f1" if task.startswith("mrpc") else "accuracy"
    return [
        run(
            task=task, optimizer=optimizer, seed=seed, metric=metric, **{f"test_{metric}": score},
            **{"status": "failed" if np.isnan(score) else "finished", "budget": 10, "evaluations": 10,
               "bytes_up_z": 10 * 2048, "bytes_down": 10 * 256, "sees": "losses"} | fields,
        )
        for seed, score in enumerate(scores)
    ]  # fmt: skip


RUNS = pd.DataFrame([
    *scored(SST2, "cma", 0.8, 0.9, test_calibrated_accuracy=0.95),
    *scored(SST2, "random", 0.7, np.nan),
    *scored(SST2, "adam", 0.6, 0.6, sees="gradients"),
    *scored(BARE, "knn", 0.5, 0.5, sees="outputs", baseline=True, dim=0),
    *scored(MRPC, "cma", 0.4, 0.6),
    *scored(MRPC, "random", 0.5),
])  # fmt: skip


def rows(sheet: Sheet, group: str) -> dict[str, list[str]]:
    """Return the rows of a group as they are read, by method."""
    return {row[0].text: [text_of(cell) for cell in row[1:]] for row in sheet.groups[group]}


def cell(sheet: Sheet, method: str, column: str) -> Cell:
    (row,) = [row for members in sheet.groups.values() for row in members if row[0].text == method]
    return row[sheet.columns.index(column)]


def test_methods_stand_in_the_papers_groups_with_what_they_see_and_a_column_per_task() -> None:
    sheet = tables(RUNS).accuracy
    assert sheet.columns == ["method", "sees", "sst2", "mrpc", "average"]
    assert rows(sheet, "gradient-based") == {"adam": ["gradients", "60.0", "—", "— (1 of 2 tasks)"]}
    assert rows(sheet, "gradient-free") == {
        "knn": ["outputs", "50.0", "—", "— (1 of 2 tasks)"],
        "cma": ["losses", "85.0 ± 7.1", "50.0 ± 14.1", "67.5"],
        "random": ["losses", "70.0 (n = 1)", "50.0 (n = 1)", "60.0"],
        "cma + bias": ["outputs", "95.0", "—", "— (1 of 2 tasks)"],
    }


def test_the_best_is_that_of_all_seeds() -> None:
    sheet = tables(RUNS).accuracy
    best = {(row[0].text, head) for members in sheet.groups.values() for row in members
            for head, one in zip(sheet.columns, row, strict=True) if one.best}  # fmt: skip
    assert best == {("cma + bias", "sst2"), ("cma", "mrpc"), ("cma", "average")}


def test_what_is_missing_is_named() -> None:
    note = tables(RUNS).accuracy.note
    assert "F1 on mrpc" in note
    assert "; model=m; mean ± standard deviation over 2 seeds" in note
    missing = note.partition("Missing: ")[2]
    assert missing == "adam, knn on mrpc; random on sst2 (seed 1 failed), mrpc (seed 1)."


def test_a_method_is_named_by_what_its_optimizer_has_several_of_on_one_task() -> None:
    runs = pd.DataFrame([
        *scored(SST2, "cma", 0.8), *scored(SST2, "cma", 0.7, projection="uniform"),
        *scored("sst2:calibrate=bias,model=m,prompt_tokens=10", "cma", 0.9),
        *scored(SST2, "adam", 0.6), *scored("sst2:mode=prefix,model=m,prompt_tokens=10", "adam", 0.7),
        *scored(SST2, "random", 0.5, budget=200), *scored(MRPC, "random", 0.5, budget=1000),
    ])  # fmt: skip
    named = rows(tables(runs).accuracy, "gradient-free")
    assert sorted(named) == [
        "adam", "adam · mode=prefix", "cma · normal", "cma · normal · calibrate=bias", "cma · uniform", "random",
    ]  # fmt: skip
    assert named["cma · normal · calibrate=bias"][0] == "outputs"


def test_a_calibrated_search_is_another_method_also_where_it_is_alone() -> None:
    runs = pd.DataFrame([*scored(SST2, "cma", 0.8), *scored("mrpc:calibrate=bias,model=m", "cma", 0.9)])
    assert rows(tables(runs).accuracy, "gradient-free") == {
        "cma": ["losses", "80.0", "—", "— (1 of 2 tasks)"],
        "cma · calibrate=bias": ["outputs", "—", "90.0", "— (1 of 2 tasks)"],
    }


def test_two_methods_of_one_name_are_told_apart_by_what_they_see() -> None:
    """As in stores that were merged, or of a plugin that was changed between two tasks."""
    runs = pd.DataFrame([*scored(SST2, "mine", 0.8), *scored(SST2, "mine", 0.7, sees="gradients")])
    sheet = tables(runs).accuracy
    assert set(rows(sheet, "gradient-free")) == {"mine · losses"}
    assert set(rows(sheet, "gradient-based")) == {"mine · gradients"}
    also = pd.DataFrame(scored(MRPC, "mine", 0.5))
    assert "mine · losses" in rows(tables(pd.concat([runs, also])).accuracy, "gradient-free")


def test_tasks_of_other_models_and_shots_are_columns_of_their_own() -> None:
    runs = pd.DataFrame([*scored(SST2, "cma", 0.8), *scored("sst2:model=other,prompt_tokens=10,shots=4", "cma", 0.7)])
    assert tables(runs).accuracy.columns[2:-1] == ["sst2:model=m", "sst2:model=other,shots=4"]


def test_a_baseline_counts_once_a_seed_whatever_its_projection() -> None:
    normal, uniform = (scored(SST2, "start", 0.5, 0.5, baseline=True, projection=p) for p in ("normal", "uniform"))
    (row,) = rows(tables(pd.DataFrame([*normal, *uniform])).accuracy, "gradient-free").values()
    assert row == ["losses", "50.0"]


def test_costs_are_per_task_and_a_query_is_one_evaluation_of_the_train_set() -> None:
    sheet = tables(RUNS).cost
    assert list(sheet.groups) == ["sst2", "mrpc"]
    cma = dict(zip(sheet.columns, ["cma", *rows(sheet, "sst2")["cma"]], strict=True))
    assert cma == {
        "method": "cma", "sees": "losses", "as a service": "yes", "score": "85.0 %", "fit": "2.8 s",
        "measuring": "0 ms", "process memory": "—", "device memory": "—", "up a query": "2 KB",
        "down a query": "0.25 KB", "queries": "10",
    }  # fmt: skip
    adam = dict(zip(sheet.columns, ["adam", *rows(sheet, "sst2")["adam"]], strict=True))
    assert (adam["as a service"], adam["up a query"], adam["down a query"]) == ("no", "—", "—")


def test_bytes_are_written_as_the_paper_writes_them() -> None:
    assert [kib(n) for n in (256, 1024, 131_072, 6_160_384, 28_049_408)] == [
        "0.25 KB", "1 KB", "128 KB", "6,016 KB", "27,392 KB",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "average"),
    [("Prompt tuning", 74.42), ("Prompt tuning, no pretrained prompt", 63.46), ("P-Tuning v2", 70.47),
     ("Model tuning", 78.88), ("Manual prompt", 62.56), ("In-context learning", 59.36), ("Feature-Linear", 66.63),
     ("Feature-BiLSTM", 68.29), ("Black-Box Tuning", 83.90), ("Black-Box Tuning, no pretrained prompt", 73.01)],
)  # fmt: skip
def test_the_papers_figures_have_the_papers_averages(name: str, average: float) -> None:
    (method,) = [method for method in METHODS if method.name == name]
    # Rounded down in the paper, now and then.
    assert np.mean(method.scores) == pytest.approx(average, abs=0.011)
    assert len(method.scores) == len(TASKS)


def test_the_papers_figures_are_switched_on_and_marked() -> None:
    plain, paper = tables(RUNS), tables(RUNS, paper=True)
    group = "gradient-free, the paper's figures on RoBERTa-large"
    assert group not in plain.accuracy.groups
    assert rows(paper.accuracy, group)["Black-Box Tuning"] == ["losses", "89.56", "75.51", "82.53"]
    group = "sst2, the paper's figures on RoBERTa-large and one RTX 3090"
    assert rows(paper.cost, group)["Feature-BiLSTM"][3:] == [
        "9 min 18 s",
        "—",
        "410 MB",
        "2.8 GB",
        "4 KB",
        "6,016 KB",
        "—",
    ]
    assert cell(paper.accuracy, "cma", "average").best


def test_a_task_that_the_paper_does_not_have_has_no_figure_there() -> None:
    both = [*scored("helpdesk", "cma", 0.5), *scored(SST2, "cma", 0.5)]
    paper = tables(pd.DataFrame(both), paper=True)
    assert cell(paper.accuracy, "Black-Box Tuning", "helpdesk").text == "—"


def test_the_paper_has_no_rows_where_it_has_none_of_the_tasks_and_the_note_says_so() -> None:
    paper = tables(pd.DataFrame(scored("helpdesk", "cma", 0.5)), paper=True)
    assert list(paper.accuracy.groups) == ["gradient-free"]
    assert "The paper has no figures for these tasks; its tasks are sst2, yelp" in paper.accuracy.note
    assert list(paper.cost.groups) == ["helpdesk"]


def test_markdown_and_latex_are_balanced_and_csv_has_all_digits() -> None:
    both = tables(RUNS, paper=True)
    markdown, latex, csv = (WRITERS[suffix](both) for suffix in ("md", "tex", "csv"))
    assert "| --- | --- | ---: | ---: | ---: |" in markdown
    assert r"\begin{tabular}{llrrr}" in latex
    assert "| cma | losses | 85.0 ± 7.1 | **50.0 ± 14.1** | **67.5** |" in markdown
    assert r"| *gradient-free, the paper's figures on RoBERTa-large* |  |  |  |  |" in markdown
    assert r"cma + bias & outputs & \textbf{95.0} & --- & --- (1 of 2 tasks) \\" in latex
    assert latex.count(r"\begin") == latex.count(r"\end") == 4
    assert latex.isascii()
    read = pd.read_csv(io.StringIO(csv))
    assert list(read.columns) == ["table", "group", "method", "sees", "column", "value", "sd", "note"]
    own = read[(read["method"] == "cma") & (read["column"] == "sst2")].iloc[0]
    assert (own["value"], own["sd"]) == (pytest.approx(0.85), pytest.approx(0.1 / 2**0.5))


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        (pd.DataFrame(columns=["key"]), "the store holds no run yet"),
        (pd.DataFrame([run()]), "no run has a score on test: 0 of 1 runs are of tasks scored by accuracy or f1"),
        (pd.DataFrame(scored(SST2, "cma", np.nan)), "no run has a score on test: 1 of 1 runs"),
    ],
)
def test_runs_without_a_score_have_no_table(runs: pd.DataFrame, message: str) -> None:
    with pytest.raises(InputError, match=message):
        tables(runs)


def page_of(runs: list[dict[str, Any]]) -> Page:
    _, curves, _ = one_task(*runs)
    return Page(html_of(pd.DataFrame(runs), curves, NO_MEASURES))


def test_the_page_has_both_where_other_methods_stand_beside_searches() -> None:
    heading = "What each method sees, reaches and costs"
    searches, adam = scored(SST2, "cma", 0.8, 0.9), scored(SST2, "adam", 0.6, sees="gradients")
    assert heading not in page_of(searches).text
    assert heading not in page_of(adam).text
    text = page_of([*searches, *adam]).text
    assert heading in text
    theirs = "Score on test: the paper's own figures"
    assert theirs in text
    tickets = [run | {"task": "helpdesk"} for run in (*searches, *adam)]
    text = page_of(tickets).text
    assert heading in text
    assert theirs not in text


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, zoo: Zoo) -> Store:
    """Return the runs of a search and of the manual prompt on a few reviews."""
    store = Store.create(tmp_path_factory.mktemp("tables") / "store")
    run_text(store, zoo.folder(), head="masked")
    run_text(store, zoo.folder(), "start", head="masked", prompt_tokens=0)
    return store


def test_a_store_has_its_tables(store: Store) -> None:
    both = dfo_bench.tables(store.runs())
    assert isinstance(both, SeedTables)
    named = rows(both.accuracy, "gradient-free")
    assert list(named) == ["start", "cma:popsize=6", "start + bias", "cma:popsize=6 + bias"]
    runs = store.runs().set_index("optimizer")
    value = cell(both.accuracy, "cma:popsize=6 + bias", both.accuracy.columns[2]).value
    assert value == runs.loc["cma:popsize=6", "test_calibrated_accuracy"]
    # 6 examples a class of train, 3 shots, two labels: logits down in fp32.
    assert cell(both.cost, "cma:popsize=6", "down a query").value == 6 * 2 * 4
    assert cell(both.cost, "cma:popsize=6", "up a query").value > cell(both.cost, "start", "up a query").value


def test_the_command_prints_and_writes_them_and_runs_a_preset_first(store: Store, in_tmp: Path) -> None:
    call = CliRunner().invoke
    printed = call(app, ["tables", "--store", str(store.path), "--paper"], catch_exceptions=False).stdout
    assert "start + bias" in printed
    assert "The paper has no figures for these tasks" in printed
    for suffix in WRITERS:
        assert call(app, ["tables", "--store", str(store.path), "--output", f"t.{suffix}"]).stdout == f"t.{suffix}\n"
        assert (in_tmp / f"t.{suffix}").read_text(encoding="utf-8")
    runs = store.runs()
    (task,) = runs.loc[runs["dim"] > 0, "task"]
    Path("mine.yaml").write_text(
        f"tasks: ['{task}']\noptimizers: [random]\ndim: 5\nbudget: 4\nreferences: false\nstore: new\n"
    )
    done = call(app, ["tables", "mine.yaml", "-s", "0-1", "--output", "new.csv"], catch_exceptions=False)
    assert done.exit_code == 0
    assert set(pd.read_csv("new.csv")["method"]) == {"random", "random + bias"}
    before = Store("new").runs()
    call(app, ["tables", "mine.yaml", "-s", "0-1", "--output", "new.csv"], catch_exceptions=False)
    assert Store("new").runs().equals(before)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output", "t.pdf"], "cannot write 't.pdf'; the name must end in .md, .tex, .csv"),
        (["tabels"], "no preset .* named 'tabels'; did you mean tables"),
        (["-b", "3"], "budget 3 changes nothing without a preset to run; name one: bbt"),
        (["--store", "nowhere"], "nowhere does not exist"),
    ],
)
def test_a_wrong_request_is_refused_before_anything_runs(arguments: list[str], message: str, in_tmp: Path) -> None:
    done = CliRunner().invoke(app, ["tables", *arguments])
    assert done.exception
    with pytest.raises(type(done.exception), match=message):
        raise done.exception
    assert not list(in_tmp.iterdir())
