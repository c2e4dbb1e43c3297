"""A text, or a prompt from a file, as the start of a search."""

import json
from itertools import cycle, islice
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from dfo_bench.errors import InputError
from dfo_bench.exchange.prompts import export_prompts
from dfo_bench.lm import TextTask
from dfo_bench.lm.calibration import Calibration
from dfo_bench.lm.initial import read_initial
from dfo_bench.lm.modes import ModeName
from dfo_bench.runs.assembly import assemble
from dfo_bench.runs.summary import Summary
from dfo_bench.store.store import Store
from dfo_bench.sweeps.execute import execute
from tests import plain_lm
from tests.text_runs import planned, run, task_of
from tests.tiny_lm import Zoo, write


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "prompts.safetensors"


@pytest.mark.parametrize("mode", ["add", "cat", "inputs_embeds", "deep"])
def test_a_search_begins_at_the_prompt_that_was_exported(store: Store, zoo: Zoo, file: Path, mode: ModeName) -> None:
    found = run(store, zoo.folder(), head="masked", mode=mode)
    export_prompts(store, file)
    again = run(store, zoo.folder(), "start", head="masked", mode=mode, initial=str(file))
    assert again.best_loss == pytest.approx(_loss_of_selected(store, found), abs=1e-5)
    assert again.key != found.key


def _loss_of_selected(store: Store, summary: Summary | None) -> float:
    assert summary
    assert summary.selected
    return float(store.curves([summary.key])["loss"].iloc[summary.selected.evaluation - 1])


def test_of_several_prompts_the_best_on_dev_is_taken(store: Store, zoo: Zoo, file: Path) -> None:
    for projection in ("normal", "uniform", "normal:alpha=8.0"):
        run(store, zoo.folder(), projection=projection, head="masked")
    export_prompts(store, file)
    runs = store.runs()
    selected = {key: _loss_of_selected(store, store.summary(key)) for key in runs["key"]}
    best = min(zip(runs["key"], runs["dev_accuracy"], strict=True), key=lambda of: (-of[1], selected[of[0]], of[0]))[0]
    again = run(store, zoo.folder(), "start", head="masked", initial=str(file))
    assert again.best_loss == pytest.approx(selected[best], abs=1e-5)


def test_a_prompt_that_was_scored_as_the_search_scores_comes_before_one_of_a_better_dev(tmp_path: Path) -> None:
    path, prompts = str(tmp_path / "prompts"), {name: np.full((1, 2), i, np.float32) for i, name in enumerate("abcde")}
    masked = {"head": "masked", "calibrate": "none", "include_prompt": True}
    sources = {
        "a": {**masked, "calibrate": "bias", "dev_accuracy": 0.9, "loss": 0.1},
        "b": {**masked, "dev_accuracy": 0.5, "loss": 0.7},
        "c": {**masked, "dev_accuracy": 0.6, "loss": 0.8},
        "d": {**masked, "head": "embedding", "dev_accuracy": 0.4, "loss": 0.9},
        "e": {**masked, "head": "embedding", "include_prompt": False, "dev_accuracy": 0.3, "loss": 0.9},
    }
    save_file(prompts, path, {key: json.dumps(source) for key, source in sources.items()})

    def taken(**reading: Any) -> str:
        return "abcde"[int(read_initial(path, {**masked, **reading})[0][0, 0])]

    assert {kind: taken(calibrate=kind) for kind in get_args(Calibration)} == {"none": "c", "bias": "a", "affine": "a"}
    assert taken(head="embedding") == "d"
    assert taken(head="embedding", include_prompt=False) == "e"
    # Elsewhere the choice changes nothing.
    assert taken(include_prompt=False) == "c"


def test_the_prompts_numbers_stand_in_the_key_not_the_path_of_its_file(store: Store, zoo: Zoo, file: Path) -> None:
    run(store, zoo.folder(), head="masked")
    export_prompts(store, file)
    moved = file.with_name("moved.safetensors")
    moved.write_bytes(file.read_bytes())
    keys = {
        assemble(planned(store, zoo.folder(), head="masked", initial=None if path is None else str(path))).key
        for path in (file, moved, None)
    }
    assert len(keys) == 2


def test_a_run_from_a_prompt_is_finished_and_exported_itself(store: Store, zoo: Zoo, file: Path) -> None:
    run(store, zoo.folder(), head="masked")
    export_prompts(store, file)
    spec = planned(store, zoo.folder(), head="masked", initial=str(file))
    summary = execute(spec, store.path)
    task = task_of(summary)
    start = task.prompts(task.space.start)
    assert summary.status == "finished"
    assert np.abs(start).max() > 0
    assert export_prompts(store, file.with_name("second.safetensors")) == []


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"prompt_tokens": 4},
            "no prompt of .*mode=inputs_embeds, prompt_tokens=4, but of .*prompt_tokens=3",
        ),
        ({"mode": "cat"}, "no prompt of .*mode=cat.*, but of .*mode=inputs_embeds"),
    ],
)
def test_a_prompt_of_another_shape_is_refused(
    store: Store, zoo: Zoo, file: Path, params: dict[str, Any], message: str
) -> None:
    run(store, zoo.folder(), head="masked")
    export_prompts(store, file)
    with pytest.raises(InputError, match=message):
        assemble(planned(store, zoo.folder(), head="masked", initial=str(file), **params))


def test_what_is_no_file_of_prompts_is_refused(store: Store, zoo: Zoo, file: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        assemble(planned(store, zoo.folder(), head="masked", initial=str(file)))
    write(file, [])
    with pytest.raises(InputError, match="no file of prompts"):
        assemble(planned(store, zoo.folder(), head="masked", initial=str(file)))


@pytest.mark.parametrize("mode", ["inputs_embeds", "after"])
def test_a_text_is_the_start_word_by_word_repeated_or_cut(store: Store, zoo: Zoo, mode: ModeName) -> None:
    given: dict[str, Any] = {"head": "causal", "mode": mode, "template": "{text} is", "initial": "good film"}
    for tokens in (5, 1):
        task = assemble(planned(store, zoo.folder("gemma3_text"), prompt_tokens=tokens, **given)).task
        assert isinstance(task, TextTask)
        ids = task.local.model.tokenizer("good film", add_special_tokens=False)["input_ids"]
        expected = task.local.model.base.get_input_embeddings()(torch.tensor(list(islice(cycle(ids), tokens))))
        np.testing.assert_allclose(task.prompts(task.space.start)[0], expected.numpy(force=True), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["bert", "roberta", "t5"])
@pytest.mark.parametrize("mode", ["add", "cat", "deep"])
def test_a_text_at_the_first_block_is_what_the_model_makes_of_it_there(
    store: Store, zoo: Zoo, name: str, mode: ModeName
) -> None:
    head = "seq2seq" if name == "t5" else "masked"
    parts = assemble(planned(store, zoo.folder(name), head=head, mode=mode, initial="good"))
    task = parts.task
    assert isinstance(task, TextTask)
    model, way = task.local.model, task.local.mode
    special = list(task.inputs("train")[0].ids[: model.first]) if way.slots else []
    ids = [*special, *model.tokenizer("good", add_special_tokens=False)["input_ids"] * 3][: len(special) + 3]
    prompt = torch.tensor(task.prompts(task.space.start)[0])
    slots = [*special, *range(1000, 1000 + way.slots)]
    there = plain_lm.entering(model.base, slots)[0, len(special) :] if way.slots else torch.zeros(3, 1)
    first = prompt[0] if mode == "deep" else prompt
    expected = plain_lm.entering(model.base, ids)[0, len(special) :]
    np.testing.assert_allclose((first + there).numpy(force=True), expected.numpy(force=True), rtol=0, atol=1e-5)
    assert mode != "deep" or not prompt[1:].any()


def test_the_start_is_full_stops_unless_it_is_said_to_be_zeros(store: Store, zoo: Zoo) -> None:
    default, stops, zeros = (
        assemble(planned(store, zoo.folder(), head="masked", **given))
        for given in ({}, {"initial": "."}, {"initial": None})
    )
    assert default.key == stops.key != zeros.key
    assert np.array_equal(default.task.space.start.dense(), stops.task.space.start.dense())
    assert not zeros.task.space.start.dense().any()


def test_a_text_without_a_token_is_refused(store: Store, zoo: Zoo) -> None:
    with pytest.raises(InputError, match=r"initial=' ' has no token .*; write words, or name a file"):
        assemble(planned(store, zoo.folder(), head="masked", initial=" "))
