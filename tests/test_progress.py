"""What a sweep shows while it runs."""

import io

import pytest
from rich.console import Console

from dfo_bench.core import Component
from dfo_bench.runs.header import PlannedRun
from dfo_bench.runs.spec import RunSpec
from dfo_bench.sweeps.events import Advance
from dfo_bench.sweeps.progress import ProgressBars, shorten

TASK = "text:train=/home/somebody/projects/tickets/train-2026.csv,template={text} It was [MASK].,shots=16"


def test_a_run_is_one_line_of_80_columns_with_bar_calls_loss_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    spec = RunSpec(Component("toy"), Component("cma"), Component("normal"), dim=3, budget=8000)
    run = PlannedRun("a" * 16, spec, {"task": TASK, "optimizer": "cma", "projection": "normal"})
    bars = ProgressBars()
    with bars.begin([run]):
        bars.hear(Advance(run.key, 7990, 1.2345, False))
        shown = io.StringIO()
        Console(width=80, file=shown).print(bars._bars.get_renderable())
    total, line = shown.getvalue().splitlines()
    assert total.startswith("runs")
    assert len(line) <= 80
    assert line.startswith("cma on text:trai…, normal, seed 0"[:12])
    assert "seed 0" in line
    assert "7990/8000 loss 1.234" in line
    assert line.rstrip().endswith("--:--")


def test_a_name_loses_its_middle() -> None:
    assert shorten("cma on toy", 10) == "cma on toy"
    assert shorten("cma on a long task, seed 0", 11) == "cma o…eed 0"
    assert len(shorten("x" * 99, 20)) == 20
