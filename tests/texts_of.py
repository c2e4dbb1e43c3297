"""Bare text tasks on a few reviews and a tiny model, as references see them."""

from pathlib import Path
from typing import Any

from dfo_bench.core import Component
from dfo_bench.lm import TextTask
from dfo_bench.lm.texts import Texts
from dfo_bench.plugins.plugin import resolve
from dfo_bench.plugins.registry import TASKS
from dfo_bench.runs.spec import streams
from tests.tiny_lm import reviews, write


def written(folder: Path, model: str, **params: Any) -> Component:
    """Write a few reviews, and name the task on them."""
    files = {name: str(write(folder / f"{name}.jsonl", reviews(8))) for name in ("train", "test")}
    words = {"negative": "bad", "positive": "good"}
    return Component("text", {**files, "words": words, "model": model, "shots": 3, **params})


def texts_of(folder: Path, model: str, **params: Any) -> Texts:
    """Return the texts of seed 0."""
    task = resolve(TASKS, written(folder, model, prompt_tokens=0, **params)).construct(rngs=streams(0))
    assert isinstance(task, TextTask)
    return task.texts()
