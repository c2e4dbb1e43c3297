"""The checklist of good benchmarking, filled from a store: what was done of it, and what was not.

Its eight topics are those of Bartz-Beielstein et al. (2020), "Benchmarking in Optimization: Best Practice and Open
Issues", arXiv:2007.03488. What only its authors can know, such as why a study was made, is said to be open.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dfo_bench.errors import InputError, count
from dfo_bench.report.markup import escape_markdown
from dfo_bench.report.titles import name_tasks
from dfo_bench.runs import columns
from dfo_bench.runs.columns import RACE, REFERENCE
from dfo_bench.store.frames import IMPORTED

SOURCE = (
    "Topics of Bartz-Beielstein et al. (2020), Benchmarking in Optimization: Best Practice and Open Issues, "
    "arXiv:2007.03488; filled from the store by dfo-bench."
)

_FEW = 5
"""Below this number of tasks or seeds little can be generalised."""


@dataclass(frozen=True)
class Topic:
    """A topic of the checklist: what was done, and what was not, in sentences."""

    name: str
    done: list[str]
    missing: list[str]


def checklist(runs: pd.DataFrame, provenance: Mapping[str, str], planned: pd.DataFrame | None = None) -> list[Topic]:
    """Fill the checklist from the frame `runs` of a store.

    `provenance` is what `page.reproduce.provenance` makes of `Store.made_with`, `planned` has a row for each run that
    is yet to begin. Raise InputError where there is no run.
    """
    if runs.empty:
        raise InputError("the store holds no run yet, and so nothing to check; make some with: dfo-bench sweep")
    named = name_tasks(runs).assign(**{name: np.nan for name in RACE if name not in runs})
    searches = named[~named["baseline"].astype(bool) & (named["projection"] != REFERENCE)]
    return [
        _goals(named, searches),
        _problems(named),
        _algorithms(named, searches),
        _measures(named),
        _analysis(searches),
        _design(named, searches, 0 if planned is None else len(planned)),
        _presentation(named),
        _reproducibility(named, provenance),
    ]


def markdown(topics: Iterable[Topic]) -> str:
    """Return the checklist for an appendix: a heading per topic, a ticked line for what was done, an open one else."""
    lines = ["# Benchmarking checklist", "", SOURCE]
    for topic in topics:
        lines += ["", f"## {topic.name}", ""]
        lines += [f"- [x] {escape_markdown(said)}" for said in topic.done]
        lines += [f"- [ ] {escape_markdown(said)}" for said in topic.missing]
    return "\n".join([*lines, ""])


def _topic(name: str, *said: tuple[object, str, str]) -> Topic:
    """Return a topic of (whether it was done, what to say if so, what if not); an empty sentence is not said."""
    done = [yes for holds, yes, _ in said if holds and yes]
    return Topic(name, done, [no for holds, _, no in said if not holds and no])


def _goals(runs: pd.DataFrame, searches: pd.DataFrame) -> Topic:
    methods, tasks = len(_methods(searches)), searches["task"].nunique()
    raced = runs[RACE[0]].notna().any()
    return _topic(
        "Goals",
        (methods > 1, f"{methods} methods are compared on {count(tasks, 'task')} by the loss within a budget.",
         f"{count(methods, 'method')} that searches: nothing is compared."),
        (raced, f"A difference that does not matter was set before the race: {_list(runs, RACE[0])} of the loss.",
         "No difference that matters was set beforehand."),
        (False, "", "The question and the hypotheses are not in the store; the authors must state them."),
    )  # fmt: skip


def _problems(runs: pd.DataFrame) -> Topic:
    tasks = sorted(runs["task"].unique())
    texts, known = (
        runs[runs["data"].fillna("") != ""]["task"].nunique(),
        runs.dropna(subset="optimum")["task"].nunique(),
    )
    return _topic(
        "Problems",
        (True, f"{count(len(tasks), 'task')}: {'; '.join(tasks)}.", ""),
        (True, f"Dimensions searched: {_list(runs[runs['dim'] > 0], 'dim') or 'none'}.", ""),
        (texts, f"Real data and models in {count(texts, 'task')}.", "No task has data: all are test functions."),
        (known, f"The optimum is known of {count(known, 'task')}.", "The optimum is known of no task."),
        (len(tasks) >= _FEW, "", f"{count(len(tasks), 'task')} cannot stand for a class of problems."),
        (runs["seed"].nunique() > 1, "Each seed is another instance: split, start and embedding are drawn anew.",
         "Each task has one instance: one seed."),
    )  # fmt: skip


def _algorithms(runs: pd.DataFrame, searches: pd.DataFrame) -> Topic:
    beside = sorted({str(one) for one in runs["optimizer"]} - {str(one) for one in searches["optimizer"]})
    set_ = sorted({one for one in map(str, searches["optimizer"]) if ":" in one})
    names = {str(one).partition(":")[0] for one in searches["optimizer"]}
    return _topic(
        "Algorithms",
        (not searches.empty, f"Searches: {'; '.join(_methods(searches))}.", "Nothing searches."),
        ("random" in names, "Random search is among them.", "No random search to compare with."),
        (beside, f"Baselines and references: {'; '.join(beside)}.", "No baseline or reference stands beside them."),
        (set_, f"Parameters were set: {'; '.join(set_)}; of all others the defaults hold.",
         "All parameters of optimizers are defaults."),
        (False, "", "How parameters were chosen, and what tuning cost, is not in the store."),
    )  # fmt: skip


def _measures(runs: pd.DataFrame) -> Topic:
    tested, dev = (
        [c for c in columns.scores(runs.columns, split) if runs[c].notna().any()] for split in ("test", "dev")
    )
    spent, tokens = int(runs["evaluations"].sum()), int(runs.get("tokens", pd.Series([0])).fillna(0).sum())
    return _topic(
        "Measures",
        (True, "Quality: the best train loss, after every evaluation, so at any budget up to "
               f"{int(runs['budget'].max()):,}.", ""),
        (dev, f"On dev: {', '.join(name.removeprefix('dev_') for name in dev)}.", "Nothing was scored on dev."),
        (tested, f"On test, once, of the point that dev selects: {', '.join(n.removeprefix('test_') for n in tested)}.",
         "Nothing was scored on test: generalisation was not measured."),
        (True, f"Cost: {spent:,} evaluations{f', {tokens:,} tokens' if tokens else ''}; seconds of task and optimizer "
               "apart; peak memory.", ""),
        (True, f"Robustness: {count(int((runs['status'] == 'failed').sum()), 'run')} of {len(runs)} failed.", ""),
    )  # fmt: skip


def _analysis(searches: pd.DataFrame) -> Topic:
    methods, blocks = len(_methods(searches)), len(searches[["task", "seed"]].drop_duplicates())
    raced = searches[RACE[0]].notna().any()
    several = methods > 1
    return _topic(
        "Analysis",
        (several, "Methods are compared pair by pair on the same seeds, with intervals of the mean difference.",
         "There are no two methods to test."),
        (methods > 2 and blocks > 1, f"Ranks over {blocks} blocks of task and seed: Friedman's test, "
         "Nemenyi's distance.",
         "Too few methods or blocks for a test of ranks."),
        (raced, "Of the race the error holds for all pairs of a task and all looks: confidence sequences, Bonferroni.",
         "Verdicts of pairs are not corrected for their number." if several else ""),
        (False, "", "Assumptions, such as normal differences, were not tested."),
    )  # fmt: skip


def _design(runs: pd.DataFrame, searches: pd.DataFrame, planned: int) -> Topic:
    seeds = searches.groupby(["task", "optimizer", "projection"])["seed"].nunique()
    crossed = len({tuple(_methods(members)) for _, members in searches.groupby("task")}) <= 1
    raced = searches[RACE[0]].notna().any()
    unfinished = int((runs["status"] == "unfinished").sum()) + planned
    budgets = searches.groupby("task")["budget"].nunique()
    fewest, most = (int(seeds.min()), int(seeds.max())) if len(seeds) else (0, 0)
    numbers = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    return _topic(
        "Design",
        (crossed, "Every method ran on every task.", "Not every method ran on every task."),
        (fewest >= _FEW, f"Seeds per method and task: {numbers}.", f"Seeds per method and task are few: {numbers}."),
        (raced, f"The number of seeds was not fixed: undecided pairs had more, up to {_list(searches, RACE[1])}.",
         "The number of seeds rests on no calculation that the store knows of."),
        (fewest == most or raced, "", "Methods have different numbers of seeds."),
        (not (budgets > 1).any(), "All methods of a task have the same budget.", "Budgets differ within a task."),
        (not unfinished, "All runs have ended.", f"{count(unfinished, 'run')} of the sweep have not ended."),
    )  # fmt: skip


def _presentation(runs: pd.DataFrame) -> Topic:
    return _topic(
        "Presentation",
        (True, "Every run is shown, failed ones too: curves against any cost, tables, verdicts in words.", ""),
        (True, "Losses of different tasks are not pooled; only ranks, wins and targets are.", ""),
        (runs["seed"].nunique() > 1, "Spread stands beside every mean.", "One seed shows no spread."),
    )  # fmt: skip


def _reproducibility(runs: pd.DataFrame, provenance: Mapping[str, str]) -> Topic:
    imported = int((runs["projection"] == IMPORTED).sum())
    revision = provenance.get("git revision", "")
    versions = [f"{name} {value}" for name, value in provenance.items() if name not in ("ended", "git revision")]
    return _topic(
        "Reproducibility",
        (True, "Every evaluation is kept, with the digest of its point; the seed draws all that is random.", ""),
        (not imported, "Code and data of a run are known by digests; dfo-bench verify evaluates points again.",
         f"{count(imported, 'run')} were imported: their code is not known."),
        (versions, f"Made with: {'; '.join(versions)}.", "Versions and machine are not known."),
        (revision and "+" not in revision, f"Revision {revision}, without changes.",
         f"Revision {revision.replace('+', '')} had changes of its own." if revision else "The revision is not known."),
        (", " not in revision, "", "Runs are of several revisions."),
        (False, "", "Whether others reproduced it, elsewhere or with code of their own, is not in the store."),
    )  # fmt: skip


def _methods(runs: pd.DataFrame) -> list[str]:
    return sorted({f"{one} · {other}" for one, other in zip(runs["optimizer"], runs["projection"], strict=True)})


def _list(runs: pd.DataFrame, column: str) -> str:
    return ", ".join(f"{value:g}" for value in sorted(set(runs[column].dropna())))
