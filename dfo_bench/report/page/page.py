"""The page of the report: one HTML file that needs nothing but itself."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from dfo_bench.errors import InputError
from dfo_bench.report.baselines import drop_baselines, place_baselines
from dfo_bench.report.checklist import Topic, checklist
from dfo_bench.report.counting import Counting
from dfo_bench.report.labels import SERIES, Look, Looks, looks, shorten
from dfo_bench.report.page.all_tasks import Comparison, compare_methods
from dfo_bench.report.page.cautions import cautions
from dfo_bench.report.page.panels import Panel, library, panels
from dfo_bench.report.page.race_tables import tabulate_race
from dfo_bench.report.page.tables import Table, tabulate_costs, tabulate_prompts, tabulate_results, tabulate_troubles
from dfo_bench.report.page.verdict_tables import tabulate_verdicts
from dfo_bench.report.rules import AXES
from dfo_bench.report.scores import scores
from dfo_bench.report.seed_tables import page_tables
from dfo_bench.report.stats.groups import STATUSES, summarise
from dfo_bench.report.stats.rows import RowHits
from dfo_bench.report.titles import name_tasks
from dfo_bench.report.worth import Worth, worth
from dfo_bench.runs import columns

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,  # names come from plugins and data
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters["shorten"] = shorten


@dataclass(frozen=True)
class Section:
    """The section of one task."""

    task: str
    facts: str
    checks: list[str]
    legend: list[Look]
    panels: list[Panel]
    tables: list[Table]


@dataclass(frozen=True)
class Content:
    """The content of the page of a store, empty where it holds no run.

    `filters` are the names that a reader may hide, by kind; `groups` what its script has to know of each label.
    """

    counts: dict[str, int] = field(default_factory=dict)
    cautions: list[str] = field(default_factory=list)
    filters: dict[str, list[str]] = field(default_factory=dict)
    groups: dict[str, dict[str, str]] = field(default_factory=dict)
    sections: list[Section] = field(default_factory=list)
    legend: list[Look] = field(default_factory=list)
    comparison: Comparison | None = None
    worth: list[Worth] = field(default_factory=list)
    seed_tables: list[Table] = field(default_factory=list)
    troubles: Table | None = None
    checklist: list[Topic] = field(default_factory=list)


def build_page(
    runs: pd.DataFrame,
    curves: pd.DataFrame,
    measures: pd.DataFrame,
    *,
    title: str,
    commands: list[str],
    provenance: dict[str, str],
    planned: pd.DataFrame | None = None,
    predictions: pd.DataFrame | None = None,
    notes: Sequence[str] = (),
    counting: Counting = Counting.LAST,
    refresh: int = 0,
) -> str:
    """Return the report of a store's frames as one HTML document; the store may be empty or unfinished.

    `commands` reproduce the runs, `provenance` says with what they were made; both are shown as they are. `planned` has
    a row for each run that is yet to begin, `predictions` what runs predict, where they kept it; `notes` stand with the
    cautions. Comparisons count failed and unfinished runs by the rule `counting`; curves and the tables of results and
    costs show what was measured. A page that is watched loads itself again every `refresh` seconds.
    """
    content = Content()
    if not runs.empty:
        content = _content(name_tasks(runs), curves, measures, predictions, counting)
        content = replace(content, checklist=checklist(runs, provenance, planned))
    return _TEMPLATES.get_template("page.html").render(
        title=title,
        content=content,
        notes=notes,
        waiting=_waiting(planned),
        counting=counting.words,
        commands=commands,
        provenance=provenance,
        axes={name: asdict(axis) for name, axis in AXES.items()},
        library=Markup(library()),
        refresh=refresh,
    )


def _content(
    runs: pd.DataFrame,
    curves: pd.DataFrame,
    measures: pd.DataFrame,
    predictions: pd.DataFrame | None,
    counting: Counting,
) -> Content:
    shown, compared = place_baselines(runs), drop_baselines(runs)
    look = looks(shown)
    legend = _legend(compared, look)
    groups = summarise(shown)
    by_metric = _scores(shown, curves, counting)
    named = {metric: metric.replace("_", " ") for metric in by_metric} | {"loss": "loss"}
    hits = None if predictions is None else RowHits(predictions)
    sections = []
    for task, members in shown.groupby("task", sort=True):
        drawn = panels(members, curves, measures, look)
        own = {m: frame[frame["task"] == task] for m, frame in by_metric.items()}
        verdicts = tabulate_verdicts(own, named, hits) + tabulate_race(members, look)
        sections.append(_section(str(task), members, groups.loc[[task]].droplevel("task"), drawn, verdicts, look))
    methods = [one.label for one in legend]
    over_tasks = {metric: frame[frame["method"].isin(methods)] for metric, frame in by_metric.items()}
    over_tasks = {metric: frame for metric, frame in over_tasks.items() if not frame.empty}
    return Content(
        counts=_counts(runs),
        cautions=cautions(shown, look),
        filters=_filters(shown, compared, sections),
        groups={own.label: _known(group, own) for group, own in look.items()},
        sections=sections,
        legend=legend,
        comparison=compare_methods(compared, curves, over_tasks, named, counting) if over_tasks else None,
        worth=[] if predictions is None else worth(runs, predictions),
        seed_tables=page_tables(runs),
        troubles=tabulate_troubles(runs, looks(runs)),
    )


def _scores(runs: pd.DataFrame, curves: pd.DataFrame, counting: Counting) -> dict[str, pd.DataFrame]:
    """Return the scores by which methods are compared: the loss, and what test measured beside it."""
    tested = [c for c in columns.scores(runs.columns, "test") if c != "test_loss" and runs[c].notna().any()]
    by_metric = {}
    for metric in ["loss", *tested]:
        with suppress(InputError):  # no run counts: there is nothing to compare
            by_metric[metric] = scores(runs, curves, metric=metric, counting=counting)
    return by_metric


def _legend(runs: pd.DataFrame, look: Looks) -> list[Look]:
    """Return the looks of these runs, each once."""
    return list(dict.fromkeys(look[group] for group in sorted(set(runs[SERIES].itertuples(index=False, name=None)))))


def _filters(shown: pd.DataFrame, compared: pd.DataFrame, sections: list[Section]) -> dict[str, list[str]]:
    """Return what there are several of: a menu of one entry hides nothing but everything."""
    frames = {"task": shown, "optimizer": shown, "projection": compared}
    kinds = {kind: sorted(runs[kind].unique()) for kind, runs in frames.items()}
    kinds["value"] = list(dict.fromkeys(panel.value for section in sections for panel in section.panels))
    return {kind: names for kind, names in kinds.items() if len(names) > 1}


def _known(group: tuple[Any, ...], look: Look) -> dict[str, str]:
    """Return how a group is drawn, and by what it can be hidden."""
    named = dict(zip(SERIES, group, strict=True))
    return {
        "optimizer": named["optimizer"],
        "projection": named["projection"],
        "colour": look.colour,
        "marker": look.marker,
        "dash": look.dash,
    }


def _section(
    task: str, runs: pd.DataFrame, groups: pd.DataFrame, drawn: list[Panel], verdicts: list[Table], look: Looks
) -> Section:
    prompts = tabulate_prompts(runs, look)
    return Section(
        task=task,
        facts=_facts(runs),
        checks=_checks(runs),
        legend=_legend(runs, look),
        panels=drawn,
        tables=[
            tabulate_results(groups, look),
            *verdicts,
            tabulate_costs(groups, look),
            *([prompts] if prompts else []),
        ],
    )


def _waiting(planned: pd.DataFrame | None) -> dict[str, int]:
    """Count the runs that are yet to begin, and sum their budgets."""
    if planned is None:
        return {"runs": 0, "budget": 0}
    return {"runs": len(planned), "budget": int(planned["budget"].sum())}


def _counts(runs: pd.DataFrame) -> dict[str, int]:
    """Count the runs, by status too, and sum evaluations, budgets and calls that an interruption cost."""
    counts = {"runs": len(runs)} | {status: int((runs["status"] == status).sum()) for status in STATUSES}
    spent = runs.reindex(columns=["evaluations", "budget", "repaid", "discarded", "lost"], fill_value=0)
    return counts | {str(column): int(total) for column, total in spent.sum().items()}


def _facts(runs: pd.DataFrame) -> str:
    """Describe a task's runs in a line: "dimension 10, 20 · budget 300 · seeds 0, 1, 2 · known optimum 0"."""
    if not runs["baseline"].all():
        runs = runs[~runs["baseline"]]
    facts = []
    for column, name in {"dim": "dimension", "budget": "budget", "seed": "seeds", "optimum": "known optimum"}.items():
        values = sorted(runs[column].dropna().unique()) if column in runs else []
        if values:
            written = [f"{value:,}" if column != "optimum" else f"{value:.6g}" for value in values]
            facts.append(f"{name} {', '.join(written)}")
    return " · ".join(facts)


def _checks(runs: pd.DataFrame) -> list[str]:
    """Return what was to be known of a task before its runs began: of its searches, where there are any.

    Of the first seed: another draws other texts, whose losses at the start differ.
    """
    searches = runs[~runs["baseline"]]
    some = runs if searches.empty else searches
    if "checks" not in some:
        return []
    lines = some.loc[some["seed"] == some["seed"].min(), "checks"].dropna()
    return [line for line in dict.fromkeys("\n".join(lines).split("\n")) if line]
