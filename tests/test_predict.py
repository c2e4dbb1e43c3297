"""`dfo-bench predict`: the file's columns, the label, and the probability of each label, as CSV."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from dfo_bench.cli import app
from dfo_bench.errors import InputError
from dfo_bench.store.store import Store
from tests.text_runs import run
from tests.tiny_lm import Zoo, write

ADDED = ["predicted", "probability_negative", "probability_positive"]
TEXTS = ["the film was great", 'so "very", very awful', "caf\u00e9\u2028au lait"]


def predict(store: Store, *words: str | Path, given: str = "") -> Result:
    return CliRunner().invoke(app, ["predict", *map(str, words), "--store", str(store.path)], input=given)


def table(done: Result) -> list[dict[str, str]]:
    assert done.exit_code == 0, done.output
    return list(csv.DictReader(io.StringIO(done.stdout, newline="")))


def refused(done: Result) -> str:
    assert isinstance(done.exception, InputError)
    return str(done.exception)


def test_every_kind_of_file_gives_the_same_answers_beside_its_own_columns(
    store: Store, zoo: Zoo, tmp_path: Path
) -> None:
    run(store, zoo.folder())
    classifier = store.classifier()
    frame = pd.DataFrame({"id": [7, 8, 9], "text": TEXTS, "note": ["a", "", "c,d"]})
    frame.to_csv(tmp_path / "new.csv", index=False)
    frame.to_parquet(tmp_path / "new.parquet")
    frame.to_json(tmp_path / "new.jsonl", orient="records", lines=True)
    for name in ("new.csv", "new.parquet", "new.jsonl"):
        rows = table(predict(store, tmp_path / name))
        assert list(rows[0]) == ["id", "text", "note", *ADDED]
        assert [row["text"] for row in rows] == TEXTS
        assert [(row["id"], row["note"]) for row in rows] == [("7", "a"), ("8", ""), ("9", "c,d")]
        assert [row["predicted"] for row in rows] == classifier.predict(TEXTS)
        for row, shares in zip(rows, classifier.probabilities(TEXTS), strict=True):
            assert [float(row[column]) for column in ADDED[1:]] == pytest.approx(shares.tolist(), abs=1e-5)


def test_columns_of_any_name_are_read_where_they_are_named(store: Store, zoo: Zoo, tmp_path: Path) -> None:
    run(store, zoo.folder())
    pd.DataFrame({"Body": TEXTS, "queue": ["positive", "negative", "x"]}).to_csv(
        tmp_path / "mails.tsv", index=False, sep="\t"
    )
    done = predict(store, tmp_path / "mails.tsv", "--text", "body", "--label", "queue")
    assert [row["Body"] for row in table(done)] == TEXTS
    assert "on 2 rows" in done.stderr
    assert "no column 'subject' among 'Body', 'queue'" in refused(
        predict(store, tmp_path / "mails.tsv", "--text", "subject")
    )


def test_lines_of_a_file_and_of_standard_input_are_texts(store: Store, zoo: Zoo, tmp_path: Path) -> None:
    run(store, zoo.folder())
    lines = "\r\n".join([TEXTS[0], "", *TEXTS[1:], ""])
    (tmp_path / "new.txt").write_bytes(("\ufeff" + lines).encode())
    for done in (predict(store, tmp_path / "new.txt"), predict(store, "-", given=lines)):
        rows = table(done)
        assert [row["text"] for row in rows] == TEXTS
        assert list(rows[0]) == ["text", *ADDED]
        assert "1 blank line passed over" in done.stderr


def test_a_file_with_labels_is_scored_as_the_run_was(store: Store, zoo: Zoo, tmp_path: Path) -> None:
    summary = run(store, zoo.folder(), head="masked")
    test = tmp_path / "test.jsonl"
    done = predict(store, test)
    accuracy = store.runs()["test_accuracy"].iloc[0]
    assert f"accuracy {accuracy:.4f} on 12 rows" in done.stderr
    assert f"run {summary.key} (cma:popsize=6 on text:" in done.stderr
    rows = [json.loads(line) for line in test.read_text().splitlines()]
    write(tmp_path / "more.jsonl", [*rows, {"text": "a film", "label": "other"}, {"text": "a film"}])
    done = predict(store, tmp_path / "more.jsonl")
    assert f"accuracy {accuracy:.4f} on 12 rows" in done.stderr
    assert "2 rows not scored: the label is none of negative, positive" in done.stderr


def test_texts_that_are_too_long_are_cut_and_counted(store: Store, zoo: Zoo, tmp_path: Path) -> None:
    run(store, zoo.folder())
    write(tmp_path / "new.jsonl", [{"text": "very " * 100 + "awful"}, {"text": "a film"}])
    done = predict(store, tmp_path / "new.jsonl")
    assert len(table(done)) == 2
    assert f"1 of 2 texts cut to {store.classifier().limit} tokens" in done.stderr


def test_the_output_is_a_file_where_one_is_named(store: Store, zoo: Zoo, tmp_path: Path) -> None:
    run(store, zoo.folder())
    out = tmp_path / "out.csv"
    done = predict(store, tmp_path / "test.jsonl", "--output", out)
    assert (done.exit_code, done.stdout) == (0, f"{out}\n")
    assert len(pd.read_csv(out)) == 12
    assert "'out.txt'; the name must end in .csv" in refused(predict(store, "new.txt", "--output", "out.txt"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "\n \n", "a.txt holds no texts; each row or line has text, or text_a and text_b for pairs"),
        ("a.csv", "text\n", "a.csv holds no texts"),
        ("a.csv", "id,words\n1,x\n", "a.csv: no column 'text' among 'id', 'words'"),
        ("a.csv", "text,n\nx,1\n,2\n", "a.csv:3: column 'text' is ''; it must be text that is not empty"),
        ("a.jsonl", '{"text": 3}\n', "a.jsonl:1: column 'text' is 3; it must be text"),
        ("a.jsonl", "x\n", "a.jsonl:1: not JSON"),
        ("a.xml", "x\n", "a.xml must be .jsonl, .csv, .tsv, .xlsx, .parquet, .txt, or one of these and .gz"),
        ("none.csv", None, "no data file "),
        ("a.csv", "text_a,text_b\nx,y\n", "a.csv has its texts in text_a and text_b, and run "),
        ("a.csv", "text,predicted\nx,y\n", "a.csv has a column 'predicted' already; rename it or leave it out"),
    ],
)
def test_a_file_that_cannot_be_classified_is_refused(
    store: Store, zoo: Zoo, tmp_path: Path, name: str, content: Any, message: str
) -> None:
    run(store, zoo.folder(), "start", prompt_tokens=0)
    if content is not None:
        (tmp_path / name).write_text(content)
    (key,) = store
    assert message in refused(predict(store, tmp_path / name, "--run", key))


def test_bytes_that_are_no_text_are_refused(store: Store, zoo: Zoo, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"caf\xe9\n")
    assert "a.txt:1: byte 0xe9 is not UTF-8; save the file as UTF-8 text" in refused(predict(store, tmp_path / "a.txt"))
