import io
import re

import numpy as np
import pandas as pd
import pytest

from dfo_bench.errors import InputError, UnknownNameError
from dfo_bench.report.counting import Counting
from dfo_bench.report.rules import Rules, parse_rules
from dfo_bench.report.stats.standings import WRITERS, cells, standings
from tests.frames import Case, store_of

SEEN: dict[Case, list[float]] = {
    **{("s", "best", seed): [loss] for seed, loss in enumerate([1.0, 2.0, 3.0])},
    **{("s", "near", seed): [loss] for seed, loss in enumerate([1.0, 3.0, 2.9])},
    **{("s", "worse", seed): [loss] for seed, loss in enumerate([2.0, 3.0, 4.1])},
    **{("s", "lossless", seed): [loss] for seed, loss in enumerate([0.5, 0.5, np.nan])},
    ("b_%", "best", 0): [1e-9],
    ("b_%", "near|", 0): [3e4],
}


def test_the_best_has_the_best_mean_of_those_that_always_have_a_score_and_open_is_what_is_not_told_from_it() -> None:
    table = standings(*store_of(SEEN)).query("task == 's'").set_index("method")
    assert table["best"].to_dict() == {
        "best · normal": True, "near · normal": False, "worse · normal": False, "lossless · normal": False,
    }  # fmt: skip
    # The differences from the best: 0, 1, -0.1; 1, 1, 1.1; and a run without a loss, which leaves two wins of three.
    assert [method for method in table.index if table["open"][method]] == ["lossless · normal", "near · normal"]
    row = table.loc["lossless · normal"]
    assert [row["mean"], row["sd"], row["n"], row["of"]] == [0.5, 0, 2, 3]


def test_an_accuracy_is_best_when_highest_and_a_margin_opens_what_is_within_it() -> None:
    cases: list[Case] = [("s", name, seed) for name in "ab" for seed in range(3)]
    accuracy = dict(zip(cases, [0.8, 0.81, 0.82, 0.79, 0.80, 0.811], strict=True))
    runs, curves = store_of({case: [1.0] for case in cases}, test_accuracy=accuracy)
    strict, lax = (standings(runs, curves, Rules("test_accuracy", margin=margin)) for margin in (0.0, 0.05))
    assert (strict["best"].to_list(), strict["open"].to_list()) == ([True, False], [False, False])
    assert lax["open"].to_list() == [False, True]


def test_cells_are_in_the_precision_of_their_task_and_say_how_many_runs_have_a_score() -> None:
    shown = cells(standings(*store_of(SEEN)))
    assert list(shown.T["lossless · normal"]) == ["—", "0.500 (2 of 3) †"]
    assert list(shown.T["best · normal"]) == ["1.000e-09", "2.000 ± 1.000"]
    assert shown.index[0] == "best · normal"


def test_a_table_for_latex_is_escaped_and_balanced() -> None:
    text = WRITERS["tex"](standings(*store_of(SEEN)), Rules())
    assert r"method & b\_\% & s \\" in text
    assert r"best $\cdot$ normal & \textbf{1.000e-09} & \textbf{2.000 $\pm$ 1.000} \\" in text
    assert r"0.500 (2 of 3) $^\dagger$ \\" in text
    assert text.count(r"\begin") == text.count(r"\end") == 2
    body = text.partition(r"\midrule")[2].partition(r"\bottomrule")[0]
    assert {line.count("&") for line in body.strip().splitlines()} == {2}
    assert re.sub(r"[ -~\n]", "", text) == ""  # any LaTeX reads it, whatever its encoding


def test_a_table_for_markdown_is_escaped_and_says_its_rules() -> None:
    text = WRITERS["md"](standings(*store_of(SEEN)), Rules())
    lines = text.splitlines()
    assert lines[0] == r"| method | b\_% | s |"
    assert r"| near\| · normal | 3.000e+04 † | — |" in lines
    assert "| best · normal | **1.000e-09** | **2.000 ± 1.000** |" in lines
    assert "failed and unfinished runs count with their best so far" in text
    assert "over 1 to 3 runs" in text


def test_a_table_as_csv_has_all_digits() -> None:
    read = pd.read_csv(io.StringIO(WRITERS["csv"](standings(*store_of(SEEN)), Rules())))
    assert list(read.columns) == ["metric", "task", "method", "mean", "sd", "n", "of", "best", "open"]
    assert read["mean"].min() == 1e-9


def test_a_store_without_a_score_has_no_table() -> None:
    with pytest.raises(InputError, match="none of the 1 runs that count has a loss"):
        standings(*store_of({("s", "a", 0): [np.nan]}))


def test_rules_are_read_as_users_write_them() -> None:
    assert parse_rules() == Rules()
    assert parse_rules(metric="test_f1", budget=9, counting="drop", margin=0.0, against="tokens") == Rules(
        "test_f1", 9, Counting.DROP, 0.0, "tokens"
    )
    with pytest.raises(UnknownNameError, match="no rule of counting named 'wurst'; did you mean worst"):
        parse_rules(counting="wurst")
    with pytest.raises(InputError, match="margin must be a share from 0 to below 1, got 1"):
        parse_rules(margin=1.0)
    with pytest.raises(InputError, match="budget must be at least 1, got 0"):
        parse_rules(budget=0)
    with pytest.raises(UnknownNameError, match="no cost named 'token'; did you mean tokens"):
        parse_rules(against="token")
