"""What a run has found, as PEFT reads it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftConfig, PeftModel
from safetensors.numpy import load_file
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSeq2SeqLM

from dfo_bench.core import Dense
from dfo_bench.errors import InputError
from dfo_bench.exchange import prompts
from dfo_bench.exchange.peft import export_peft
from dfo_bench.lm import TextTask
from dfo_bench.lm.families import FAMILIES
from dfo_bench.lm.models import LanguageModel
from dfo_bench.lm.templates import Encoded, label_tokens
from dfo_bench.store.store import Store
from tests.text_runs import run, task_of
from tests.tiny_lm import TINY, Zoo

AUTO: dict[str, Any] = {
    "embedding": AutoModel,
    "masked": AutoModelForMaskedLM,
    "causal": AutoModelForCausalLM,
    "seq2seq": AutoModelForSeq2SeqLM,
}
DECODERS = [name for name, tiny in TINY.items() if "causal" in FAMILIES[tiny.model_type].heads]


@pytest.mark.parametrize(
    ("model", "head", "mode"),
    [
        ("bert", "masked", "inputs_embeds"),
        ("roberta", "masked", "inputs_embeds"),
        ("albert", "masked", "inputs_embeds"),
        ("bert", "embedding", "inputs_embeds"),
        *((model, "causal", "inputs_embeds") for model in ("gpt2", "llama", "opt", "gemma", "gemma3_text")),
        *((model, "causal", "prefix") for model in DECODERS),
        ("t5", "seq2seq", "inputs_embeds"),
        ("bart", "seq2seq", "inputs_embeds"),
    ],
)
def test_peft_loads_an_adapter_and_computes_what_the_run_did(
    store: Store, zoo: Zoo, model: str, head: str, mode: str
) -> None:
    summary = run(store, zoo.folder(model), head=head, mode=mode)
    notes = export_peft(store, store.path / "adapters")
    assert ["without the prompt's own rows" in note for note in notes] == [True] * (head == "embedding")
    base = AUTO[head].from_pretrained(zoo.folder(model), dtype=torch.float32)
    adapted = PeftModel.from_pretrained(base, str(store.path / "adapters" / summary.key)).eval()
    task, (prompt,) = task_of(summary), prompts.collect_prompts(store)[0]
    steps = 1 if task._prompts.steps is None else task._prompts.steps
    expected = task.logits(Dense((prompt.values / steps).reshape(1, -1).astype(float)), "train")[0]
    with torch.inference_mode():
        found = [label_logits(adapted, task, zoo.load(model, head), text) for text in task.inputs("train")]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def label_logits(adapted: Any, task: TextTask, loaded: LanguageModel, text: Encoded) -> torch.Tensor:
    """Return what a model with a prompt in PEFT says of the labels, shape (classes,)."""
    ids = torch.tensor([text.ids])
    if task.head == "embedding":
        own = adapted(input_ids=ids).last_hidden_state[:, task.prompt_tokens :].mean(1)
        texts = [loaded.model(**loaded.tokenizer(label, return_tensors="pt")) for label in task.shown_words]
        return 20 * torch.cat([torch.cosine_similarity(own, label.last_hidden_state.mean(1)) for label in texts])
    if task.head == "seq2seq":
        scores = adapted(input_ids=ids, decoder_input_ids=torch.tensor([text.decoder])).logits[0, -1]
    else:
        at = -1 if text.mask is None else task.prompt_tokens + text.mask
        scores = adapted(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, at]
    labels: torch.Tensor = scores[list(label_tokens(loaded, task.shown_words, leading_space=task.head == "causal"))]
    return labels


def test_what_peft_saves_is_what_is_exported(store: Store, zoo: Zoo) -> None:
    key = run(store, zoo.folder(), mode="inputs_embeds", head="masked").key
    out, again = store.path / "adapters", store.path / "again"
    export_peft(store, out)
    base = AutoModelForMaskedLM.from_pretrained(zoo.folder())
    PeftModel.from_pretrained(base, str(out / key)).save_pretrained(str(again))
    ours, theirs = load_file(out / key / "adapter_model.safetensors"), load_file(again / "adapter_model.safetensors")
    assert list(ours) == list(theirs)
    np.testing.assert_array_equal(ours["prompt_embeddings"], theirs["prompt_embeddings"])


def test_peft_takes_runs_of_its_own_mode_only(store: Store, zoo: Zoo) -> None:
    run(store, zoo.folder(), mode="add")
    with pytest.raises(
        InputError, match=r"no finished run of mode=inputs_embeds or prefix.* make one with: dfo-bench run -t"
    ):
        export_peft(store, store.path / "adapters")
    key = run(store, zoo.folder(), mode="inputs_embeds").key
    notes = export_peft(store, store.path / "adapters")
    assert notes[-1] == "left out: 1 run of other modes, which PEFT does not have"
    assert [folder.name for folder in (store.path / "adapters").iterdir()] == [key]


def test_a_model_named_by_a_relative_path_is_found_from_every_folder(
    store: Store, zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Path(zoo.folder())
    monkeypatch.chdir(model.parent)
    key = run(store, model.name, head="masked", mode="inputs_embeds").key
    export_peft(store, store.path / "adapters")
    monkeypatch.chdir(store.path)
    base = PeftConfig.from_pretrained(str(store.path / "adapters" / key)).base_model_name_or_path
    assert base == str(model)
    PeftModel.from_pretrained(AutoModelForMaskedLM.from_pretrained(base), str(store.path / "adapters" / key))
