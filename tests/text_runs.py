"""Runs of a text task on a few reviews and a tiny model."""

from typing import Any

from dfo_bench.lm import TextTask
from dfo_bench.plugins.component import Component, parse
from dfo_bench.runs.assembly import assemble
from dfo_bench.runs.spec import RunSpec
from dfo_bench.runs.summary import Summary
from dfo_bench.store.store import Store
from dfo_bench.sweeps.execute import execute
from tests.tiny_lm import reviews, write


def planned(
    store: Store, model: str, optimizer: str = "cma:popsize=6", projection: str = "normal", **params: Any
) -> RunSpec:
    """Plan a run on a few reviews, with a test split."""
    files = {name: str(write(store.path.parent / f"{name}.jsonl", reviews(6))) for name in ("train", "test")}
    words = {"negative": "bad", "positive": "good"}
    given: dict[str, Any] = {**files, "words": words, "model": model, "shots": 3, "prompt_tokens": 3, **params}
    return RunSpec(Component("text", given), parse(optimizer), parse(projection), dim=5, budget=12, dev_every=6)


def run(store: Store, *args: Any, **params: Any) -> Summary:
    """Make a finished run, and return its summary."""
    summary = execute(planned(store, *args, **params), store.path)
    assert summary.status == "finished", summary.events
    return summary


def task_of(summary: Summary) -> TextTask:
    task = assemble(summary.spec).task
    assert isinstance(task, TextTask)
    return task
