"""The intrinsic dimension is the smallest d whose subspace holds 90 % of what the whole space holds."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from dfo_bench.cli import app
from dfo_bench.errors import InputError
from dfo_bench.report.figures.dimension import draw
from dfo_bench.report.stats.dimension import dimensions, ladders, reached, sentences
from tests.frames import run

START, WHOLE = 10.0, 2.0


def _runs(losses: dict[int, list[float]], whole: float = WHOLE, **fields: Any) -> pd.DataFrame:
    """Return runs of a start at 10, a whole space down to `whole`, and subspaces with a loss per seed."""
    rows = []
    for seed in range(max(map(len, losses.values()))):
        common = {"seed": seed, **fields}
        rows.append(run(optimizer="start", best_loss=START, **common))
        rows.append(run(optimizer="adam", projection="identity", budget=5, best_loss=whole, dim=1000, **common))
        for dim, own in losses.items():
            if seed < len(own):
                rows.append(run(optimizer="cma", budget=5, best_loss=own[seed], dim=dim, **common))
    return pd.DataFrame(rows)


def test_the_share_is_how_far_the_loss_falls_beside_the_whole_space() -> None:
    found = reached(_runs({5: [6.0], 10: [2.0], 20: [1.2]}))
    assert found[["dim", "share"]].values.tolist() == [[5, 0.5], [10, 1.0], [20, 1.1]]


def test_of_a_score_the_share_is_that_of_the_whole_space_as_in_the_paper() -> None:
    runs = _runs({5: [6.0]}).assign(test_accuracy=[0.5, 0.8, 0.72])
    assert reached(runs, "test_accuracy")["share"].tolist() == pytest.approx([0.9])


def test_the_smallest_d_at_nine_tenths_is_the_dimension_and_its_bounds_come_from_the_seeds() -> None:
    found = reached(_runs({5: [6.0, 6.0, 6.0], 10: [2.6, 2.6, 4.0], 20: [2.0, 2.0, 2.0]}))
    (row,) = dimensions(found).to_dict("records")
    # The mean over seeds at d = 10 is (7.4 + 7.4 + 6.0) / 24 = .867 of the gain of 8.
    assert (row["dimension"], row["low"], row["high"], row["n"]) == (20, 10, 20, 3)
    assert sentences(found) == ["intrinsic dimension of sphere by cma: 20 (95% of a bootstrap over 3 seeds: 10 to 20)"]


def test_a_ladder_that_ends_too_low_says_above_its_end() -> None:
    found = reached(_runs({5: [9.0], 10: [8.0]}))
    assert dimensions(found)["dimension"].tolist() == [np.inf]
    assert sentences(found) == ["intrinsic dimension of sphere by cma: above 10 (1 seed)"]


def test_the_bounds_of_a_share_hold_its_mean_and_a_dim_may_lack_a_seed() -> None:
    steps = ladders(reached(_runs({5: [6.0, 7.0, 5.0], 10: [3.0, 2.0]})))
    assert steps["n"].tolist() == [3, 2]
    assert (steps["low"] <= steps["share"]).all()
    assert (steps["share"] <= steps["high"]).all()


def test_a_store_without_a_start_or_the_whole_space_is_refused_with_the_command_that_runs_them() -> None:
    runs = _runs({5: [6.0]})
    for lacking in (runs["optimizer"] != "start", runs["projection"] != "identity"):
        with pytest.raises(InputError, match="dfo-bench dimension -t TASK"):
            reached(runs[lacking])
    with pytest.raises(InputError, match="no finished run has 'closeness'"):
        reached(runs, "closeness")


def test_a_task_whose_loss_does_not_fall_has_no_share() -> None:
    with pytest.raises(InputError, match="no task and seed"):
        reached(_runs({5: [10.0]}, whole=START))


def test_the_figure_has_a_line_per_task_and_optimizer() -> None:
    runs = pd.concat([_runs({5: [6.0, 5.0], 10: [2.0, 3.0]}, task=task) for task in ("sphere", "ackley")])
    (panel,) = draw(reached(runs)).axes
    lines = [np.asarray(line.get_xdata()).tolist() for line in panel.lines if line.get_marker() != "None"]
    assert lines.count([5, 10]) == 2


def test_the_command_runs_what_is_lacking_and_says_the_dimension(tmp_path: Path) -> None:
    words = [
        "dimension",
        "-t",
        "sphere:dim=12",
        "-o",
        "cma",
        "--whole",
        "one_plus_one",
        "--dims",
        "2,6",
        "-b",
        "40",
        "-s",
        "0-1",
    ]
    words += ["-s", "0-1", "--store", str(tmp_path / "store"), "--output", str(tmp_path / "steps.png")]
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0
    assert "intrinsic dimension of sphere:dim=12 by cma: " in done.stdout
    assert (tmp_path / "steps.png").stat().st_size > 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--dims", "2,x"], "dims '2,x': write whole numbers"),
        (["--dims", "2,600"], "600"),
        (["--output", "steps.gif"], "cannot write 'steps.gif'"),
        (["--whole", "adam", "--dims", "2"], "gradients"),
    ],
)
def test_what_cannot_be_run_is_refused_before_anything_is(tmp_path: Path, words: list[str], said: str) -> None:
    base = ["dimension", "-t", "sphere:dim=12", "-o", "cma", "-b", "40", "--store", str(tmp_path / "store")]
    whole = [] if "--whole" in words else ["--whole", "cma"]
    with pytest.raises(InputError, match=said):
        CliRunner().invoke(app, [*base, *words, *whole], catch_exceptions=False)
    assert not (tmp_path / "store").exists()
