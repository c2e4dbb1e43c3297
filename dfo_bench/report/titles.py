"""The titles of tasks in a report: a question has one, that of its last run, and its runs stand together under it."""

from collections import defaultdict

import pandas as pd

from dfo_bench.errors import InputError
from dfo_bench.plugins.component import Component, parse
from dfo_bench.report.versions import tell_versions
from dfo_bench.runs.titles import ANSWER, PROMPT, TITLE, give


def name_tasks(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs of a store with their tasks as a report names them: versions told apart, and under titles."""
    return entitle(tell_versions(runs))


def entitle(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs with their tasks under their titles; tasks of one title keep the parameters that they differ in.

    A question is a task without how it is answered; each version of its data has a title of its own. Where tasks of
    several names have one title, it is not used.
    """
    if runs.empty or not runs["task"].str.contains(f"{TITLE}=", regex=False).any():
        return runs
    read = {task: component for task in runs["task"].unique() if (component := _parse(task))}
    titles: dict[Component, str] = {}
    for task in runs.sort_values("ended", kind="stable")["task"]:
        if task in read and isinstance(title := read[task].params.get(TITLE), str):
            titles[_question(read[task])] = title
    sharing: dict[str, list[Component]] = defaultdict(list)
    for question, title in titles.items():
        sharing[title].append(question)
    named = {task: _named(one, titles.get(_question(one), ""), sharing) for task, one in read.items()}
    return runs.assign(task=runs["task"].map(lambda task: named.get(task, task)))


def _parse(task: str) -> Component | None:
    try:
        return parse(task)
    except InputError:
        # That of an imported run.
        return None


def _question(task: Component) -> Component:
    how = PROMPT | ANSWER | {TITLE}
    return Component(task.name, {name: value for name, value in task.params.items() if name not in how})


def _named(task: Component, title: str, sharing: dict[str, list[Component]]) -> str:
    questions = sharing.get(title, [])
    if len({question.name for question in questions}) != 1:
        return str(Component(task.name, {name: value for name, value in task.params.items() if name != TITLE}))
    names = {name for question in questions for name in question.params}
    differ = {name for name in names if len({str(question.params.get(name)) for question in questions}) > 1}
    return str(give(task, title, frozenset(differ)))
