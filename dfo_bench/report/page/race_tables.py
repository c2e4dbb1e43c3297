"""The tables of a race over the seeds of one task: why each method stopped, and how each pair ended."""

import pandas as pd

from dfo_bench.report.format import precision
from dfo_bench.report.labels import SERIES, Looks
from dfo_bench.report.page.tables import Cell, Table
from dfo_bench.runs.columns import RACE
from dfo_bench.store.races import decide_pairs


def tabulate_race(runs: pd.DataFrame, look: Looks) -> list[Table]:
    """Tabulate the race of one task's runs, computed again from their final losses; nothing where there was none."""
    searches = runs[~runs["baseline"].astype(bool)]
    if not set(RACE) <= set(runs) or searches.empty or searches[RACE].isna().any(axis=None):
        return []
    margin, most = float(searches[RACE[0]].iloc[0]), int(searches[RACE[1]].iloc[0])
    methods = [look[group].label for group in searches[SERIES].itertuples(index=False, name=None)]
    losses = pd.DataFrame({
        "seed": searches["seed"], "method": methods,
        "loss": searches["best_loss"].astype(float).where(searches["status"] == "finished"),
    })  # fmt: skip
    pairs = decide_pairs(losses, margin, most)
    if pairs.empty:
        return []
    seeds = losses.groupby("method")["seed"].nunique().sort_values(kind="stable")
    rows = [[Cell(str(name)), Cell(str(n), n), Cell(why_stopped(str(name), pairs, most))] for name, n in seeds.items()]
    note = (
        f"Each of {len(pairs)} pairs is compared after every seed, by intervals that hold at all looks and for all "
        "pairs at once with 95 % (Wang and Ramdas, 2025; Bonferroni). "
        + (f"A difference within {100 * margin:g} % of the larger loss is a tie." if margin else "Nothing is a tie.")
    )
    columns = ["optimizer · projection", "seeds", "why it stopped"]
    names = [[str(name)] for name in seeds.index]
    return [Table("The race over seeds", columns, rows, names, note=note, of_words=True), _pairs(pairs)]


def why_stopped(method: str, pairs: pd.DataFrame, most: int) -> str:
    """Say why a method had no more seeds: decided against all, the most seeds, or a run without a loss."""
    own = pairs[(pairs["first"] == method) | (pairs["second"] == method)]
    others = own["second"].where(own["first"] == method, own["first"])
    undecided, lossless = own["outcome"] == "undecided", own["outcome"] == "lossless"
    if undecided.any():
        when = "the most seeds" if own[undecided]["n"].max() >= most else "not yet"
        return f"{when}: undecided against {', '.join(others[undecided])}"
    if lossless.any():
        return f"a run without a loss, its own or of {', '.join(others[lossless])}"
    last = int(own["n"].to_numpy().argmax())
    return f"decided against all, against {others.iloc[last]} last, after {own['n'].iloc[last]} seeds"


def _pairs(pairs: pd.DataFrame) -> Table:
    number = precision([pairs["advantage"].abs().max()])
    rows = [
        [Cell(row["first"]), Cell(row["second"]), Cell(row["words"])]
        + [Cell(number(row[bound]), row[bound]) for bound in ("advantage", "low", "high")]
        for row in pairs.to_dict("records")
    ]
    columns = ["first", "second", "how it ended", "first better by", "at least", "at most"]
    groups = [[str(first), str(second)] for first, second in zip(pairs["first"], pairs["second"], strict=True)]
    return Table("The race, pair by pair", columns, rows, groups, folded=True, of_words=True)
