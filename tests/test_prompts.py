"""What a run has found, as other programs read it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file
from typer.testing import CliRunner

from dfo_bench.cli import app
from dfo_bench.errors import InputError
from dfo_bench.exchange import EXPORTS, prompts
from dfo_bench.lm import models
from dfo_bench.plugins.component import parse
from dfo_bench.runs.assembly import assemble
from dfo_bench.runs.spec import RunSpec
from dfo_bench.store.store import Store
from dfo_bench.sweeps.execute import execute
from tests.text_runs import planned, run, task_of
from tests.tiny_lm import Zoo, reviews, write


@pytest.mark.parametrize(
    ("mode", "optimizer", "shape"),
    [
        ("add", "cma:popsize=6", (3, 16)),
        ("cat", "sre:stages=2", (3, 16)),
        ("inputs_embeds", "start", (3, 16)),
        ("deep", "layerwise:inner=(cma:popsize=6)", (2, 3, 16)),
    ],
)
def test_prompts_are_the_selected_ones_as_the_task_used_them(
    store: Store, zoo: Zoo, mode: str, optimizer: str, shape: tuple[int, ...]
) -> None:
    summary = run(store, zoo.folder(), optimizer, head="masked", mode=mode)
    assert summary.selected
    key, evaluation = summary.key, summary.selected.evaluation
    assert prompts.export_prompts(store, store.path / "out" / "prompts.safetensors") == []
    with safe_open(store.path / "out" / "prompts.safetensors", "np") as file:
        assert list(file.keys()) == [key]
        prompt, source = file.get_tensor(key), json.loads(file.metadata()[key])
    assert (prompt.shape, prompt.dtype) == (shape, np.float32)
    task = task_of(summary)
    logits = task.local.engine.logits(prompt[None], task.inputs("train"))
    loss = store.curves()["loss"].iloc[evaluation - 1]
    assert task._scores(logits, "train")["loss"][0] == pytest.approx(loss, abs=1e-5)
    row = store.runs().iloc[0]
    assert source == {
        **{name: row[name] for name in ("task", "optimizer", "projection", "dim", "budget", "seed")},
        **{name: row[name] for name in ("dev_accuracy", "dev_loss", "test_accuracy", "test_loss")},
        **{name: row[name] for name in ("test_calibrated_accuracy", "test_calibrated_loss")},
        **{"evaluation": evaluation, "loss": loss, "head": "masked", "mode": mode},
        **{"prompt_tokens": 3, "calibrate": "none", "include_prompt": False},
        **{"model": zoo.folder(), "model_digest": task.contents["model"], "space": task.space.meaning},
    }


def test_only_finished_runs_of_text_tasks_with_a_prompt_are_exported(store: Store, zoo: Zoo) -> None:
    execute(RunSpec(parse("sphere"), parse("random"), parse("normal"), dim=5, budget=20), store.path)
    run(store, zoo.folder(), "start", prompt_tokens=0)
    with pytest.raises(InputError, match="no finished run with a prompt; make one with: dfo-bench run -t helpdesk"):
        prompts.export_prompts(store, store.path / "prompts.safetensors")
    keys = [run(store, zoo.folder(), optimizer).key for optimizer in ("random", "cma")]
    prompts.export_prompts(store, store.path / "prompts.safetensors")
    assert sorted(load_file(store.path / "prompts.safetensors")) == sorted(keys)


def test_a_model_named_by_a_relative_path_is_named_so_that_every_folder_finds_it(
    store: Store, zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(zoo.folder()).parent)
    run(store, Path(zoo.folder()).name, "start")
    assert prompts.collect_prompts(store)[0][0].source["model"] == zoo.folder()


def test_another_model_or_other_data_than_the_run_used_is_refused(store: Store, zoo: Zoo, tmp_path: Path) -> None:
    model = Path(zoo.folder()).rename(tmp_path / "model")
    key = run(store, str(model)).key
    text = (model / "config.json").read_text()
    (model / "config.json").write_text(text + " ")
    models._load.cache_clear()
    with pytest.raises(InputError, match=f"run {key} used another model than text:.* names now; put it back"):
        prompts.collect_prompts(store)
    (model / "config.json").write_text(text)
    models._load.cache_clear()
    write(tmp_path / "train.jsonl", reviews(7))
    with pytest.raises(InputError, match=f"run {key} used another train than"):
        prompts.collect_prompts(store)
    # A run that is stale holds up no other.
    spec = planned(store, str(model))
    write(tmp_path / "train.jsonl", reviews(7))
    later = execute(spec, store.path).key
    found, notes = prompts.collect_prompts(store)
    assert [prompt.key for prompt in found] == [later]
    assert [note.partition(" than ")[0] for note in notes] == [f"left out: run {key} used another train"]


def test_another_version_of_a_plugin_is_said(store: Store, zoo: Zoo) -> None:
    key = run(store, zoo.folder()).key
    path = store.path / key / "summary.json"
    summary = json.loads(path.read_text())
    summary["digests"] |= {"projection": "0" * 16, "optimizer": "0" * 16}
    path.write_text(json.dumps(summary))
    assert prompts.collect_prompts(store)[1] == [f"run {key} was made by another version of projection normal"]


@pytest.mark.parametrize("name", ["prompts", "peft"])
def test_a_place_that_cannot_be_written_is_refused(store: Store, zoo: Zoo, name: str) -> None:
    run(store, zoo.folder(), "start", mode="inputs_embeds")
    (store.path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot be written: .*; name another place"):
        EXPORTS[name](store, store.path / "file" / "out")


@pytest.mark.parametrize("name", ["prompts", "peft"])
def test_the_command_line_says_where_it_wrote_and_what_is_doubtful(store: Store, zoo: Zoo, name: str) -> None:
    for mode in ("add", "inputs_embeds"):
        run(store, zoo.folder(), "start", mode=mode)
    out = store.path / "out"
    done = CliRunner().invoke(app, ["export", name, str(out), "--store", str(store.path)])
    assert (done.exit_code, done.stdout.strip(), out.exists()) == (0, str(out), True)
    assert ("left out: 1 run of" in done.stderr) == (name == "peft")


def exported(store: Store, model: str, **params: Any) -> str:
    """Export the prompts of two runs."""
    for optimizer in ("cma:popsize=6", "random"):
        run(store, model, optimizer, **params)
    prompts.export_prompts(store, store.path / "prompts.safetensors")
    return str(store.path / "prompts.safetensors")


@pytest.mark.parametrize("mode", ["add", "inputs_embeds"])
def test_a_projection_learns_from_exported_prompts_and_begins_at_their_mean(store: Store, zoo: Zoo, mode: str) -> None:
    file = exported(store, zoo.folder(), mode=mode)
    spec = planned(store, zoo.folder(), projection=f"pretrained:prompts={file}", mode=mode, head="masked")
    begun = assemble(spec).embed(0).lift(np.zeros((1, 5))).dense()
    mean = np.mean([prompt.values for prompt in prompts.collect_prompts(store)[0]], axis=0)
    np.testing.assert_allclose(begun.reshape(mean.shape), mean, rtol=1e-6)
    # What was found in it is learned from in turn, and rebuilt to the bit.
    summary = execute(spec, store.path)
    assert summary.status == "finished", summary.events
    assert summary.key in {prompt.key for prompt in prompts.collect_prompts(store)[0]}


def test_the_key_of_a_learned_projection_rests_on_its_prompts_and_not_on_their_place(store: Store, zoo: Zoo) -> None:
    file = Path(exported(store, zoo.folder()))
    copy = file.with_name("copy.safetensors")
    copy.write_bytes(file.read_bytes())
    specs = [planned(store, zoo.folder(), projection=f"pretrained:prompts={path}") for path in (file, copy)]
    first, second = (assemble(spec) for spec in specs)
    assert first.key == second.key
    summary = execute(specs[1], store.path)
    assert summary.digests["projection:prompts"] == first.projection.contents["prompts"]
    run(store, zoo.folder(), "cma:popsize=4")
    prompts.export_prompts(store, copy)
    assert assemble(specs[1]).key != first.key
    (note,) = prompts.collect_prompts(store)[1]
    assert note.startswith(f"left out: run {first.key} used another prompts than pretrained:")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"prompt_tokens": 4}, "no prompts of model .*, mode=inputs_embeds, prompt_tokens=4, but of model .*, prompt_"),
        ({"mode": "cat"}, "no prompts of model .*, mode=cat, "),
        ({"model": "roberta"}, "no prompts of model "),
        ({"mode": "deep"}, "use a text task of mode=add"),
    ],
)
def test_prompts_of_another_model_mode_or_length_are_refused(
    store: Store, zoo: Zoo, given: dict[str, Any], message: str
) -> None:
    file = exported(store, zoo.folder())
    model = zoo.folder(given.pop("model", "bert"))
    with pytest.raises(InputError, match=message):
        assemble(planned(store, model, projection=f"pretrained:prompts={file}", **given)).embed(0)
