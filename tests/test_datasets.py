"""The tasks on datasets of a name, as their classes describe them: a new one is tested by existing."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from dfo_bench.lm import DatasetTask, data
from dfo_bench.plugins.registry import TASKS

DATASETS: dict[str, type[DatasetTask]] = {
    name: found for name in TASKS.names() if issubclass(found := TASKS.load(name), DatasetTask)
}
FIELDS = [["{text}"], ["{text_a}", "{text_b}"]]


def fields(template: str) -> list[str]:
    return re.findall(r"\{.*?\}", template)


@pytest.fixture(params=DATASETS)
def task(request: pytest.FixtureRequest) -> type[DatasetTask]:
    return DATASETS[request.param]


def test_labels_and_what_stands_for_them_are_distinct_and_as_many(task: type[DatasetTask]) -> None:
    for names in (task.labels, task.words, task.embedding_texts, task.causal_words or task.words):
        assert len(set(names)) == len(names) == len(task.labels) > 1


def test_every_template_holds_the_texts_and_where_it_must_the_mask(task: type[DatasetTask]) -> None:
    masks = [template.count("[MASK]") for template in (task.template, task.causal_template, task.embedding_template)]
    assert masks == [1, 0, 0]
    assert fields(task.template) in FIELDS
    assert fields(task.template) == fields(task.causal_template) == fields(task.embedding_template)


def test_the_metric_knows_its_class(task: type[DatasetTask]) -> None:
    assert task.metric in ("accuracy", "f1")
    assert (task.metric == "f1") == (task.positive is not None)
    assert task.positive in (None, *task.labels)


def test_the_hub_gives_the_texts_that_the_templates_want(task: type[DatasetTask]) -> None:
    if task.hub is None:
        assert task.shipped is not None
        return
    assert [f"{{{name}}}" for _, name in task.hub.fields] == fields(task.template)


@pytest.mark.parametrize("seed", range(3))
def test_few_shot_sets_of_the_data_beside_the_project_are_full(
    shared: Path, task: type[DatasetTask], seed: int
) -> None:
    folder = (task.shipped or shared / "data") / task.folder
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    rows = {split: data.read_file(folder / f"{split}.jsonl").rows for split in ("train", "test")}
    train, dev, _ = data.few_shot(rows["train"], task.labels, 16, np.random.default_rng(seed))
    assert len({row.texts for row in (*train, *dev)}) == 2 * 16 * len(task.labels)
    assert set(data.classes(rows["test"], task.labels)) == set(range(len(task.labels)))
    assert not {row.texts for row in rows["train"]} & {row.texts for row in rows["test"]}
    assert len(fields(task.template)) == len(rows["test"][0].texts)


def test_labels_stand_in_the_order_of_the_datasets(shared: Path) -> None:
    manifest = json.loads((shared / "data" / "manifest.json").read_text(encoding="utf-8"))
    assert {name: list(DATASETS[name].labels) for name in manifest} == {
        name: entry["labels"] for name, entry in manifest.items()
    }
