"""What is said of a text task before a budget is spent on it: by the checks alone, and by a sweep."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dfo_bench.cli import app
from dfo_bench.lm.checks import CHECKS, Facts, check_all
from dfo_bench.lm.data import Row, Split
from dfo_bench.store.store import Store
from tests.tiny_lm import Zoo, reviews, write


def rows(**counts: int) -> list[Row]:
    return [Row(label, (f"{label} {i}",)) for label, count in counts.items() for i in range(count)]


GOOD = Facts(
    labels=("no", "yes"),
    words=("bad", "good"),
    pieces={},
    drawn=Split(rows(no=2, yes=2), rows(no=2, yes=2), rows(no=1, yes=3)),
    test=[Row(label, (f"{label} in test",)) for label in ("no", "yes", "yes")],
    test_of_unused=False,
    mode="add",
    prompt_tokens=5,
    guess=0.693,
    start=0.6,
    bare=0.6,
)


def test_of_a_sound_task_only_its_numbers_are_said() -> None:
    assert check_all(GOOD) == [
        "12 rows read for train and dev: 4 train, 4 dev, 4 unused (dev_shots=unused takes them); 3 for test",
        "2 classes, rows read, and of test: yes 7 and 2, no 5 and 1",
        "always the commonest class: accuracy 0.500 on dev (no), 0.667 on test (yes); equal outputs for all labels: "
        "loss 0.693",
    ]


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"test": rows(yes=3)}, "test holds one class only, 'yes': its accuracy tells nothing"),
        ({"labels": ("no", "yes", "so"), "words": ("n", "y", "s")}, "test has no row of so"),
        (
            {"labels": ("0", "1"), "words": ("0", "1")},
            "labels that are numbers are put to the model as texts: 0, 1; say",
        ),
        ({"pieces": {"subjective": "subject"}}, "only the first piece is read: 'subject' of 'subjective'; others by"),
        ({"start": 3.93}, "the loss at the start is 3.93, worse than a guess's 0.693; try other words"),
        (
            {"start": 0.64},
            "5 prompt tokens in mode=add raise the loss at the start from 0.6 to 0.64, by more than 0.035",
        ),
        ({"test": rows(no=1, yes=1)}, "2 of 2 test texts stand in train or dev data, too, such as 'no 0'"),
        ({"drawn": GOOD.drawn._replace(dev=[])}, "8 rows read for train and dev: 4 train, no dev, 4 unused"),
        ({"test": []}, "; none for test"),
        ({"test_of_unused": True}, "12 rows read: 4 train, 4 dev, 3 test"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(changed: dict[str, Any], line: str) -> None:
    said = check_all(replace(GOOD, **changed))
    assert any(line in one for one in said), said
    assert not any("\n" in one for one in said)


def test_classes_beyond_eight_are_counted() -> None:
    many = {f"c{i}": 1 for i in range(12)}
    facts = replace(GOOD, labels=tuple(many), words=tuple(many), drawn=Split(rows(**many), [], []))
    assert "c7 1 and 0, 4 more" in check_all(facts)[1]
    assert len(CHECKS) >= 10


def test_a_sweep_says_them_once_and_keeps_them_for_the_page(tmp_path: Path, zoo: Zoo) -> None:
    train = str(write(tmp_path / "train.jsonl", reviews(6)))
    words = '{"negative": "negatively", "positive": "good"}'
    task = f"text:train={train},test=unused,shots=2,head=masked,model={zoo.folder()},prompt_tokens=3,words={words}"
    axes = ["-t", task, "-o", "cma:popsize=4", "-d", "3", "-b", "8", "--store", str(tmp_path / "store")]
    done = CliRunner().invoke(app, ["sweep", *axes, "-s", "0-1", "--no-references"])
    assert done.exit_code == 0, done.output
    line = "12 rows read: 4 train, 4 dev, 4 test"
    for said in (line, "only the first piece is read: 'negative' of 'negatively'", "dev is scored once, after all 8"):
        assert done.stderr.count(said) == 1
    store = Store(tmp_path / "store")
    assert all(line in checks for checks in store.runs()["checks"])
    assert CliRunner().invoke(app, ["report", "--store", str(store.path)]).exit_code == 0
    assert (store.path / "report.html").read_text(encoding="utf-8").count(f"<li>{line}</li>") == 1
    # What has begun is not checked again, but said.
    again = CliRunner().invoke(app, ["sweep", *axes, "-s", "0-1", "--no-references"])
    assert again.stderr.count(line) == 1
