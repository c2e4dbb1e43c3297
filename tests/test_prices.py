"""What tokens cost, kept in a store."""

import math
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import dfo_bench
from dfo_bench.cli import app
from dfo_bench.errors import StoreError
from dfo_bench.store.prices import read_prices, write_price
from dfo_bench.sweeps.events import Listener

AXES: dict[str, Any] = {"optimizers": ["odd"], "dim": 3, "budget": 10, "listener": Listener()}


def test_a_price_may_come_after_the_runs_and_holds_for_its_tasks_alone(tmp_path: Path, toys: Path) -> None:
    store = dfo_bench.sweep(tasks=["toy", "toy:dim=6"], store=tmp_path / "store", **AXES)
    assert "money" not in store.runs()
    before = store.runs()["key"].tolist()
    dfo_bench.sweep(tasks=["toy"], store=store.path, price=1000.0, **AXES)
    runs = store.runs()
    assert runs["key"].tolist() == before
    money = runs.set_index("task")["money"]
    assert money["toy"] == 1000 * 10 * 30 / 1e6
    assert math.isnan(money["toy:dim=6"])
    dfo_bench.sweep(tasks=["toy"], store=store.path, **AXES)
    assert read_prices(store.path) == {"toy": 1000.0}


def test_a_report_takes_one_for_all_tasks_of_a_store(tmp_path: Path, toys: Path) -> None:
    store = dfo_bench.sweep(tasks=["toy", "toy:dim=6"], store=tmp_path / "store", **AXES)
    said = ["report", "--store", str(store.path), "--price"]
    assert "price must be a number" in str(CliRunner().invoke(app, [*said, "-1"]).exception)
    assert CliRunner().invoke(app, [*said, "2"]).exit_code == 0
    assert store.runs()["money"].notna().all()
    assert "money" in (store.path / "report.html").read_text(encoding="utf-8")


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    write_price(tmp_path, ["toy"], 0.5)
    (tmp_path / "prices.json").write_text('{"toy": "much"}')
    with pytest.raises(StoreError, match=r"prices\.json is damaged; delete it, and give --price again"):
        read_prices(tmp_path)
