"""The view of one run: all there is to know of it, gathered to be shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from dfo_bench.errors import InputError, Unavailable
from dfo_bench.store.store import Store
from dfo_bench.store.text_runs import BEST, find_text_runs, read_prompt

_NEAR = 3
"""So many words are named for each vector of a prompt."""


@dataclass(frozen=True)
class RunView:
    """One run."""

    row: Mapping[str, Any]
    """Its row of `Store.runs`, without what is not known."""
    curve: pd.DataFrame
    """Its rows of `Store.curves`."""
    words: Sequence[Sequence[str]] | str
    """The nearest words of each vector of its prompt, or why there are none; "" where there is no prompt."""
    events: Sequence[str]
    """What happened in it, once it has ended, such as the step that alpha=auto found."""


def view(store: Store, run: str) -> RunView:
    """Do what `Store.view` says."""
    runs = store.runs()
    key = _best(store, runs) if run == BEST else store.find(run)
    if key not in set(runs["key"]):
        raise InputError(f"run {key} cannot be read; delete it with: dfo-bench delete {key} --store {store.path}")
    row = runs[runs["key"] == key].iloc[0].dropna().to_dict()
    summary = store.summary(key)
    return RunView(
        row={str(name): value for name, value in row.items()},
        curve=store.curves([key]),
        words=_words(store, key),
        events=summary.events if summary else (),
    )


def _best(store: Store, runs: pd.DataFrame) -> str:
    if texts := find_text_runs(store):
        from dfo_bench.store.classifier import choose

        tasks = sorted({one.task for one in texts if not one.summary.baseline})
        if len(tasks) > 1:
            best = [f"{choose(store, texts, task)[0].summary.key} ({task})" for task in tasks]
            raise InputError(
                f"{store.path} has searches of {len(tasks)} tasks; show the best of one: {', '.join(best)}"
            )
        return choose(store, texts, None)[0].summary.key
    searches = runs[(runs["status"] == "finished") & ~runs["baseline"].astype(bool)] if len(runs) else runs
    if searches.empty or searches["task"].nunique() > 1:
        have = f"searches of {searches['task'].nunique()} tasks" if len(searches) else "no finished search"
        raise InputError(f"{store.path} has {have}; name a run by its key, see: dfo-bench status --json")
    return str(searches.set_index("key")["best_loss"].idxmin())


def _words(store: Store, key: str) -> list[list[str]] | str:
    found = [run for run in find_text_runs(store) if run.summary.key == key and not run.reference]
    if not found or not found[0].spec.task.params["prompt_tokens"]:
        return ""
    mode = found[0].spec.task.params["mode"]
    if mode == "words":
        return ""
    if mode not in ("inputs_embeds", "after"):
        return f"none, for mode={mode} puts no word embeddings into the model"
    try:
        task, point = read_prompt(found[0])
        return task.nearest_words(point, _NEAR)
    except (InputError, Unavailable) as error:
        return f"not known, {error}"
