"""Classification of your own texts: `text:train=FILE,test=FILE`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dfo_bench.core import InputError, Rngs
from dfo_bench.lm import TextTask
from dfo_bench.lm.data import Row, compose, read_file


class Text(TextTask):
    """Classification of texts from JSONL, CSV or Parquet files: `text` (or `text_a` and `text_b`) and `label`."""

    def __init__(
        self,
        *,
        rngs: Rngs,
        train: str,
        test: str | None = None,
        template: str | None = None,
        words: Mapping[str, str] | None = None,
        **common: Any,
    ) -> None:
        """Read the files, and say in the base's words what the task is.

        train: a file of examples, from which train and dev are drawn.
        test: a file of examples to score at the end; null scores on dev only.
        template: holds {text}, or {text_a} and {text_b}, and one [MASK] for head=masked and head=seq2seq; for
            head=causal it ends where the answer begins.
        words: maps each label to its label word (or text, for head=embedding); null takes the labels themselves.
        """
        files = {"train": train} | ({} if test is None else {"test": test})
        self._read = {split: read_file(Path(file)) for split, file in files.items()}
        rows = self._read["train"]
        labels = sorted({row.label for row in rows})
        given = dict(zip(labels, labels, strict=True)) if words is None else words
        # Composed, as labels and texts are read.
        word_of = {compose(label): compose(word) for label, word in given.items()}
        if set(labels) != set(word_of):
            wrong = {"it lacks": set(labels) - set(word_of), "not there are": set(word_of) - set(labels)}
            said = "; ".join(f"{what} {', '.join(sorted(names))}" for what, names in wrong.items() if names)
            raise InputError(f"words must name the labels of {train}, one word each; {said}")
        if len(labels) < 2:
            raise InputError(f"a task needs examples of two labels or more, {train} has only: {labels[0]}")
        self.labels = tuple(labels)
        self.words = self.embedding_texts = tuple(word_of[label] for label in labels)
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
