"""Data files as users write them, well and badly; the hub, by a folder in its place and by its absence."""

import csv
import gzip
import hashlib
import json
import sys
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfo_bench.core import InputError
from dfo_bench.lm import data
from dfo_bench.lm import hub as hub_module
from dfo_bench.lm.data import Hub, Row

LABELS = ("no", "yes")
RECORDS = [{"text": "one, two", "label": "yes"}, {"text": 'a "quoted" NA', "label": "no"}]

Records = Sequence[Mapping[str, Any]]


def write_csv(records: Records, path: Path, delimiter: str = ",", encoding: str = "utf-8") -> None:
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "wt", newline="", encoding=encoding) as file:
        writer = csv.DictWriter(file, list(records[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(records)


WRITERS: dict[str, Callable[[Records, Path], object]] = {
    ".jsonl": lambda records, path: path.write_text(
        "".join(json.dumps(record) + "\n" for record in records), encoding="utf-8"
    ),
    ".csv": write_csv,
    ".tsv": lambda records, path: write_csv(records, path, "\t", "utf-16"),
    ".csv.gz": lambda records, path: write_csv(records, path, ";", "utf-8-sig"),
    ".parquet": lambda records, path: pd.DataFrame(records).to_parquet(path),
}

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20).filter(str.strip)
"""What has a character that is not whitespace, and has UTF-8."""


def rows(**counts: int) -> list[Row]:
    return [Row(label, (f"{label} {i}",)) for label, count in counts.items() for i in range(count)]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Records, str], Path]:
    """Return what writes records into a file of a format."""
    folder = tmp_path_factory.mktemp("written")

    def write(records: Records, suffix: str) -> Path:
        path = folder / f"a{suffix}"
        WRITERS[suffix](records, path)
        return path

    return write


@settings(deadline=None)
@given(st.data(), st.sampled_from([("text",), ("text_a", "text_b")]))
def test_every_format_gives_the_same_rows_and_digest(
    written: Callable[[Records, str], Path], drawn: st.DataObject, names: tuple[str, ...]
) -> None:
    records = drawn.draw(
        st.lists(st.fixed_dictionaries(dict.fromkeys((*names, "label"), TEXT)), min_size=1, max_size=5)
    )
    composed = [{key: unicodedata.normalize("NFC", value.strip()) for key, value in r.items()} for r in records]
    expected = [Row(r["label"], tuple(r[name] for name in names)) for r in composed]
    for suffix in WRITERS:
        read = data.read_file(written(records, suffix)).rows
        assert read == expected
        assert data.digest(read) == data.digest(expected)


@pytest.mark.parametrize(("label", "read"), [(1, "1"), (-3, "-3"), (True, "true"), (False, "false"), (" yes ", "yes")])
@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_whole_numbers_and_truth_values_are_labels(
    written: Callable[[Records, str], Path], suffix: str, label: object, read: str
) -> None:
    path = written([{"text_a": "x", "text_b": "y", "label": label}], suffix)
    assert data.read_file(path).rows == [Row(read, ("x", "y"))]


def test_what_looks_the_same_is_the_same(written: Callable[[Records, str], Path]) -> None:
    composed, apart = "n\u00e9gatif", "ne\u0301gatif"
    for suffix in WRITERS:
        rows = [
            data.read_file(written([{"text": f"tr\u00e8s {label}", "label": label}], suffix)).rows[0]
            for label in (composed, apart)
        ]
        assert rows == [Row(composed, (f"tr\u00e8s {composed}",))] * 2
        assert data.digest(rows[:1]) == data.digest(rows[1:])
    # As before of texts that are composed already: their stores keep their keys.
    known = hashlib.sha256('["n\u00e9gatif", "tr\u00e8s n\u00e9gatif"]\n'.encode()).hexdigest()
    assert data.digest(rows[:1]) == known


def test_a_row_knows_its_place(written: Callable[[Records, str], Path]) -> None:
    for suffix, place in {".jsonl": ":2", ".csv": ":3", ".tsv": ":3", ".parquet": " row 2"}.items():
        path = written(RECORDS, suffix)
        assert data.read_file(path).rows[1].where == f"{path}{place}"


def test_capitals_in_an_extension_a_byte_order_mark_blank_lines_and_windows_line_ends_are_fine(tmp_path: Path) -> None:
    lines, table = tmp_path / "a.JSONL", tmp_path / "a.Csv"
    lines.write_bytes(b'\xef\xbb\xbf{"text": "x", "label": "yes"}\r\n\r\n{"text": "a\xe2\x80\xa8b", "label": "no"}\r\n')
    table.write_bytes(b"\xef\xbb\xbftext,label\r\nx,yes\r\n\r\na\xe2\x80\xa8b,no\r\n")
    assert data.read_file(lines).rows == data.read_file(table).rows == [Row("yes", ("x",)), Row("no", ("a\u2028b",))]


def test_spaces_around_the_columns_and_values_of_a_csv_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    lines = ["label, text ", 'good, "text, with a comma"', 'bad,  "a ""quoted"" word" ', 'good , plain "word" here']
    path.write_text("\n".join(lines[:2] + lines[3:]), encoding="utf-8")
    assert data.read_file(path).rows == [Row("good", ("text, with a comma",)), Row("good", ('plain "word" here',))]
    path.write_text("\n".join(lines), encoding="utf-8")
    refused(path, r"a\.csv:3: not CSV: .* leave nothing between a quote that closes and the comma, no space")


def test_columns_that_are_not_needed_are_not_minded(written: Callable[[Records, str], Path]) -> None:
    records = [{"id": 7, "vector": [0.5, 1.0], **record} for record in RECORDS]
    for suffix in WRITERS:
        assert data.read_file(written(records, suffix)).rows == [Row(r["label"], (r["text"],)) for r in RECORDS]


@pytest.mark.parametrize(
    "content", ["Text,Label\nx,yes\n", "Sentence;Intent;\nx;yes;\n", "id\tCATEGORY\tmessage\n7\tyes\tx\n"]
)
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_the_usual_names_delimiters_and_encodings_of_office_programs_are_found(
    tmp_path: Path, content: str, encoding: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(content, encoding=encoding)
    read = data.read_file(path)
    assert read.rows == [Row("yes", ("x",))]
    assert any("texts in " in note and "labels in " in note for note in read.notes)


def test_columns_are_those_that_are_named_in_their_order_for_pairs(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("question,answer,ok,text,label\nq,a,yes,t,no\n")
    assert data.read_file(path).rows == [Row("no", ("t",))]
    assert data.read_file(path, ["Answer", "question"], "ok").rows == [Row("yes", ("a", "q"))]
    for named, message in {
        ("x", None): "no column 'x' among 'question', 'answer'",
        ((), None): "must name one",
    }.items():
        with pytest.raises(InputError, match=message):
            data.read_file(path, *named)


def test_blank_rows_are_passed_over_and_named_by_their_line(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('text,label\n"two\nlines",yes\n\n , \nx,no\n')
    read = data.read_file(path)
    assert [row.where for row in read.rows] == [f"{path}:2", f"{path}:6"]
    assert read.notes == [f"{path}: 2 blank lines passed over: 4, 5"]


def test_labels_that_were_respelled_are_noted(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "x", "label": "yes "}\n{"text": "y", "label": "yes"}\n')
    read = data.read_file(path)
    assert [row.label for row in read.rows] == ["yes", "yes"]
    assert read.notes == [
        f"{path}: labels read without spaces around them and with accents composed: 'yes ' as 'yes' (1)"
    ]


def test_a_sheet_of_excel_is_read_as_its_cells_look(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl", reason="needs openpyxl")
    book = openpyxl.Workbook()
    for row in (["id", "Sentence", "Intent"], [1, "NA", True], [None, None, None], [2, 2024, 1.0]):
        book.active.append(row)
    book.create_sheet("Notes")
    book.save(tmp_path / "a.xlsx")
    read = data.read_file(tmp_path / "a.xlsx")
    assert read.rows == [Row("TRUE", ("NA",)), Row("1", ("2024",))]
    assert read.rows[1].where.endswith("a.xlsx row 4")
    assert "sheet 'Sheet' is read; not read: Notes" in read.notes[0]
    (tmp_path / "b.xlsx").write_bytes(b"no")
    refused(tmp_path / "b.xlsx", "b.xlsx: not Excel's .xlsx, or damaged: .*; save the file anew")


def test_without_openpyxl_excel_is_refused_with_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    (tmp_path / "a.xlsx").write_bytes(b"PK")
    refused(tmp_path / "a.xlsx", r"a\.xlsx: needs openpyxl; pip install 'dfo-bench\[excel\]', or save it as CSV")


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    for content in (b"no", gzip.compress(b"text,label\nx,yes\n")[:-4]):
        (tmp_path / "a.csv.gz").write_bytes(content)
        refused(tmp_path / "a.csv.gz", r"a\.csv\.gz: not gzip, or damaged: .*; pack the file anew")


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
        ("[" * 100_000, r"a\.jsonl:1: not JSON: maximum recursion"),
        ('{"text": "x"}\n', r"a\.jsonl: no column 'label' among 'text'; name one of them: label=COLUMN"),
        ('{"label": "yes"}\n', r"a\.jsonl: no column 'text' among 'label'; name one of them: text=COLUMN"),
        ('{"text_a": "x", "label": "yes"}\n', r"a\.jsonl: no column 'text' among 'text_a', 'label'"),
        ('{"text": "  ", "label": "yes"}\n', r"a\.jsonl:1: field 'text' is '  '"),
        ('{"text": 3, "label": "yes"}\n', r"a\.jsonl:1: field 'text' is 3"),
        ('{"text": "\\ud800", "label": "yes"}\n', r"a\.jsonl:1: field 'text' is '\\ud800'; it must be text"),
        ('{"text": "x", "label": null}\n', r"a\.jsonl:1: field 'label' is None; it must be .* or a whole number"),
        ('{"text": "x", "label": 1.5}\n', r"a\.jsonl:1: field 'label' is 1\.5"),
        ('{"text": "x", "label": ["yes"]}\n', r"a\.jsonl:1: field 'label' is \['yes'\]"),
        ('{"text": "x", "label": "yes"}\n{"text": "\u00e9"', r"a\.jsonl:2: byte 0xe9 is not UTF-8; save .* as UTF-8"),
        (
            '{"text": "x", "label": "a"}\n{"text_a": "x", "text_b": "y", "label": "a"}\n',
            r"a\.jsonl:1: no field 'text_a' among \['text', 'label'\]; each example has text \(or",
        ),
        ("", "holds no examples"),
    ],
)
def test_a_bad_line_is_refused_with_file_line_and_field(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(content, encoding="latin-1")
    refused(path, message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text,label\nx,yes\n,no\n", r"a\.csv:3: field 'text' is ''"),
        ("text,label\nx\n", r"a\.csv:2: field 'label' is None"),
        (
            "text,label\nwell, yes,yes\n",
            r"a\.csv:2: more fields than the header; put .* into straight double quotes",
        ),
        ("text,label\n'well, yes',yes\n", r"a\.csv:2: more fields than the header; .* straight double quotes"),
        ('text,label\n\t"well, yes",yes\n', r"a\.csv:2: more fields .* right after the comma before it"),
        ("text;label\nx; y;yes\n", r"a\.csv:2: more fields than the header; put a text that holds a ; into straight"),
        ("text\nx\n", r"a\.csv: no column 'label' among 'text'"),
        (
            "Title,Body,label\nx,y,yes\n",
            r"a\.csv: 'Title' and 'Body' may each be the column of the text; name one: text=",
        ),
        ('text,label\nx,yes\n"y" z,no\n', r"a\.csv:3: not CSV: .* put texts into quotes"),
        ('text,label\nx,yes\n"y,no\n', r"a\.csv:3: not CSV: .* put texts into quotes"),
        ("text,label\nx,yes\n\xe9,no\n", r"a\.csv:3: byte 0xe9 is not UTF-8"),
        ("text,label, label\nx,yes,no\n", r"a\.csv: two columns have one name .*; rename one"),
        ("text,label\n", "holds no examples"),
        ("", "holds no examples; each has text"),
    ],
)
def test_a_bad_row_of_a_csv_is_refused_with_file_row_and_field(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(content, encoding="latin-1")
    refused(path, message)


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([*RECORDS, {"text": None, "label": "no"}], r"a\.parquet row 3: field 'text' is None"),
        ([{"text": "x", "label": 0.0}], r"a\.parquet row 1: field 'label' is 0\.0; .* or a whole number"),
        ([{"text": b"x", "label": "no"}], r"a\.parquet row 1: field 'text' is b'x'"),
        ([{"words": "x", "label": "no"}], r"a\.parquet: no column 'text' among 'words', 'label'"),
        ([{"text": "x", "label": "no"}][:0], "a.parquet holds no examples"),
    ],
)
def test_a_bad_row_of_a_parquet_file_is_refused_with_file_row_and_field(
    written: Callable[[Records, str], Path], records: Records, message: str
) -> None:
    refused(written(records, ".parquet"), message)


@pytest.mark.parametrize("damage", [lambda content: b"", lambda content: b"no", lambda content: content[:-20]])
def test_a_damaged_parquet_file_is_refused(
    written: Callable[[Records, str], Path], damage: Callable[[bytes], bytes]
) -> None:
    path = written(RECORDS, ".parquet")
    path.write_bytes(damage(path.read_bytes()))
    refused(path, r"a\.parquet: not Parquet, or damaged: .*; write the file anew")


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_git_lfs_pointer_is_refused_as_what_it_is(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 133466304\n")
    refused(path, f"a{suffix} is a Git LFS pointer, not the file itself; run git lfs pull in its folder")


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_file_that_is_missing_or_a_folder_is_refused(tmp_path: Path, suffix: str) -> None:
    refused(tmp_path / f"a{suffix}", f"no data file .*a{suffix}; it must hold one example per row")
    (tmp_path / f"b{suffix}").mkdir()
    refused(tmp_path / f"b{suffix}", f"b{suffix} cannot be read: Is a directory")


@pytest.mark.parametrize("name", ["a.xls", "a.json", "a.txt", "a", "a.gz", "a.json.gz"])
def test_other_formats_are_refused_with_those_there_are(tmp_path: Path, name: str) -> None:
    refused(tmp_path / name, rf"{name} must be \.jsonl, \.csv, \.tsv, \.xlsx, \.parquet, or one of these and \.gz")


def refused(path: Path, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        data.read_file(path)
    assert len(str(caught.value).splitlines()) == 1


@given(
    st.integers(1, 5),
    st.dictionaries(st.sampled_from("abcd"), st.integers(0, 6), min_size=2),
    st.randoms(use_true_random=False),
    st.integers(0, 2**32),
)
def test_few_shot_sets_are_balanced_disjoint_and_pure_in_the_stream(
    shots: int, spare: dict[str, int], order: Any, seed: int
) -> None:
    pool = rows(**{label: 2 * shots + more for label, more in spare.items()})
    order.shuffle(pool)
    labels = list(spare)
    train, dev, unused = data.few_shot(pool, labels, shots, np.random.default_rng(seed))
    for part in (train, dev):
        assert [row.label for row in part] == [label for label in labels for _ in range(shots)]
    texts = [row.texts for row in (*train, *dev, *unused)]
    assert sorted(texts) == sorted(row.texts for row in pool)
    assert data.few_shot(pool, labels, shots, np.random.default_rng(seed)) == (train, dev, unused)


def test_another_stream_draws_other_sets_and_every_example_is_as_likely() -> None:
    pool, drawn = rows(no=8, yes=8), []
    for seed in range(400):
        train, dev, _ = data.few_shot(pool, LABELS, 2, np.random.default_rng(seed))
        drawn += [row.texts for row in (*train, *dev)]
    assert len(drawn) == 400 * 8
    for row in pool:
        # 200 expected, with a standard deviation of 10.
        assert abs(drawn.count(row.texts) - 200) < 50


def test_dev_may_be_small_none_or_all_that_is_left() -> None:
    pool = rows(no=5, yes=7)
    sizes = {
        dev: tuple(map(len, data.few_shot(pool, LABELS, 2, np.random.default_rng(0), dev))) for dev in (0, 1, "unused")
    }
    assert sizes == {0: (4, 0, 8), 1: (4, 2, 6), "unused": (4, 8, 0)}
    former = data.few_shot(pool, LABELS, 2, np.random.default_rng(0))
    assert former.train == data.few_shot(pool, LABELS, 2, np.random.default_rng(0), 0).train
    assert former == data.few_shot(pool, LABELS, 2, np.random.default_rng(0), 2)
    with pytest.raises(
        InputError, match=r"shots=2 needs 6 .* 2 for train and 4 for dev; class 'no' has 5; pass a smaller"
    ):
        data.few_shot(pool, LABELS, 2, np.random.default_rng(0), 4)


def test_too_few_examples_are_refused_with_the_class_their_number_and_what_fits() -> None:
    with pytest.raises(
        InputError, match=r"shots=16 needs 32 .* class 'yes' has 9; pass shots=4 or a smaller dev_shots, or add"
    ):
        data.few_shot(rows(no=40, yes=9), LABELS, 16, np.random.default_rng(0))
    with pytest.raises(InputError, match=r"class 'yes' has 0; add examples or leave the class out"):
        data.few_shot(rows(no=40), LABELS, 16, np.random.default_rng(0))


@given(st.integers(0, 4), st.dictionaries(st.sampled_from("abcd"), st.integers(4, 6), min_size=1))
def test_demonstrations_are_the_first_of_every_class_in_turns(count: int, sizes: dict[str, int]) -> None:
    shown = data.demonstrations(rows(**sizes), list(sizes), count)
    assert [row.texts[0] for row in shown] == [f"{label} {i}" for i in range(count) for label in sizes]


def test_more_demonstrations_than_shots_are_refused_with_what_fits() -> None:
    with pytest.raises(InputError, match=r"demonstrations=3 .* 2 train .* 'no'; pass demonstrations=2 or shots=3"):
        data.demonstrations(rows(no=2, yes=2), LABELS, 3)


def test_an_unknown_label_is_refused_with_its_place_and_the_labels() -> None:
    assert data.classes(rows(yes=1, no=1), LABELS).tolist() == [1, 0]
    with pytest.raises(InputError, match=r"file:3: unknown label 'maybe'; the labels are: no, yes"):
        data.classes([Row("maybe", ("x",), "file:3")], LABELS)


@pytest.fixture
def on_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Records], str]:
    """Return what puts a Parquet file into a folder laid out as the hub's, and returns the folder."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")

    def put(file: str, records: Records) -> str:
        path = tmp_path / "hub" / file
        path.parent.mkdir(exist_ok=True, parents=True)
        pd.DataFrame(records).to_parquet(path)
        return str(tmp_path / "hub")

    return put


def test_a_split_of_the_hub_is_read_by_its_columns_and_class_numbers(on_hub: Callable[[str, Records], str]) -> None:
    on_hub("data/train-00000-of-00001.parquet", [{"sentence": "not this", "label": 1, "idx": 0}])
    on_hub("data/test-00000-of-00002.parquet", [{"sentence": "fine ", "label": 1, "idx": 0}])
    folder = on_hub("data/test-00001-of-00002.parquet", [{"sentence": "dull", "label": 0, "idx": 1}])
    read = data.read_hub(Hub(folder, fields=(("sentence", "text"),)), "test", LABELS, "films")
    assert read == [Row("yes", ("fine",)), Row("no", ("dull",))]
    assert read[1].where == f"{folder} test row 2"


def test_only_the_configuration_asked_for_is_read(on_hub: Callable[[str, Records], str]) -> None:
    for config in ("rte", "mrpc"):
        folder = on_hub(f"{config}/train-00000-of-00001.parquet", [{"a": config, "b": "x", "label": 0}])
    files = "".join(f"- config_name: {name}\n  data_files: {name}/train-*\n" for name in ("rte", "mrpc"))
    Path(folder, "README.md").write_text(f"---\nconfigs:\n{files}---\n", encoding="utf-8")
    hub = Hub(folder, config="mrpc", fields=(("a", "text_a"), ("b", "text_b")))
    assert data.read_hub(hub, "train", LABELS, "mrpc") == [Row("no", ("mrpc", "x"))]


def test_rows_of_the_hub_without_a_label_are_left_out(on_hub: Callable[[str, Records], str]) -> None:
    rows = [{"text": text, "label": label} for text, label in [("x", -1), ("y", 0), ("z", -1)]]
    folder = on_hub("data/test-0.parquet", rows)
    assert data.read_hub(Hub(folder), "test", LABELS, "nli") == [Row("no", ("y",))]
    on_hub("data/test-0.parquet", [{"text": "x", "label": -1}])
    with pytest.raises(InputError, match=r"hub test holds no examples"):
        data.read_hub(Hub(folder), "test", LABELS, "nli")


def test_line_breaks_of_the_hub_are_read_as_spaces(on_hub: Callable[[str, Records], str]) -> None:
    folder = on_hub("data/train-0.parquet", [{"text": r"fine\n\nfood", "label": 1}])
    assert data.read_hub(Hub(folder, line_break=r"\n"), "train", LABELS, "b") == [Row("yes", ("fine  food",))]
    assert data.read_hub(Hub(folder), "train", LABELS, "b") == [Row("yes", (r"fine\n\nfood",))]


def test_what_the_hub_holds_and_the_task_does_not_know_is_named(on_hub: Callable[[str, Records], str]) -> None:
    folder = on_hub("data/train-0.parquet", [{"text": "x", "label": 2}])
    with pytest.raises(InputError, match=r"hub train row 1: unknown label '2'; the labels are: no, yes"):
        data.classes(data.read_hub(Hub(folder), "train", LABELS, "b"), LABELS)
    with pytest.raises(InputError, match=r"hub train row 1: no field 'text' among \['label'\]"):
        data.read_hub(Hub(folder, fields=(("content", "text"),)), "train", LABELS, "b")


def test_a_hub_out_of_reach_is_one_line_with_the_folder_to_pass() -> None:
    with pytest.raises(InputError, match=r"not reachable .* data_dir=FOLDER .* FOLDER/films/train\.jsonl") as caught:
        data.read_hub(Hub("nobody/none"), "train", LABELS, "films")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (FileNotFoundError("No such copy. Go online.\nOr not."), "FileNotFoundError: No such copy"),
        (RuntimeError("404 Client Error.\n\nRepository Not Found"), "RuntimeError: 404 Client Error"),
        (ValueError(), "ValueError: "),
    ],
)
def test_whatever_the_client_of_the_hub_raises_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    def fail(*args: object, **options: object) -> str:
        raise error

    monkeypatch.setattr(hub_module, "snapshot_download", fail)
    with pytest.raises(ConnectionError) as caught:
        hub_module.download("nobody/none", ("*",))
    assert str(caught.value) == reason
