"""The prompts that runs have found, as one file of tensors.

A prompt is what a language-model task makes of a point.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
from safetensors.numpy import save

from dfo_bench import __version__
from dfo_bench.errors import InputError, Unavailable, writing
from dfo_bench.exchange.suite import ELSEWHERE
from dfo_bench.runs import columns
from dfo_bench.runs.assembly import Assembly, assemble
from dfo_bench.runs.columns import SPLITS
from dfo_bench.runs.journal import plain_json
from dfo_bench.runs.rebuild import rebuild
from dfo_bench.runs.summary import Summary
from dfo_bench.store.store import Store
from dfo_bench.store.text_runs import TextRun, find_differences, find_text_runs
from dfo_bench.threads import single_threaded

if TYPE_CHECKING:
    from dfo_bench.lm import TextTask


@dataclass(frozen=True)
class Prompt:
    """The prompt that a run selected, as its task puts it into the model."""

    key: str
    values: npt.NDArray[np.float32]
    """Shape (prompt_tokens, size), with mode=deep (blocks, ...), with mode=prefix (blocks, 2, ...): keys and values."""
    source: dict[str, Any]
    """The run, its scores and its model, as plain JSON."""


def export_prompts(store: Store, out: Path) -> list[str]:
    """Write one safetensors file: a tensor for every run, named by its key, and its source as JSON in the header."""
    prompts, notes = collect_prompts(store)
    header = {prompt.key: plain_json.encode(prompt.source) for prompt in prompts}
    tensors = {prompt.key: prompt.values for prompt in prompts}
    write_files({out: save(tensors, {"dfo-bench": __version__, **header})})
    return notes


def collect_prompts(store: Store) -> tuple[list[Prompt], list[str]]:
    """Return the selected prompts of the finished runs of language-model tasks, and what is doubtful about them.

    A run whose model or data are not there any more is left out, and named. Raise InputError where none is left.
    """
    runs = find_text_runs(store)
    frame = store.runs().set_index("key")
    prompts: list[Prompt] = []
    notes: list[str] = []
    left_out: list[InputError] = []
    # As in a run: what threads add up in another order differs in the last bits.
    with single_threaded():
        # Runs of one task and seed share it: to build one may mean to load a model.
        for _, shared in groupby(sorted(runs, key=_name_instance), key=_name_instance):
            assembly = None
            for run in shared:
                summary = run.summary
                try:
                    assembly = assemble(run.spec, assembly.task if assembly else None)
                    notes += find_differences(assembly, summary, "delete the run")
                except (InputError, Unavailable) as error:
                    named = error if isinstance(error, InputError) else InputError(f"run {summary.key}: {error}")
                    left_out.append(named)
                    continue
                if assembly.task.space.dim:
                    prompts.append(_read_prompt(store, assembly, summary, frame.loc[[summary.key]].iloc[0]))
    if left_out and not prompts:
        raise left_out[0]
    if not prompts:
        raise InputError(
            f"{store.path} has no finished run with a prompt; make one with: "
            f"dfo-bench run -t helpdesk -o cma -b 300 --store {store.path}"
        )
    return prompts, [*notes, *(f"left out: {error}" for error in left_out)]


def _name_instance(run: TextRun) -> tuple[str, int]:
    return str(run.spec.task), run.spec.seed


def say_source(store: Store, summary: Summary, row: pd.Series) -> dict[str, Any]:
    """Return what a run is and what it scored, as plain JSON; `row` is its row in `store.runs()`."""
    assert summary.selected
    evaluation = summary.selected.evaluation
    scores = row[[column for split in SPLITS for column in columns.scores(row.index, split)]]
    return {
        **summary.shown,
        **{name: getattr(summary.spec, name) for name in ("dim", "budget", "seed")},
        "evaluation": evaluation,
        "loss": float(store.curves([summary.key])["loss"].iloc[evaluation - 1]),
        **({"text": summary.selected.text} if summary.selected.text else {}),
        **{str(name): float(value) for name, value in scores.dropna().items()},
    }


def _read_prompt(store: Store, assembly: Assembly, summary: Summary, scores: pd.Series) -> Prompt:
    from dfo_bench.lm.models import absolute

    task = cast("TextTask", assembly.task)
    assert summary.selected
    point = rebuild(summary.selected.recipe, task.space, assembly.embed)
    source = {
        **say_source(store, summary, scores),
        "model": absolute(task.model_name),
        "model_digest": task.contents["model"],
        **{name: getattr(task, name) for name in ("head", "mode", "prompt_tokens", "calibrate")},
        "include_prompt": summary.spec.task.params["include_prompt"],
        "space": task.space.meaning,
    }
    return Prompt(summary.key, task.prompts(point)[0], source)


def write_files(files: Mapping[Path, bytes]) -> None:
    """Write files, with the folders they stand in."""
    for path, data in files.items():
        with writing(path, ELSEWHERE):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
