import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dfo_bench.core import InputError
from dfo_bench.lm import data
from dfo_bench.lm.data import Hub, Row

LABELS = ("no", "yes")


def rows(**counts: int) -> list[Row]:
    return [Row(label, (f"{label} {i}",)) for label, count in counts.items() for i in range(count)]


def test_json_lines_and_csv_give_the_same_rows_and_digest(tmp_path: Path) -> None:
    records = [{"text": "one, two", "label": "yes"}, {"text": 'a "quoted" NA', "label": "no"}]
    lines, table = tmp_path / "a.jsonl", tmp_path / "a.csv"
    lines.write_text("".join(json.dumps(record) + "\n" for record in records))
    pd.DataFrame(records).to_csv(table, index=False)
    assert data.read_file(lines) == data.read_file(table) == [Row(r["label"], (r["text"],)) for r in records]
    assert data.digest(data.read_file(lines)) == data.digest(data.read_file(table))


def test_pairs_and_numbers_as_labels_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text_a": "x", "text_b": "y", "label": 1}\n')
    assert data.read_file(path) == [Row("1", ("x", "y"))]


def test_a_digest_tells_order_labels_and_borders_of_texts_apart() -> None:
    variants = [
        [Row("a", ("b", "c"))],
        [Row("a", ("bc",))],
        [Row("b", ("a", "c"))],
        rows(no=1, yes=1),
        list(reversed(rows(no=1, yes=1))),
    ]
    assert len({data.digest(variant) for variant in variants}) == len(variants)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"text": "x", "label": "yes"}\n{"text": "x"\n', r"a\.jsonl:2: not JSON"),
        ('["x", "yes"]\n', r"a\.jsonl:1: not a JSON object"),
        ('{"text": "x"}\n', r"a\.jsonl:1: no field 'label'"),
        ('{"label": "yes"}\n', r"a\.jsonl:1: no field 'text'"),
        ('{"text_a": "x", "label": "yes"}\n', r"a\.jsonl:1: no field 'text_b'"),
        ('{"text": "  ", "label": "yes"}\n', r"a\.jsonl:1: field 'text' is '  '"),
        ('{"text": 3, "label": "yes"}\n', r"a\.jsonl:1: field 'text' is 3"),
        ('{"text": "x", "label": null}\n', r"a\.jsonl:1: field 'label' is None"),
        ('{"text": "x", "label": "a"}\n{"text_a": "x", "text_b": "y", "label": "a"}\n', r"a\.jsonl:2: .* mixed"),
        ("", "holds no examples"),
    ],
)
def test_a_bad_line_is_refused_with_file_line_and_field(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        data.read_file(path)


def test_a_bad_row_of_a_csv_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\nx,yes\n,no\n")
    with pytest.raises(InputError, match=r"a\.csv row 2: field 'text' is ''"):
        data.read_file(path)


def test_a_file_that_is_missing_unknown_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no data file"):
        data.read_file(tmp_path / "none.jsonl")
    with pytest.raises(InputError, match=r"must be \.jsonl or \.csv"):
        data.read_file(tmp_path / "a.xlsx")
    (tmp_path / "a.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="cannot be read as UTF-8"):
        data.read_file(tmp_path / "a.jsonl")
    (tmp_path / "a.csv").write_bytes(b"")
    with pytest.raises(InputError, match="holds no examples"):
        data.read_file(tmp_path / "a.csv")


def test_few_shot_sets_are_balanced_disjoint_and_pure_in_the_stream() -> None:
    pool = rows(no=10, yes=7)
    train, dev = data.few_shot(pool, LABELS, 3, np.random.default_rng(0))
    assert [sum(row.label == label for row in part) for part in (train, dev) for label in LABELS] == [3] * 4
    assert not {row.texts for row in train} & {row.texts for row in dev}
    assert data.few_shot(pool, LABELS, 3, np.random.default_rng(0)) == (train, dev)
    assert data.few_shot(pool, LABELS, 3, np.random.default_rng(1)) != (train, dev)


def test_too_few_examples_are_refused_with_the_class_their_number_and_what_fits() -> None:
    with pytest.raises(InputError, match=r"shots=16 needs 32 .* class 'yes' has 9; pass shots=4 or add"):
        data.few_shot(rows(no=40, yes=9), LABELS, 16, np.random.default_rng(0))
    with pytest.raises(InputError, match=r"class 'yes' has 0; add examples"):
        data.few_shot(rows(no=40), LABELS, 16, np.random.default_rng(0))


def test_an_unknown_label_is_refused_with_its_place_and_the_labels() -> None:
    assert data.classes(rows(yes=1, no=1), LABELS).tolist() == [1, 0]
    with pytest.raises(InputError, match=r"file:3: unknown label 'maybe'; the labels are: no, yes"):
        data.classes([Row("maybe", ("x",), "file:3")], LABELS)


def test_a_dataset_of_the_hub_is_read_by_its_columns_and_class_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = [{"sentence": "fine", "label": 1}, {"sentence": "dull", "label": 0}]
    pd.DataFrame(records).to_parquet(tmp_path / "validation-00000.parquet")
    monkeypatch.setattr(data, "download", lambda name, kind: tmp_path)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    hub = Hub("someone/films", test="validation", fields=(("sentence", "text"),))
    assert data.read_hub(hub, "validation", LABELS, "films") == [Row("yes", ("fine",)), Row("no", ("dull",))]


def test_a_hub_out_of_reach_is_one_line_with_the_folder_to_pass() -> None:
    with pytest.raises(InputError, match=r"not reachable .* data_dir=FOLDER .* FOLDER/films/train\.jsonl"):
        data.read_hub(Hub("nobody/none"), "train", LABELS, "films")
