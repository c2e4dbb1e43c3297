"""The published figures T1 to T8: what judges them, and those that take seconds."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from scipy.stats import ttest_ind_from_stats

from dfo_bench import cli, validate
from dfo_bench.errors import InputError, RunError
from dfo_bench.plugins.component import parse
from dfo_bench.threads import single_threaded
from dfo_bench.validate import Row, _boxes, _published, _runs, _tests, t1_empty_boxes, t4_rembo_billion, t5_alebo_branin


def rows(text: str) -> list[Row]:
    with single_threaded():
        return list(validate.rows(parse(text)))


def test_an_id_is_what_a_files_name_begins_with() -> None:
    assert validate.find("T1") == validate.find("t1") == validate.find("t1_empty_boxes") == "t1_empty_boxes"
    ids = {name.partition("_")[0] for name in validate.names()}
    assert ids == {"parity", *(f"t{i}" for i in range(1, 9))}


@pytest.mark.parametrize("dim", [2, 3, 4])
def test_a_box_holds_an_optimum_where_a_linear_program_finds_it(dim: int) -> None:
    # Three in ten are empty for d = 2; a smaller box makes as many for the others.
    draws, half = np.random.default_rng(dim).standard_normal((60, 2, dim)), {2: 2**0.5, 3: 0.9, 4: 0.6}[dim]
    optima = np.array([[-np.pi, 12.275], [np.pi, 2.275], [9.42478, 2.475]]) / 7.5 - [1 / 3, 1]
    box = [(-half, half)] * dim
    found = [any(linprog(np.zeros(dim), A_eq=a, b_eq=x, bounds=box).status == 0 for x in optima) for a in draws]
    assert 10 < sum(found) < 58
    assert _boxes.holds_optimum(draws, half).tolist() == found


def test_t1_is_matched_and_another_share_is_not() -> None:
    found = rows("T1:draws=2000")
    assert [row.matched for row in found] == [True] * 4, found
    assert {row.seeds for row in found} == {2000}
    share = t1_empty_boxes.empty(2, 2000)
    assert not _tests.same_share("twice as many", 0.57, share, 2000, rounding=0.0005).matched
    assert not _tests.same_share("half as many", 0.142, share, 2000, rounding=0.0005).matched


def test_t2_is_exact() -> None:
    found = rows("T2")
    assert [row.matched for row in found] == [True] * 4, found
    # 10 (1 - 1 / (8 pi)) (1 + cos 10), in closed form
    assert found[0].ours == pytest.approx(10 * (1 - 1 / (8 * np.pi)) * (1 + np.cos(10)), abs=1e-9)
    assert {row.ours for row in found[1:]} == {0.0}


def test_the_memory_of_rembo_is_flat_in_a_billion_dimensions() -> None:
    t4_rembo_billion._memory(25)
    assert t4_rembo_billion._memory(10**9) < t4_rembo_billion.GROWTH * t4_rembo_billion._memory(25)


def test_t7_is_below_its_goal_with_two_runs() -> None:
    found = rows("T7:seeds=2")
    assert [row.matched for row in found] == [True, True], found
    assert {row.seeds for row in found} == {2}


def test_the_published_sobol_sequence_is_not_matched() -> None:
    published = {"Sobol'": t5_alebo_branin.PUBLISHED["Sobol'"]}
    with single_threaded():
        methods = {"Sobol'": _published.Method("sobol")}
        (row,) = _published.rows(t5_alebo_branin.TASK, 50, methods, published, seeds=12)
    assert (row.seeds, row.matched) == (12, False)
    # What uniform points reach, 20,000 draws: 1.421, of 12 runs +- 0.30.
    assert row.ours == pytest.approx(1.421, abs=3 * 0.30)


@settings(deadline=None)
@given(st.floats(-3, 3), st.floats(0.01, 1), st.lists(st.floats(-1, 1), min_size=3, max_size=9, unique=True))
def test_two_means_are_the_same_where_welchs_test_says_so(mean: float, error: float, ours: list[float]) -> None:
    row = _tests.same_mean("a mean", mean, error, 50, ours)
    spread = float(np.std(ours, ddof=1))
    p = float(ttest_ind_from_stats(mean, error * 50**0.5, 50, np.mean(ours), spread, len(ours), equal_var=False)[1])
    if abs(p - _tests.LEVEL) > 1e-9:
        assert row.matched == (p > _tests.LEVEL)


@pytest.mark.parametrize(
    ("judge", "matched"),
    [
        (lambda: _tests.same_mean("", 1.0, 0.1, 50, [1.0, 1.1, 0.9, 1.2]), True),
        (lambda: _tests.same_mean("", 2.0, 0.1, 50, [1.0, 1.1, 0.9, 1.2]), False),
        (lambda: _tests.share_seen("", 13, 50, 0.285, 1000), True),
        (lambda: _tests.share_seen("", 13, 50, 0.5, 1000), False),
        (lambda: _tests.share_seen("", 13, 50, 0.05, 1000), False),
        (lambda: _tests.below("", 0.1, 0.09, 4), True),
        (lambda: _tests.below("", 0.1, 0.1, 4), False),
        (lambda: _tests.below("", 0.1, float("nan"), 4), False),
        (lambda: _tests.same_distribution("", list(range(8)), list(range(8))), True),
        (lambda: _tests.same_distribution("", list(range(8)), list(range(8, 16))), False),
    ],
)
def test_a_verdict_may_be_either(judge: Callable[[], Row], matched: bool) -> None:
    row = judge()
    assert row.matched == matched
    assert row.matched == (row.difference <= row.tolerance) or row.difference == 0


def test_a_run_that_fails_is_no_figure() -> None:
    with pytest.raises(RunError, match="seed 0"):
        _runs.best("branin:dim=5", "nevergrad:method=no such", budget=3, seeds=1)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("T9", "no validation named 'T9'; did you mean T"),
        ("T2:full=true", "no parameter of validation T2 named 'full'; there are none"),
        ("T1:draws=0", "draws=0: input should be greater than 0"),
        ("T4:seeds=5", "seeds=5: input should be greater than or equal to 6"),
        ("T5:seeds=1", "seeds=1: input should be greater than or equal to 2"),
        ("T7:full=perhaps", "full='perhaps': input should be a valid boolean"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(text: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        validate.rows(parse(text))


def test_the_command_writes_a_page_with_what_each_file_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "validation.md"
    monkeypatch.setattr(sys, "argv", ["dfo-bench", "validate", "T2", "--output", str(path)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(path)
    page = path.read_text()
    assert "Written by `dfo-bench validate T2 --output docs/validation.md`" in page
    assert "4 of 4 figures are matched" in page
    assert "T2: the false optimum that clipping makes" in page
    assert "| regret on the face a = 10 | 1.5453 | 1.545253 |  | 4.7e-05 | 5.0e-05 | yes |" in page
