"""Classification of your own texts: `text:train=FILE,test=FILE`."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from dfo_bench.core import InputError, PathName, Rngs, UnknownNameError, Value
from dfo_bench.errors import count
from dfo_bench.lm import TextTask
from dfo_bench.lm.data import UNUSED, Row, compose, read_file


class Text(TextTask):
    """Classification of texts from JSONL, CSV, TSV, Excel or Parquet files, packed ones (.gz) included."""

    added: ClassVar[Mapping[str, Value]] = {"text": None, "label": None, "classes": None, "min_rows": 0, "words": {}}
    """`words` has always been in its keys."""

    def __init__(
        self,
        *,
        rngs: Rngs,
        train: PathName,
        test: PathName | Literal["unused"] | None = None,
        text: str | list[str] | None = None,
        label: str | None = None,
        classes: list[str] | None = None,
        min_rows: Annotated[int, Field(ge=0)] = 0,
        template: str | None = None,
        **common: Any,
    ) -> None:
        """Read the files, and say in the base's words what the task is.

        train: a file of examples, from which train and dev are drawn.
        test: a file of examples to score at the end; unused takes those of the train file that are neither train nor
            dev, which every seed draws anew; null scores on dev only.
        text: the column of the texts, or the two of pairs, as ["premise", "hypothesis"]; null finds it by the usual
            names, whatever their capitals.
        label: the column of the labels; null finds it as that of the texts.
        classes: the labels to keep, as ["billing", "login"]; null keeps all.
        min_rows: leaves out each label with fewer rows in the train file.
        template: holds {text}, or {text_a} and {text_b}, and one [MASK] for head=masked and head=seq2seq; for
            head=causal it ends where the answer begins.
        """
        files = {"train": train} | ({"test": test} if test and test != UNUSED else {})
        read = {split: read_file(Path(file), text, label) for split, file in files.items()}
        self.notes = [note for one in read.values() for note in one.notes]
        self.test_of_unused = test == UNUSED
        counts = Counter(row.label for row in read["train"].rows)
        wanted = _kept(train, counts, classes, min_rows)
        # A label that only test has is an error, unless others were asked for.
        there = {row.label for one in read.values() for row in one.rows} if classes else set(counts)
        dropped = there - wanted
        self._read = {split: [row for row in one.rows if row.label not in dropped] for split, one in read.items()}
        for split, one in read.items():
            if fewer := len(one.rows) - len(self._read[split]):
                named = ", ".join(sorted(dropped))
                self.notes.append(f"{files[split]}: {fewer} of {len(one.rows)} rows left out, labels {named}")
        rows = self._read["train"]
        labels = sorted({row.label for row in rows})
        if len(labels) < 2:
            left = f"only: {labels[0]}" if labels else "none"
            raise InputError(f"a task needs examples of two labels or more, {train} has {left}")
        self.labels = tuple(labels)
        self.words = self.embedding_texts = self.labels
        template = None if template is None else compose(template)
        fields = "{text}" if len(rows[0].texts) == 1 else "{text_a} {text_b}"
        self.template = f"[MASK] : {fields}" if template is None else template
        self.causal_template = f"{fields} The label is" if template is None else template
        self.embedding_template = fields if template is None else template
        super().__init__(rngs=rngs, **common)

    def read(self) -> dict[str, list[Row]]:
        """Return the rows of the files."""
        return self._read

    def digests(self, splits: Mapping[str, str]) -> dict[str, str]:
        """Return one digest per file."""
        return dict(splits)


def _kept(train: str, rows: Mapping[str, int], classes: Sequence[str] | None, min_rows: int) -> set[str]:
    """Return the labels to keep, `rows` counting all; raise InputError where one is not there, or two look alike."""
    asked = set(rows) if classes is None else {compose(label.strip()) for label in classes}
    if unknown := sorted(asked - set(rows)):
        raise UnknownNameError(f"label in {train}", unknown[0], rows)
    kept = {label for label in asked if rows[label] >= min_rows}
    alike: dict[str, str] = {}
    for label in sorted(kept):
        if (other := alike.setdefault(label.casefold(), label)) != label:
            raise InputError(
                f"{train}: labels {other!r} ({count(rows[other], 'row')}) and {label!r} ({count(rows[label], 'row')}) "
                "differ in capitals only; write them alike, or leave one out by classes=[...] or min_rows=N"
            )
    return kept
