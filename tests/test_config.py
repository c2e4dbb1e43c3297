from pathlib import Path

import pytest

from dfo_bench.errors import InputError, UnknownNameError
from dfo_bench.plugins.component import component
from dfo_bench.plugins.plugin import resolve
from dfo_bench.plugins.registry import KINDS
from dfo_bench.sweeps.config import parse_seeds, presets, read_sweep
from dfo_bench.sweeps.sweep import expand_axes


@pytest.mark.parametrize("name", presets())
def test_every_preset_names_plugins_and_parameters_that_exist(name: str) -> None:
    given = read_sweep(name)
    for kind in ("task", "optimizer", "projection"):
        for written in given[f"{kind}s"]:
            resolve(KINDS[kind], component(written))
    axes = [given[f"{kind}s"] for kind in ("task", "optimizer", "projection")]
    numbers = ("dim", "budget", "seeds", "dev_every", "selection")
    assert expand_axes(*axes, **{"dev_every": 100, **{key: given[key] for key in numbers if key in given}})


def test_the_presets_of_black_box_tuning_have_the_settings_of_its_authors() -> None:
    bbt, bbtv2 = read_sweep("bbt"), read_sweep("bbtv2")
    assert (bbt["dim"], bbt["budget"], bbt["dev_every"], bbt["seeds"]) == (500, {"dbpedia": 20000}, 100, [0, 1, 2])
    assert bbt["selection"] == bbtv2["selection"] == "current"
    tasks = [component(task) for task in bbt["tasks"]]
    assert {task.name for task in tasks if "loss" in task.params} == {"mrpc", "snli", "rte"}
    assert [component(task) for task in bbtv2["tasks"]] == [task.replace(mode="deep") for task in tasks]


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
    assert read_sweep(str(path)) == {
        "tasks": ["sphere"],
        "optimizers": [{"name": "cma", "sigma": 0.5}],
        "seeds": [0, 1, 5],
        "dev_every": 10,
    }
    path.write_text("budget: {sphere: 20}\nselection: current\n")
    assert read_sweep(str(path)) == {"budget": {"sphere": 20}, "selection": "current"}
    path.write_text("optimisers: [cma]\n")
    with pytest.raises(UnknownNameError, match="did you mean optimizers"):
        read_sweep(str(path))


@pytest.mark.parametrize("text", ["dim: 3\ndim: 4\n", "tasks: [{name: sphere, dim: 20, dim: 30}]\n"])
def test_a_key_given_twice_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "twice.yaml").write_text(text)
    with pytest.raises(InputError, match="'dim' is given twice"):
        read_sweep(str(tmp_path / "twice.yaml"))
