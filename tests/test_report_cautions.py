from typing import Any

import numpy as np

from dfo_bench.report.labels import looks
from dfo_bench.report.page.cautions import cautions
from tests.frames import runs_of

INF, NAN = np.inf, np.nan


def test_cautions_say_what_the_runs_cannot_show() -> None:
    def said(*rows: dict[str, Any]) -> str:
        runs = runs_of(*rows)
        return " ".join(cautions(runs, looks(runs)))

    assert "no difference here can be told from chance" in said({})
    assert "No run has finished" in said({"status": "failed"})
    assert "No run has begun" in said({"status": "unfinished", "evaluations": 0})
    assert "sweep is unfinished" in said({}, {"status": "unfinished"})
    assert "Groups have only 2 seeds" in said({}, {})
    assert "not paired" in said({}, {}, {"optimizer": "random"})
    assert "Budgets differ" in said({}, {"budget": 5})
    assert "Budgets differ" not in said({}, {"optimizer": "start", "baseline": True, "budget": 1})
    assert "cma · normal on sphere: 2 of its runs had no successful" in said({"best_loss": INF}, {"best_loss": NAN})
    assert "cma · normal on sphere: 1 of its runs reached a loss beyond ±1e+100, which counts as that" in said(
        {"best_loss": -1e308}, {"best_loss": 1e99}
    )
    assert said(*({} for _ in range(5))) == ""
