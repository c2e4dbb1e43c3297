"""Text tasks on known datasets."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dfo_bench.core import InputError, PathName, Rngs
from dfo_bench.lm import data
from dfo_bench.lm.task import TextTask


class DatasetTask(TextTask):
    """A text task on a known dataset, from a folder of files or from the Hugging Face hub."""

    folder: str
    """The task's folder in a data folder."""
    shipped: Path | None = None
    """The data folder that comes with the task."""
    hub: data.Hub | None = None
    """The dataset of the hub, read where there is no data folder."""

    def __init__(self, *, rngs: Rngs, data_dir: PathName | None = None, **common: Any) -> None:
        """Note where the data is.

        data_dir: holds FOLDER/train.jsonl and test.jsonl, FOLDER the task's own; null takes shipped data, the folder
            that DFO_BENCH_DATA names, or the hub.
        """
        self._data_dir = data_dir
        super().__init__(rngs=rngs, **common)

    def read(self) -> dict[str, list[data.Row]]:
        """Return the rows of train and test."""
        if folder := self._data_dir or self.shipped or os.environ.get("DFO_BENCH_DATA"):
            files = {split: Path(folder, self.folder, f"{split}.jsonl") for split in ("train", "test")}
            read = {split: data.read_file(path) for split, path in files.items()}
            self.notes = [note for one in read.values() for note in one.notes]
            return {split: one.rows for split, one in read.items()}
        if self.hub is None:
            raise InputError(
                f"{self.folder} needs data; pass data_dir=FOLDER with FOLDER/{self.folder}/train.jsonl in it"
            )
        splits = {"train": "train", "test": self.hub.test}
        return {name: data.read_hub(self.hub, split, self.labels, self.folder) for name, split in splits.items()}

    def digests(self, splits: Mapping[str, str]) -> dict[str, str]:
        """Return one digest for the data folder."""
        return {"data_dir": "-".join(splits.values())}
