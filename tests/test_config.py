import inspect
from dataclasses import fields
from pathlib import Path

import pytest

import dfo_bench
from dfo_bench.errors import InputError, UnknownNameError
from dfo_bench.plugins.component import component
from dfo_bench.plugins.plugin import resolve, resolve_method
from dfo_bench.plugins.registry import KINDS
from dfo_bench.sweeps import presets
from dfo_bench.sweeps.config import SweepSettings, parse_seeds, read_sweep
from dfo_bench.sweeps.request import SweepRequest
from dfo_bench.sweeps.sweep import expand_axes


@pytest.mark.parametrize("name", presets.names())
def test_every_preset_names_plugins_and_parameters_that_exist(name: str) -> None:
    request = read_sweep(name).request()
    for kind, axis in {"task": request.tasks, "projection": request.projections}.items():
        for written in axis:
            resolve(KINDS[kind], component(written))
    for written in request.optimizers:
        resolve_method(component(written))
    assert expand_axes(request)


def test_the_presets_of_black_box_tuning_have_the_settings_of_its_authors() -> None:
    bbt, bbtv2 = read_sweep("bbt").request(), read_sweep("bbtv2").request()
    assert (bbt.dim, bbt.budget, bbt.dev_every, bbt.seeds) == (500, {"dbpedia": 20000}, 100, [0, 1, 2])
    assert bbt.selection == bbtv2.selection == "current"
    tasks = [component(task) for task in bbt.tasks]
    assert {task.name for task in tasks if "loss" in task.params} == {"mrpc", "snli", "rte"}
    assert [component(task) for task in bbtv2.tasks] == [task.replace(mode="deep") for task in tasks]


@pytest.mark.parametrize(
    ("written", "seeds"),
    [(["3"], [3]), ([0], [0]), (["0-3"], [0, 1, 2, 3]), (["2,0", "0-1"], [2, 0, 1]), (["007"], [7])],
)
def test_seeds_are_numbers_ranges_or_several_of_them(written: list[int | str], seeds: list[int]) -> None:
    assert parse_seeds(written) == seeds


@pytest.mark.parametrize("written", ["", "x", "-1", "3-1", "1.5", "0-99999999999", "9" * 30])
def test_what_is_no_seed_is_refused(written: str) -> None:
    with pytest.raises(InputError, match="write a whole number or a range such as 0-9"):
        parse_seeds([written])


def test_keys_of_a_sweep_file_are_those_of_the_function(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("tasks: [sphere]\noptimizers: [{name: cma, sigma: 0.5}]\nseeds: [0-1, 5]\ndev_every: 10\n")
    assert read_sweep(str(path)).request() == SweepRequest(
        tasks=["sphere"], optimizers=[{"name": "cma", "sigma": 0.5}], seeds=[0, 1, 5], dev_every=10
    )
    path.write_text("budget: {sphere: 20}\nselection: current\n")
    assert read_sweep(str(path)) == SweepSettings(budget={"sphere": 20}, selection="current")
    path.write_text("optimisers: [cma]\n")
    with pytest.raises(UnknownNameError, match="did you mean optimizers"):
        read_sweep(str(path))


def test_every_argument_of_the_function_is_a_key_of_a_sweep_file_and_of_a_request() -> None:
    arguments = set(inspect.signature(dfo_bench.sweep).parameters) - {"listener"}
    assert arguments == set(SweepSettings.model_fields) == {field.name for field in fields(SweepRequest)}


def test_options_take_the_place_of_what_a_file_says() -> None:
    file = SweepSettings(tasks=["sphere"], optimizers=["cma"], dim=3, seeds="0-2")
    request = file.replace(SweepSettings(dim=5, seeds=["7"], workers=2)).request()
    assert request == SweepRequest(tasks=["sphere"], optimizers=["cma"], dim=5, seeds=[7], workers=2)


@pytest.mark.parametrize("missing", ["tasks", "optimizers"])
def test_a_request_without_an_axis_says_how_to_name_one(missing: str) -> None:
    settings = SweepSettings(tasks=["sphere"], optimizers=["cma"]).model_copy(update={missing: None})
    with pytest.raises(InputError, match=f"no {missing}; name at least one with -{missing[0]}"):
        settings.request()


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("{yes: good, no: bad}", {"yes": "good", "no": "bad"}),
        ("{1: one, true: t, null: n, 2026-11-05: d}", {"1": "one", "true": "t", "null": "n", "2026-11-05": "d"}),
        ("[yes, off, 007, 1:30, 0x1F, 2026-11-05]", ["yes", "off", "007", "1:30", "0x1F", "2026-11-05"]),
        ("[true, false, null, ~, 3, -3, 1_000, 0.5, 1e-3]", [True, False, None, None, 3, -3, 1000, 0.5, 0.001]),
    ],
)
def test_values_are_those_of_the_command_line_and_all_else_is_text(tmp_path: Path, written: str, read: object) -> None:
    (tmp_path / "mine.yaml").write_text(f"tasks: [{{name: text, words: {written}}}]\n")
    assert read_sweep(str(tmp_path / "mine.yaml")).tasks == [{"name": "text", "words": read}]


def test_labels_called_yes_and_no_need_no_quotes(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("text,label\n" + "fine,yes\nbroken,no\n" * 3)
    (tmp_path / "mine.yaml").write_text(
        f"tasks: [{{name: text, train: {tmp_path}/train.csv, shots: 2, words: {{yes: good, no: bad}}}}]\n"
    )
    (written,) = read_sweep(str(tmp_path / "mine.yaml")).tasks or []
    task = resolve(KINDS["task"], component(written)).component
    assert task.params["words"] == {"yes": "good", "no": "bad"}


def test_what_an_anchor_names_may_be_merged_and_changed(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("tasks: [&one {name: sphere, dim: 20}, {<<: *one, dim: 30}]\n")
    assert read_sweep(str(tmp_path / "mine.yaml")).tasks == [{"name": "sphere", "dim": dim} for dim in (20, 30)]


@pytest.mark.parametrize("text", ["dim: 3\ndim: 4\n", "tasks: [{name: sphere, dim: 20, dim: 30}]\n"])
def test_a_key_given_twice_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "twice.yaml").write_text(text)
    with pytest.raises(InputError, match="'dim' is given twice"):
        read_sweep(str(tmp_path / "twice.yaml"))


def test_relative_paths_count_from_the_file_they_stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "mine.yaml").write_text(
        "tasks: ['text:train=a.csv,test=unused,model=model', {name: text, train: /b.csv, model: gemma-3-270m}]\n"
        "optimizers: [cma]\nprojections: [{name: pretrained, prompts: ../p.safetensors}]\nstore: results\n"
    )
    monkeypatch.chdir(tmp_path)
    settings = read_sweep("conf/mine.yaml")
    assert settings.tasks == [
        "text:model=conf/model,test=unused,train=conf/a.csv",
        {"name": "text", "train": "/b.csv", "model": "gemma-3-270m"},
    ]
    assert settings.projections == [{"name": "pretrained", "prompts": "conf/../p.safetensors"}]
    assert settings.store == Path("conf/results")
    monkeypatch.chdir(tmp_path / "conf")
    assert read_sweep("mine.yaml").store == "results"
