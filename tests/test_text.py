"""The task `text`: which rows of its files it takes."""

from pathlib import Path
from typing import Any

import pytest

from dfo_bench.core import InputError
from dfo_bench.lm import TextTask
from dfo_bench.plugins.component import Component
from dfo_bench.plugins.plugin import resolve
from dfo_bench.plugins.registry import TASKS
from dfo_bench.runs.spec import streams
from tests.tiny_lm import Zoo

ROWS = {"bad": 6, "good": 8, "Good": 2, "film": 3}


@pytest.fixture
def make(tmp_path: Path, zoo: Zoo) -> Any:
    lines = [f"{label} {i};{label}" for label, count in ROWS.items() for i in range(count)]
    for name in ("train", "test"):
        (tmp_path / f"{name}.csv").write_text("\n".join(["Sentence;Intent", *lines, "it;other"][: len(lines) + 2]))

    def made(**params: Any) -> TextTask:
        given = {"train": f"{tmp_path}/train.csv", "model": zoo.folder(), "shots": 2, "prompt_tokens": 0, **params}
        task = resolve(TASKS, Component("text", given)).construct(rngs=streams(0))
        assert isinstance(task, TextTask)
        return task

    return made


def test_labels_that_differ_in_capitals_are_refused_and_may_be_left_out(make: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"labels 'Good' \(2 rows\) and 'good' \(8 rows\) differ in capitals only"):
        make()
    task = make(min_rows=4, test="unused")
    assert task.labels == ("bad", "good")
    assert [len(part) for part in task.drawn] == [4, 4, 6]
    assert task.rows("test") == task.drawn.unused
    assert any("6 of 20 rows left out, labels Good, film, other" in note for note in task.notes)
    chosen = make(classes=["good", " film"], test=f"{tmp_path}/test.csv", dev_shots=1)
    assert chosen.labels == ("film", "good")
    assert len(chosen.rows("test")) == 11
    with pytest.raises(InputError, match=r"no label in .*train\.csv named 'goood'; did you mean good"):
        make(classes=["goood", "bad"])


def test_without_dev_there_is_no_such_split_and_unused_rows_may_be_dev(make: Any) -> None:
    assert make(min_rows=4, dev_shots=0).splits == ()
    assert len(make(min_rows=4, dev_shots="unused").rows("dev")) == 10
    with pytest.raises(InputError, match="test=unused: no example is unused; pass a smaller shots or dev_shots"):
        make(min_rows=4, dev_shots="unused", test="unused")


def test_a_dev_of_its_own_size_has_a_key_of_its_own_and_the_former_one_keeps_its(make: Any) -> None:
    plugin = resolve(TASKS, Component("text", {"train": "a.csv"}))
    assert {"dev_shots", "text", "label", "classes", "min_rows"}.isdisjoint(plugin.keyed().params)
    assert "dev_shots" in resolve(TASKS, Component("text", {"train": "a.csv", "dev_shots": 0})).keyed().params
