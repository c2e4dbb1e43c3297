import csv
import io
import math
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dfo_bench.cli import app
from dfo_bench.errors import InputError
from dfo_bench.store.sql import query
from dfo_bench.store.store import Store
from dfo_bench.sweeps.execute import execute
from tests import toys

pytest.importorskip("duckdb", reason="needs duckdb, which dfo-bench[sql] installs")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Return a store in a folder of an odd name: runs that finished, failed, and are under way."""
    folder = tmp_path_factory.mktemp("sql")
    with pytest.MonkeyPatch.context() as patch:
        toys.declare(folder, patch)
        store = Store.create(folder / "it's a [store]*")
        for task, optimizer in (("toy", "random"), ("toy:fail=nan", "random"), ("toy", "odd:fail=third")):
            for seed in range(2):
                execute(toys.planned(task, optimizer, dim=3, budget=20, seed=seed), store.path)

        toys.interrupt(toys.planned("toy:fail=nan", "odd", dim=3, budget=20), store.path, 10)
        # The cache is written by whatever reads first.
        for view in ("runs", "curves", "measures"):
            list(query(store, f"from {view}"))
        yield store


@pytest.mark.parametrize("view", ["runs", "curves", "measures"])
def test_a_view_is_the_frame_of_its_name(store: Store, view: str) -> None:
    columns, *rows = query(store, f"from {view}")
    frame = getattr(store, view)()
    assert set(columns) == set(frame.columns)
    found = {tuple(map(plain, row)) for row in rows}
    assert found == {tuple(map(plain, row)) for row in frame[list(columns)].itertuples(index=False)}
    assert len(rows) == len(frame) == len(found)


def plain(value: object) -> object:
    """Return a value that equals itself: what is nan in a frame is NULL in SQL."""
    return None if isinstance(value, float) and math.isnan(value) else value


def test_a_failed_evaluation_is_null_whether_its_run_has_ended_or_not(store: Store) -> None:
    _, *rows = query(
        store,
        "select status, count(*) from curves join runs using (key) where loss is null group by status order by all",
    )
    assert [status for status, _ in rows] == ["finished", "unfinished"]
    _, (count,) = query(store, "select count(*) from curves where not isfinite(loss)")
    assert count == 0


def test_views_join_and_aggregate(store: Store) -> None:
    ended = "curves join runs using (key) where status = 'finished'"
    sql = f"select task, seed, min(best) from {ended} group by all order by all"
    _, *rows = query(store, sql)
    runs = store.runs().query("status == 'finished'").sort_values(["task", "seed"])
    assert rows == list(runs[["task", "seed", "best_loss"]].itertuples(index=False, name=None))


def test_an_empty_store_answers(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "store")
    for view in ("runs", "curves", "measures"):
        assert list(query(store, f"select count(*) from {view}")) == [("count_star()",), (0,)]


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("selec 1", "Parser Error: syntax error"),
        ("select nope from runs", 'Referenced column "nope" not found'),
        ("from nope", "Table with name nope does not exist.*; the views are runs, curves and measures"),
        ("select cast(key as int) from curves", "Conversion Error"),
        ("select 1; select 2", "is not one SELECT"),
        ("", "is not one SELECT"),
        ("copy runs to 'OUT'", "is not one SELECT"),
        ("create table t as select 1", "is not one SELECT"),
        ("explain analyze copy (select 1) to 'OUT'", "is not one SELECT"),
        ("set enable_external_access = true", "is not one SELECT"),
        ("attach 'OUT'", "is not one SELECT"),
        ("select * from read_text('/etc/hostname')", "Permission Error"),
        ("select * from read_text('KEY/summary.json')", "Permission Error"),
        ("select * from glob('/etc/*')", "Permission Error"),
        (
            "select * from read_csv('https://example.org/x.csv')",
            "Permission Error|does not exist|Missing Extension|disabled",
        ),
        ("from 'OUT'", "does not exist"),
        ("select getenv('HOME')", "getenv does not exist"),
    ],
)
def test_what_cannot_be_answered_is_one_line(store: Store, tmp_path: Path, sql: str, message: str) -> None:
    key = store.path / next(iter(store))
    before = sorted(store.path.rglob("*"))
    with pytest.raises(InputError, match=message) as raised:
        list(query(store, sql.replace("OUT", str(tmp_path / "out")).replace("KEY", str(key).replace("'", "''"))))
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []
    assert sorted(store.path.rglob("*")) == before


def test_without_duckdb_the_remedy_is_said(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(InputError, match=r"needs duckdb; install it with: pip install 'dfo-bench\[sql\]'"):
        list(query(store, "from runs"))


def test_the_command_line_writes_csv_where_it_is_no_terminal(store: Store) -> None:
    sql = (
        "select optimizer, seed, null as nothing, 'a \"b\", c' as text from runs where status = 'failed' order by seed"
    )
    done = CliRunner().invoke(app, ["sql", sql, "--store", str(store.path)])
    assert done.exit_code == 0, done.output
    read = list(csv.reader(io.StringIO(done.stdout)))
    assert read == [
        ["optimizer", "seed", "nothing", "text"],
        *([["odd:fail=third", str(seed), "", 'a "b", c'] for seed in (0, 1)]),
    ]
