"""A merged store holds every run of its sources once, and none that two of them disagree on."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from dfo_bench.errors import BusyError, InputError, StoreError
from dfo_bench.runs.journal import Journal
from dfo_bench.store.filenames import JOURNAL
from dfo_bench.store.folder import read_curve, write_results
from dfo_bench.store.merge import merge
from dfo_bench.store.prices import read_prices, write_price
from dfo_bench.store.store import Store
from dfo_bench.sweeps.execute import execute
from tests.toys import header, interrupt, planned


@pytest.fixture
def stores(tmp_path: Path, toys: Path) -> list[Store]:
    """Return two stores that share one of their runs."""
    made = [Store.create(tmp_path / name) for name in ("one", "two")]
    for store, seeds in zip(made, ((0, 1), (1, 2)), strict=True):
        for seed in seeds:
            execute(planned("toy", "odd", dim=3, budget=20, seed=seed), store.path)
    return made


def _paths(stores: list[Store]) -> list[Path]:
    return [store.path for store in stores]


@pytest.mark.parametrize("packed", [False, True])
def test_all_runs_are_there_once_and_as_they_were(stores: list[Store], tmp_path: Path, packed: bool) -> None:
    if packed:
        stores[1].compact()
    copied, kept = merge(_paths(stores), tmp_path / "all")
    merged = Store(tmp_path / "all")
    assert (sorted(copied), kept) == (list(merged), [])
    frame = pd.concat([store.runs() for store in stores]).drop_duplicates("seed").sort_values("seed")
    columns = ["key", "seed", "best_loss", "test_loss", "status"]
    pd.testing.assert_frame_equal(merged.runs()[columns], frame[columns].reset_index(drop=True), check_exact=True)
    assert merge(_paths(stores), merged.path) == ([], copied)


def test_prices_come_along_and_those_of_the_store_merged_into_stay(stores: list[Store], tmp_path: Path) -> None:
    write_price(stores[0].path, ["toy"], 2.0)
    write_price(stores[1].path, ["toy", "toy:dim=6"], 3.0)
    merge(_paths(stores), tmp_path / "all")
    assert read_prices(tmp_path / "all") == {"toy": 2.0, "toy:dim=6": 3.0}
    write_price(tmp_path / "all", ["toy"], 1.0)
    merge(_paths(stores), tmp_path / "all")
    assert read_prices(tmp_path / "all") == {"toy": 1.0, "toy:dim=6": 3.0}


def test_a_run_that_has_come_further_is_kept(stores: list[Store], tmp_path: Path) -> None:
    spec = planned("toy", "odd", dim=3, budget=60, seed=9)
    interrupt(spec, stores[0].path, after=20)
    key = execute(spec, stores[1].path).key
    merge(_paths(stores), tmp_path / "all")
    assert (summary := Store(tmp_path / "all").summary(key))
    assert summary.status == "finished"
    copied, _ = merge([stores[1].path], stores[0].path)
    assert key in copied
    assert (summary := stores[0].summary(key))
    assert summary.status == "finished"
    assert not (stores[0].path / key / JOURNAL).exists()


def test_a_key_with_other_evaluations_is_named_and_nothing_is_copied(stores: list[Store], tmp_path: Path) -> None:
    (key,) = set(stores[0]) & set(stores[1])
    folder = stores[1].path / key
    table, summary = read_curve(folder), stores[1].summary(key)
    assert summary
    write_results(
        folder, table.set_column(table.column_names.index("loss"), "loss", pa.array([0.5] * len(table))), summary
    )
    with pytest.raises(InputError, match=f"run {key} has other evaluations in .*one than in .*two; .*delete {key}"):
        merge(_paths(stores), tmp_path / "all")
    assert not (tmp_path / "all").exists()


def test_a_run_under_way_a_store_in_itself_and_no_store_are_refused(stores: list[Store], tmp_path: Path) -> None:
    interrupt(planned("toy", "odd", dim=3, budget=60, seed=9), stores[0].path, after=20)
    (journal,) = stores[0].path.glob(f"*/{JOURNAL}")
    with Journal(journal, header()), pytest.raises(BusyError, match="is being written by another process"):
        merge(_paths(stores), tmp_path / "all")
    with pytest.raises(InputError, match="is what is merged into; leave it out"):
        merge(_paths(stores), stores[0].path)
    with pytest.raises(StoreError, match="does not exist"):
        merge([tmp_path / "none"], tmp_path / "all")
    with pytest.raises(InputError, match="no store to merge"):
        merge([], tmp_path / "all")
