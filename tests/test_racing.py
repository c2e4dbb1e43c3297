"""The race over seeds: its test errs as seldom as it says however often one looks, and a sweep obeys it."""

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import dfo_bench
from dfo_bench.core import Array
from dfo_bench.errors import InputError, StoreError
from dfo_bench.report.labels import looks
from dfo_bench.report.page.race_tables import tabulate_race
from dfo_bench.runs.sequential import ERROR, bounds, decide, fewest
from dfo_bench.store.races import decide_pairs, read_races
from dfo_bench.store.store import Store
from dfo_bench.sweeps.events import Ended, Event, Listener
from dfo_bench.sweeps.request import SweepRequest
from tests.frames import run
from tests.pages import page_of

SAMPLES, LOOKS = 2000, 60

AXES: dict[str, Any] = {
    "tasks": ["toy"], "optimizers": ["odd"], "projections": ["normal", "uniform", "normal:alpha=30"], "dim": 3,
    "budget": 10, "seeds": range(2), "until_decided": True, "most_seeds": 9,
}  # fmt: skip


class Telling(Listener):
    """Keeps what a race says, and stops it by Ctrl-C after so many runs."""

    def __init__(self, stop_after: int = 0) -> None:
        self.lines: list[str] = []
        self.ended = 0
        self.stop_after = stop_after

    def hear(self, event: Event) -> None:
        self.ended += isinstance(event, Ended)
        if self.stop_after and self.ended == self.stop_after:
            raise KeyboardInterrupt

    def tell(self, line: str) -> None:
        self.lines.append(line)


def race(means: list[float], error: float = ERROR, margin: float = 0.0) -> tuple[Array, Array, Array]:
    """Simulate races of methods whose paired differences have deviation 1; return outcomes, seeds, and true signs."""
    draws = np.random.default_rng(7).normal(size=(SAMPLES, len(means), LOOKS)) / np.sqrt(2)
    losses = draws + np.array(means)[:, None]
    pairs = list(combinations(range(len(means)), 2))
    differences = np.stack([losses[:, j] - losses[:, i] for i, j in pairs], axis=1)
    outcomes, n = decide(differences, np.full(differences.shape, margin), error / len(pairs))
    return outcomes, n, np.sign([means[j] - means[i] for i, j in pairs])


def test_equal_methods_are_told_apart_in_one_race_of_twenty_at_most_however_often_one_looks() -> None:
    for methods in (2, 4):
        outcomes, _, _ = race([0.0] * methods)
        assert (~np.isnan(outcomes)).any(axis=1).mean() <= ERROR
    # The t test, looked at as often, errs far more.
    x = np.random.default_rng(7).normal(size=(SAMPLES, LOOKS))
    counts = range(4, LOOKS)
    naive = [abs(x[:, :n].mean(axis=1) / stats.sem(x[:, :n], axis=1)) > stats.t.ppf(0.975, n - 1) for n in counts]
    assert np.any(naive, axis=0).mean() > 4 * ERROR


def test_heavy_tails_of_equal_methods_do_not_break_the_error() -> None:
    x = np.random.default_rng(7).standard_t(3, size=(SAMPLES, LOOKS))
    assert (~np.isnan(decide(x, np.zeros(x.shape), ERROR)[0])).mean() <= ERROR


def test_the_intervals_hold_the_mean_at_all_looks_at_once() -> None:
    low, high = bounds(np.random.default_rng(7).normal(1e6, 1.0, size=(SAMPLES, LOOKS)), ERROR)
    assert ((low <= 1e6) & (high >= 1e6)).all(axis=1).mean() >= 1 - ERROR
    assert (high - low)[:, -1].mean() < 1


def test_differences_at_the_margin_are_called_ties_no_more_often_than_the_level_allows() -> None:
    outcomes, _, _ = race([0.0, 1.0], margin=1.0)
    assert (outcomes == 0).mean() <= ERROR
    outcomes, n, _ = race([0.0, 0.0], margin=1.0)
    assert (outcomes == 0).mean() > 0.9
    assert n.mean() < LOOKS / 2


def test_a_race_takes_half_the_seeds_of_a_fixed_design_of_the_same_power() -> None:
    means = [0.0, 0.8, 3.0, 6.0]
    outcomes, n, signs = race(means)
    power = (outcomes == signs).all(axis=1).mean()
    assert power > 0.95
    assert ((outcomes != signs) & ~np.isnan(outcomes)).any(axis=1).mean() <= ERROR
    pairs = list(combinations(range(len(means)), 2))
    spent = sum(n[:, [method in pair for pair in pairs]].max(axis=1) for method in range(len(means)))
    # The closest pair alone needs so many seeds; a fixed design gives them to all.
    sizes = np.arange(2, 200)
    found = stats.nct.sf(stats.t.ppf(1 - ERROR / len(pairs) / 2, sizes - 1), sizes - 1, 0.8 * np.sqrt(sizes))
    fixed = sizes[found >= power][0] * len(means)
    assert spent.mean() <= fixed / 2


def test_what_is_decided_does_not_depend_on_how_often_one_looks() -> None:
    x = np.random.default_rng(7).normal(1.0, 1.0, size=(50, 40))
    outcomes, n = decide(x, np.zeros(x.shape), ERROR)
    for row, outcome, after in zip(x, outcomes, n, strict=True):
        sooner = decide(row[:after], np.zeros(after), ERROR)
        assert (float(sooner[0]), int(sooner[1])) == (outcome, after)
        assert np.isnan(decide(row[: after - 1], np.zeros(after - 1), ERROR)[0])


def test_the_fewest_seeds_are_those_that_decide_differences_that_are_all_the_same() -> None:
    assert [fewest(0.05), fewest(0.05 / 6)] == [4, 5]
    outcome, n = decide(np.ones(9), np.zeros(9), ERROR)
    assert (float(outcome), int(n)) == (1.0, 4)


def losses(**methods: list[float]) -> pd.DataFrame:
    return pd.DataFrame([(seed, m, loss) for m, all_ in methods.items() for seed, loss in enumerate(all_)],
                        columns=["seed", "method", "loss"])  # fmt: skip


def test_a_pair_is_decided_by_the_seeds_that_both_have() -> None:
    noise = np.random.default_rng(0).normal(size=30)
    found = decide_pairs(losses(a=[*noise], b=[*(noise + 5 + noise[::-1] / 9)[:9]], c=[*noise[::-1]]), 0.01, 30)
    said = {(row.first, row.second): row.words for row in found.itertuples()}
    assert said["a", "b"] == "a better, after 5 seeds"
    assert said["a", "c"] == "undecided after 30 seeds, the most"
    assert said["b", "c"] == "c better, after 5 seeds"


def test_methods_that_are_the_same_tie_within_a_margin_and_never_without() -> None:
    same = losses(a=[1.0, 2.0, 3.0, 4.0, 5.0], b=[1.0, 2.0, 3.0, 4.0, 5.0])
    assert decide_pairs(same, 0.01, 30)["words"].tolist() == ["tie, after 4 seeds"]
    assert decide_pairs(same, 0.0, 5)["words"].tolist() == ["undecided after 5 seeds, the most"]


def test_a_run_without_a_loss_ends_the_race_of_its_pair_that_was_not_decided_before() -> None:
    found = decide_pairs(losses(a=[1.0, np.inf], b=[2.0, 3.0]), 0.01, 30)
    assert found["words"].tolist() == ["stopped after 1 seed: the next has a run without a loss"]
    found = decide_pairs(losses(a=[1.0] * 4 + [np.nan], b=[2.0] * 5), 0.01, 30)
    assert found["words"].tolist() == ["a better, after 4 seeds"]


def sweep(store: Path, listener: Listener, **changed: Any) -> Store:
    return dfo_bench.sweep(**{**AXES, **changed}, store=store, listener=listener)


@pytest.fixture(scope="module")
def raced(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, list[str]]:
    """Return the store of a race on a test function, and what was told."""
    listener = Telling()
    path = tmp_path_factory.mktemp("raced") / "store"
    store = sweep(path, listener, tasks=["sphere:dim=12"], optimizers=["random"])
    return store, listener.lines


def test_only_the_undecided_have_more_seeds(raced: tuple[Store, list[str]]) -> None:
    store, told = raced
    seeds = store.runs().groupby("projection")["seed"].agg(list).map(sorted).to_dict()
    assert seeds["normal"] == seeds["uniform"] == list(range(9))
    assert len(seeds["normal:alpha=30.0"]) < 9
    assert any(line.endswith("random · uniform: undecided after 9 seeds, the most") for line in told)
    assert len(told) == 3
    assert store.planned().empty


def test_the_page_shows_why_each_method_stopped(raced: tuple[Store, list[str]]) -> None:
    store, told = raced
    text = " ".join(page_of(store.runs(), store.curves(), store.measures()).text.split())
    assert "the most seeds: undecided against random · uniform" in text
    assert "decided against all, against random · " in text
    assert all(line.partition(": ")[2].rpartition(": ")[2] in text for line in told)


def test_runs_that_did_not_race_have_no_table_of_a_race() -> None:
    runs = pd.DataFrame([run(optimizer=name, budget=4) for name in ("cma", "random")])
    assert tabulate_race(runs, looks(runs)) == []


def test_the_rules_of_a_race_come_along_when_stores_are_merged(tmp_path: Path, raced: tuple[Store, list[str]]) -> None:
    dfo_bench.merge([raced[0].path], tmp_path / "all")
    assert read_races(tmp_path / "all") == {"sphere:dim=12": (0.01, 9)}


def test_a_race_that_is_stopped_goes_on_where_it_was(tmp_path: Path, raced: tuple[Store, list[str]]) -> None:
    again = {"tasks": ["sphere:dim=12"], "optimizers": ["random"]}
    with pytest.raises(KeyboardInterrupt):
        sweep(tmp_path / "store", Telling(stop_after=8), **again)
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("curve.parquet")}
    listener = Telling()
    store = sweep(tmp_path / "store", listener, **again)
    assert listener.lines == raced[1]
    assert store.runs()["key"].tolist() == raced[0].runs()["key"].tolist()
    assert {path: path.stat().st_mtime_ns for path in made} == made
    told = Telling()
    sweep(tmp_path / "store", told, **again)
    assert told.ended == 2 * 3  # only what it begins with is looked at again


def test_a_method_whose_run_failed_has_no_more_seeds(tmp_path: Path, toys: Path) -> None:
    listener = Telling()
    store = sweep(tmp_path / "store", listener, optimizers=["odd", "odd:fail=third"], projections=["normal"], budget=30)
    assert store.runs()["status"].value_counts().to_dict() == {"finished": 2, "failed": 2}
    assert listener.lines == [
        "toy: odd · normal and odd:fail=third · normal: stopped after 0 seeds: the next has a run without a loss"
    ]


def test_an_estimate_says_what_a_race_takes_at_least_and_at_most(tmp_path: Path, toys: Path) -> None:
    ahead = dfo_bench.estimate(SweepRequest(**AXES, store=tmp_path / "store"))
    assert ahead.least
    # Of three pairs none can be decided before five seeds.
    assert (ahead.least.runs, ahead.runs) == (3 * 5, 3 * 9)
    assert [line for line in ahead.lines if "at " in line] == ["at least:", "at most:"]
    assert not (tmp_path / "store").exists()


def test_references_and_baselines_do_not_race(tmp_path: Path, toys: Path) -> None:
    store = sweep(tmp_path / "store", Telling(), optimizers=["odd", "start"], projections=["normal", "normal:alpha=30"])
    seeds = store.runs().groupby("optimizer")["seed"].max()
    assert seeds["start"] == 1
    assert seeds["odd"] > 1


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"projections": ["normal"]}, "until_decided needs two methods that search, got odd; name another"),
        ({"optimizers": ["odd", "start"], "projections": ["normal"]}, "two methods that search, got odd"),
        ({"most_seeds": 1}, "most_seeds 1 is below the 2 seeds that the sweep begins with"),
        ({"most_seeds": 0}, "most_seeds must be from 1"),
        ({"margin": 1.0}, "margin must be from 0 to below 1, got 1.0"),
        ({"margin": float("nan")}, "margin must be from 0 to below 1, got nan"),
        ({"until_decided": False, "most_seeds": 5}, "most_seeds changes nothing without until_decided"),
    ],
)
def test_a_race_that_cannot_be_is_refused_before_anything_is_written(
    tmp_path: Path, toys: Path, changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        sweep(tmp_path / "store", Telling(), **changed)
    assert not (tmp_path / "store").exists()


def test_a_damaged_file_of_races_is_named(tmp_path: Path) -> None:
    (tmp_path / "races.json").write_text('{"toy": 3}')
    with pytest.raises(StoreError, match=r"races\.json is damaged; delete it"):
        read_races(tmp_path)
